"""`CharDataLoaders`: options, defaults, error messages, and the attributes that fastai expects."""

import warnings

import pytest
import torch

from fastai_charrnn.data.loaders import CharDataLoaders
from fastai_charrnn.errors import CharRnnWarning, CorpusError, DataError, UnknownCharError, VocabError


def test_loaders_have_the_attributes_that_fastai_expects(dls):
    assert dls.vocab.o2i["e"] == dls.vocab.encode("e")[0]
    assert dls.c == len(dls.vocab)
    assert dls.bs == 256
    assert dls.n_inp == 1
    assert dls.seq_len == 8
    assert dls.device == torch.device("cpu")
    assert dls.to("cpu") is dls
    assert len(dls.train.items) == dls.n


def test_loaders_print_size_vocabulary_windows_batches_and_split(dls):
    printed = repr(dls)
    assert f"30,000 characters, vocabulary of {len(dls.vocab)}\n" in printed
    assert "windows  8 characters" in printed
    assert "106 batches of 256" in printed
    assert "the last 10% of the text" in printed
    assert "device   cpu" in printed


@pytest.mark.parametrize(
    "stride,printed",
    [
        (1, "every position"),
        (2, "every 2nd position"),
        (3, "every 3rd position"),
        (4, "every 4th position"),
        (11, "every 11th position"),
        (13, "every 13th position"),
        (21, "every 21st position"),
        (22, "every 22nd position"),
    ],
)
def test_the_stride_is_printed_as_an_ordinal(stride, printed):
    assert printed in repr(CharDataLoaders.from_text("abcdefgh" * 50, stride=stride, bs=4))


@pytest.fixture(params=["text", "file"])
def make(request, small, tmp_path):
    "Loaders of a text, or of a file with it: a function of the options."
    path = tmp_path / "t.txt"
    path.write_text(small, encoding="utf-8")
    if request.param == "text":
        return lambda **options: CharDataLoaders.from_text(small, device="cpu", **options)
    return lambda **options: CharDataLoaders.from_file(path, device="cpu", **options)


def test_the_last_tenth_of_the_text_validates_by_default(make):
    dls = make()
    assert dls.valid_ds.starts[0] == 27_000
    assert dls.train_ds.starts.max() + 8 < 27_000
    assert dls.audit().shared == 0
    assert "the last 10% of the text" in repr(dls)


def test_n_is_a_deprecated_alias_of_seq_len(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dls = make(n=5)
    deprecations = [w for w in caught if w.category is DeprecationWarning and "seq_len" in str(w.message)]
    assert len(deprecations) == 1
    assert deprecations[0].filename == __file__
    assert dls.seq_len == 5
    assert repr(dls) == repr(make(seq_len=5))
    assert torch.equal(dls.train_ds.starts, make(seq_len=5).train_ds.starts)


def test_n_and_seq_len_together_are_an_error(make):
    with pytest.raises(TypeError, match="n= is the old name of seq_len=; pass only seq_len="):
        make(n=5, seq_len=5)


def test_a_file_is_read_with_its_encoding(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes("café au lait\n".encode("latin-1") * 20)
    assert "é" in CharDataLoaders.from_file(path, encoding="latin-1", bs=8).vocab
    with pytest.raises(CorpusError, match="latin-1"):
        CharDataLoaders.from_file(path)


@pytest.mark.parametrize(
    "options,message",
    [
        (dict(text="too short"), "9 characters; .* at least 10: pass seq_len<=7"),
        (dict(text="a fairly short text to learn", valid_pct=0.4), "less than one batch of bs=512; pass bs<="),
        (dict(bs=0), "bs=0 is not"),
        (dict(val_bs=-1), "val_bs=-1"),
        (dict(bs=2.5), "bs=2.5"),
        (dict(bs=None), "bs=None"),
        (dict(bs=8, device="warp"), "device='warp' cannot be used here"),
        (dict(valid="nowhere"), "valid must be one of .* got 'nowhere'"),
    ],
)
def test_errors_name_the_value_and_what_would_work(options, message):
    with pytest.raises(DataError, match=message):
        CharDataLoaders.from_text(**dict(text="some text of words. " * 100) | options)


def test_the_batch_size_that_an_error_proposes_works():
    text = "a fairly short text to learn"
    with pytest.raises(DataError) as e:
        CharDataLoaders.from_text(text, valid_pct=0.4)
    bs = int(str(e.value).split("bs<=")[1].split()[0])
    assert len(CharDataLoaders.from_text(text, bs=bs, valid_pct=0.4).train) == 1


def test_too_many_characters_warn_with_the_rarest():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 1200))) * 2 + chr(0x3042)
    with pytest.warns(CharRnnWarning, match="1,201 distinct characters, the rarest 'あ'.*wrong encoding") as caught:
        CharDataLoaders.from_text(text)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("text,message", [("", "text is empty"), ("ab\0c" * 100, "position 2")])
def test_empty_texts_and_padding_characters_are_refused(text, message):
    with pytest.raises(VocabError, match=message):
        CharDataLoaders.from_text(text)


def test_the_vocabulary_of_another_text_can_be_used(dls):
    with pytest.raises(UnknownCharError):
        CharDataLoaders.from_text("漢字" * 500, vocab=dls.vocab)
    other = CharDataLoaders.from_text("the 漢 value " * 100, vocab=dls.vocab, unk="skip", bs=64)
    assert other.vocab is dls.vocab
    assert len(other.train_ds.ids) == 1_100
