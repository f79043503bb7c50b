"""Several documents as one text: borders, separators, splits, and errors."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from fastai_charrnn.all import CharDataLoaders, CharVocab, char_learner, load_model, save_model
from fastai_charrnn.errors import CharRnnWarning, DataError, UnknownCharError, VocabError

DOCS = [f"{letter * 30}{letter.upper() * 5}" for letter in "abcdefghijklmnopqrst"]


def _loaders(texts, **options):
    return CharDataLoaders.from_text(texts, **(dict(seq_len=4, bs=8, device="cpu") | options))


def _text(ds):
    return ds.vocab.decode(ds.ids.data)


def _windows(ds):
    "The text of each window with its target."
    text = _text(ds)
    return [text[i : i + ds.seq_len + 1] for i in ds.starts.tolist()]


def _letters(ds):
    return {char for window in _windows(ds) for char in window.lower()} - {"\n"}


def test_windows_do_not_cross_the_border_of_a_document():
    dls = _loaders(DOCS)
    for ds in (dls.train_ds, dls.valid_ds):
        for window in _windows(ds):
            assert len(set(window.lower()) - {"\n"}) == 1
            assert "\n" not in window[:-1]
    # a document of 36 characters with its separator has 32 windows of 4 and a target
    assert len(dls.train_ds) == 18 * 32
    assert len(dls.valid_ds) == 2 * 32


def test_a_separator_is_added_only_where_it_is_missing():
    dls = _loaders(["abcdefgh\n", "abcdefgh", "ijklmnop"] * 3)
    assert _text(dls.train_ds) == "abcdefgh\nabcdefgh\nijklmnop\n" * 3


@pytest.mark.parametrize("sep,added", [("|", "|"), ("", ""), (None, "")])
def test_the_separator_is_a_character_of_choice_or_none(sep, added):
    dls = _loaders(["abcdefgh", "ijklmnop"] * 5, sep=sep, seq_len=3)
    assert _text(dls.train_ds) == f"abcdefgh{added}ijklmnop{added}" * 5
    assert ("\n" in dls.vocab) is False


@pytest.mark.parametrize("sep", ["ab", 1, "\0", b"\n"])
def test_other_separators_are_an_error(sep):
    with pytest.raises(DataError, match="sep=.*must be one character"):
        _loaders(DOCS, sep=sep)


def test_one_text_is_read_as_before_without_a_separator(small):
    dls = _loaders(small[:1000])
    assert _text(dls.train_ds) == small[:1000]
    assert "documents" not in dls.train_ds.info
    assert "documents" not in repr(dls)


@pytest.mark.parametrize("make", [tuple, pd.Series, lambda docs: np.array(docs, dtype=object)])
def test_documents_may_be_any_ordered_collection(make):
    assert _windows(_loaders(make(DOCS)).train_ds) == _windows(_loaders(DOCS).train_ds)


def test_the_last_documents_validate_by_default():
    dls = _loaders(DOCS)
    assert _letters(dls.valid_ds) == set("st")
    assert "20 documents, 720 characters" in repr(dls)
    assert "(the last 2 of 20 documents)" in repr(dls)
    assert dls.audit().shared == 0


def test_random_documents_validate_as_a_whole():
    dls = _loaders(DOCS, valid="random", valid_pct=0.2, seed=3)
    validating = _letters(dls.valid_ds)
    assert len(validating) == 4
    assert _letters(dls.train_ds) == set("abcdefghijklmnopqrst") - validating
    assert validating != _letters(_loaders(DOCS, valid="random", valid_pct=0.2, seed=4).valid_ds)
    assert "4 of 20 documents, drawn at random, seed 3" in repr(dls)
    learn = char_learner(dls, n_hid=8, seed=0)
    with warnings.catch_warnings(), learn.no_bar(), learn.no_logging():
        # the warning about lesson 6's split would be wrong here
        warnings.simplefilter("error", CharRnnWarning)
        learn.fit(1)


def test_documents_given_by_number_validate():
    dls = _loaders(DOCS, valid=[2, 0, -1])
    assert _letters(dls.valid_ds) == set("act")
    assert _letters(dls.train_ds) == set("bdefghijklmnopqrs")


def test_valid_text_validates_and_all_of_text_trains():
    dls = _loaders(DOCS[:3], valid_text=DOCS[3:5])
    assert _letters(dls.train_ds) == set("abc")
    assert _letters(dls.valid_ds) == set("de")
    assert "2 of 5 documents, given for validation" in repr(dls)


def test_valid_text_of_one_text_adds_no_separator():
    dls = _loaders("ab" * 30, valid_text="abc" * 10)
    assert _text(dls.train_ds) == "ab" * 30 + "abc" * 10
    assert len(dls.train_ds) == 56
    assert len(dls.valid_ds) == 26
    assert dls.audit().shared == 0


@pytest.mark.parametrize(
    "options,message",
    [
        (dict(valid="blocks"), 'valid must be "tail", "random" or document numbers'),
        (dict(valid=[20]), "validation document 20 does not exist: there are 20"),
        (dict(valid=[-21]), "validation document -21 does not exist"),
        (dict(valid=[0.5]), "document numbers are integers"),
        (dict(valid=range(20)), "20 of 20 documents validate; leave at least one to train on"),
        (dict(valid=[]), "0 of 20 documents validate"),
        (dict(valid_pct=1.5), "valid_pct=1.5 is not a number between 0 and 1"),
        (dict(valid="random", valid_text="abc"), "valid_text is what validates; leave out valid='random'"),
        (dict(valid_text=""), "the validation document is empty"),
        (dict(valid_text=[]), "there are no validation documents"),
        (dict(valid_text=["", ""]), "all 2 validation documents are empty"),
        (dict(seq_len=0), "seq_len=0 is not a whole number"),
        (dict(stateful=True, target="every", seq_len=0), "seq_len=0 is not a whole number"),
        (dict(seq_len=36), "no training document has 37 characters.*the longest has 36: pass a smaller seq_len"),
        (dict(valid_text="abc"), "no validation document has 5 characters.*longest has 3"),
    ],
)
def test_invalid_splits_of_documents_are_errors(options, message):
    with pytest.raises(DataError, match=message):
        _loaders(DOCS, **options)


@pytest.mark.parametrize(
    "texts,message",
    [
        ([], "there are no documents; pass at least one text"),
        (["", ""], "all 2 documents are empty"),
        (["abc", float("nan"), None], r"2 of 3 documents are not a str, the first is number 1 \(float nan\)"),
        ({"a": 1}, "a list of str, not dict"),
        ({"a", "b"}, "a list of str, not set"),
        ((c for c in "abc"), "a list of str, not generator"),
        (pd.DataFrame(dict(text=DOCS)), "a table is not a text; pass it to CharDataLoaders.from_df"),
    ],
)
def test_other_collections_are_errors(texts, message):
    with pytest.raises(DataError, match=message):
        _loaders(texts)


def test_texts_that_point_to_something_name_the_method_that_reads_it(tmp_path):
    path = tmp_path / "notes.md"
    path.write_text("some text")
    places = {
        path: "from_file",
        str(path): "from_file",
        "missing.txt": "from_file",
        "data/corpus.txt.gz": "from_file",
        "https://example.org/a.txt": "from_url",
        tmp_path: "from_folder",
        str(tmp_path): "from_folder",
    }
    for place, method in places.items():
        with pytest.raises(DataError, match=rf"is not a text; pass it to CharDataLoaders\.{method},"):
            CharDataLoaders.from_text(place)
    for valid_text in (path, str(path)):
        with pytest.raises(DataError, match="from_file,"):
            CharDataLoaders.from_text("abc" * 100, valid_text=valid_text)
    for paths in ([path, path], [str(path)]):
        with pytest.raises(DataError, match="from_files,"):
            CharDataLoaders.from_text(paths)


def test_a_text_that_mentions_a_file_is_a_text():
    for text in ("see the file notes.txt", "a.txt\nb.txt\nc.txt\nd.txt"):
        assert _text(_loaders(text, bs=2, seq_len=1).train_ds) == text


def test_documents_too_short_for_a_window_are_left_out_with_one_warning():
    message = "3 of 23 documents have fewer than 5 characters, one window of seq_len=4.*or stateful=True"
    with pytest.warns(CharRnnWarning, match=message) as caught:
        dls = _loaders(["xyz", "", "x", *DOCS])
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert _letters(dls.train_ds) | _letters(dls.valid_ds) == set("abcdefghijklmnopqrst")


def test_streams_read_documents_one_after_the_other_with_separators():
    dls = _loaders(["ab", *DOCS[:4]], valid_text=DOCS[4:6], target="every", stateful=True, bs=1, seq_len=16)
    train = "".join(dls.vocab.decode(y) for _, y in dls.train)
    assert train == "\n".join(["ab", *DOCS[:4], ""])[1:]
    # the first character of the validation documents does not follow from the training documents
    valid = "".join(dls.vocab.decode(y) for _, y in dls.valid)
    assert valid == "\n".join([*DOCS[4:6], ""])[1:]
    assert dls.vocab.decode(dls.valid.one_batch()[0][0, :1]) == DOCS[4][0]


def test_streams_keep_random_documents_together():
    dls = _loaders(DOCS, target="every", stateful=True, bs=2, valid="random", valid_pct=0.2)
    train = "".join(dls.vocab.decode(dls.train_ds.ids.data[: dls.train_ds.info["spans"][0][0][1]]))
    assert train.count("\n") == 16
    assert dls.valid_ds.n_targets == 4 * 36 - 1


def test_chunks_start_at_the_beginning_of_each_document():
    dls = _loaders(DOCS, target="every", seq_len=10)
    x, y = dls.valid.one_batch()
    assert [dls.vocab.decode(row) for row in x] == ["s" * 10] * 3 + ["t" * 10] * 3
    assert dls.vocab.decode(y[2]) == "s" * 9 + "S"
    assert len(dls.train_ds) == 18 * 3


def test_the_model_file_has_the_number_of_documents_but_not_their_borders(tmp_path):
    docs = [f"document {i}" for i in range(1000, 3000)]
    dls = _loaders(docs)
    learn = char_learner(dls, n_hid=8, seed=0)
    info = load_model(save_model(learn, tmp_path / "m")).dls.train_ds.info
    assert info["documents"] == dict(train=1800, valid=200)
    assert len(json.dumps(info)) < 400


def test_unknown_characters_name_the_document():
    vocab = CharVocab.from_text("ab\n")
    with pytest.raises(UnknownCharError, match=r"document 2: 'x' \(U\+0078\) at position 1") as e:
        _loaders(["ab" * 9, "ba" * 9, "axb"], vocab=vocab)
    assert e.value.chars == ("x",)
    with pytest.raises(VocabError, match=r"document 1, position 2: the text contains the padding character"):
        _loaders(["ab" * 9, "ab\0"])


def test_skipped_characters_move_the_borders():
    vocab = CharVocab.from_text("ab\n")
    dls = _loaders(["xaxaxaxaxa", "bxbxbxbxbx"] * 5, vocab=vocab, unk="skip", bs=4)
    assert _text(dls.train_ds) == "aaaaa\nbbbbb\n" * 5
    assert set(_windows(dls.train_ds)) == {"aaaaa", "aaaa\n", "bbbbb", "bbbb\n"}


def test_many_characters_of_many_documents_are_encoded_as_one_by_one(small):
    docs = [line for line in small.split("\n") if len(line) > 8] * 60  # more than one block of characters
    dls = _loaders(docs, seq_len=8, bs=64)
    assert _text(dls.train_ds) == "".join(doc + "\n" for doc in docs)
