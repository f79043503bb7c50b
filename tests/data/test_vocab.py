"""Characters are converted to indices and back exactly, for any text."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastai_charrnn.data.vocab import CharVocab
from fastai_charrnn.errors import UnknownCharError, VocabError

any_text = st.text(st.characters(exclude_characters="\0"), min_size=1)


@given(any_text)
def test_decode_inverts_encode(text):
    vocab = CharVocab.from_text(text)
    assert vocab.decode(vocab.encode(text)) == text


@given(any_text)
def test_encode_equals_a_look_up_for_each_character(text):
    vocab = CharVocab.from_text(text)
    assert vocab.encode(text).tolist() == [vocab.o2i[c] for c in text]


@given(any_text)
def test_a_vocabulary_is_padding_then_the_characters_in_code_point_order(text):
    assert list(CharVocab.from_text(text)) == ["\0", *sorted(set(text))]


@given(any_text, any_text)
def test_all_unknown_characters_are_named_with_their_first_position(known, text):
    vocab = CharVocab.from_text(known)
    unknown = [c for c in dict.fromkeys(text) if c not in known]
    if not unknown:
        assert vocab.decode(vocab.encode(text)) == text
        return
    with pytest.raises(UnknownCharError) as e:
        vocab.encode(text)
    assert list(e.value.chars) == unknown
    assert list(e.value.positions) == [text.index(c) for c in unknown]


@given(any_text, any_text)
def test_unknown_characters_can_be_skipped_or_replaced(known, text):
    vocab = CharVocab.from_text(known)
    assert vocab.decode(vocab.encode(text, unk="skip")) == "".join(c for c in text if c in known)
    assert vocab.decode(vocab.encode(text, unk=known[0])) == "".join(c if c in known else known[0] for c in text)


@pytest.mark.parametrize("size,dtype", [(10, "uint8"), (255, "uint8"), (256, "uint16"), (70_000, "uint32")])
def test_indices_have_the_smallest_unsigned_dtype_that_fits(size, dtype):
    points = [p for p in range(1, 80_000) if not 0xD800 <= p < 0xE000][:size]
    text = "".join(map(chr, points))
    ids = CharVocab.from_text(text).encode(text)
    assert ids.dtype == dtype
    assert ids[-1] == size


def test_the_error_names_character_code_point_position_nearest_and_way_out():
    vocab = CharVocab.from_text("cafe ok")
    message = r"'é' \(U\+00E9\) at position 3 is not in the vocabulary \(nearest: 'e'\).*Pass unk=\"skip\""
    with pytest.raises(UnknownCharError, match=message):
        vocab.encode("café")
    with pytest.raises(UnknownCharError, match="and 2 more"):
        vocab.encode("0123456789")


@pytest.mark.parametrize(
    "char,known,nearest",
    [("É", "eE", "E"), ("A", "abc", "a"), ("’", "'a", "'"), ("—", "-a", "-"), ("ﬁ", "fz", "f"), ("7", "abc1", "1")],
)
def test_the_nearest_character_is_the_one_a_person_would_type(char, known, nearest):
    assert CharVocab.from_text(known).nearest(char) == nearest


def test_the_padding_character_in_a_text_is_refused_with_its_position():
    with pytest.raises(VocabError, match=r"padding character '\\0' at position 3"):
        CharVocab.from_text("abc\0d")
    with pytest.raises(UnknownCharError, match="it is the padding character"):
        CharVocab.from_text("abc").encode("a\0b")


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: CharVocab.from_text(""), "text is empty"),
        (lambda: CharVocab.from_text(b"abc"), "not bytes; decode it"),
        (lambda: CharVocab.from_text("a").encode(5), "not int"),
        (lambda: CharVocab("abc"), "starts with the padding"),
        (lambda: CharVocab([]), "starts with the padding"),
        (lambda: CharVocab(["\0", "ab"]), "not a single character"),
        (lambda: CharVocab(["\0", ["a"]]), "not a single character"),
        (lambda: CharVocab("\0aba"), "duplicate character 'a'"),
        (lambda: CharVocab.from_text("a").encode("b", unk="?"), "neither 'error', 'skip' nor"),
    ],
)
def test_invalid_vocabularies_and_texts_raise_a_vocab_error(make, message):
    with pytest.raises(VocabError, match=message):
        make()


@pytest.mark.parametrize(
    "ids",
    [[1, 2, 3], np.array([1, 2, 3], np.int16), torch.tensor([[1], [2], [3]]), range(1, 4)],
    ids=["list", "array", "tensor", "range"],
)
def test_decode_takes_lists_arrays_and_tensors(ids):
    assert CharVocab.from_text("abc").decode(ids) == "abc"


def test_decode_refuses_invalid_indices():
    vocab = CharVocab.from_text("abc")
    assert vocab.decode([]) == ""
    assert vocab.decode([0]) == "\0"
    for invalid in ([4], [-1]):
        with pytest.raises(VocabError, match="outside this vocabulary of 4"):
            vocab.decode(invalid)
    with pytest.raises(VocabError, match="indices are integers"):
        vocab.decode([1.5])


@given(any_text)
def test_json_and_pickle_restore_the_vocabulary(text):
    vocab = CharVocab.from_text(text)
    assert CharVocab.from_json(vocab.to_json()) == vocab
    assert pickle.loads(pickle.dumps(vocab)) == vocab
    assert hash(vocab) == hash(CharVocab(vocab))


def test_a_vocabulary_prints_its_characters():
    assert repr(CharVocab.from_text("hello")) == "CharVocab of 5: padding and 'ehlo'"
