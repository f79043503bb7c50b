"""Batches are the text's windows, whole and in a seeded order, and `dls` does what fastai's users know."""

import itertools
import pickle
import warnings

import pytest
import torch
from fastai.basics import set_seed
from fastai.callback.data import PartialDL, WeightedDL
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastai_charrnn.data.ids import CharIds
from fastai_charrnn.data.loaders import CharDataLoaders
from fastai_charrnn.data.vocab import CharVocab
from fastai_charrnn.data.window_dl import WindowDL
from fastai_charrnn.data.windows import CharPrompts
from fastai_charrnn.errors import CharRnnWarning, CorpusError, DataError, UnknownCharError, VocabError


@settings(deadline=None, max_examples=50)
@given(st.text("abcdé漢\n ", min_size=12, max_size=200), st.integers(1, 6), st.integers(1, 3), st.integers(1, 7))
def test_every_batch_is_windows_of_the_text_and_every_window_comes_once(text, n, stride, bs):
    try:
        dls = CharDataLoaders.from_text(
            text, seq_len=n, stride=stride, bs=bs, valid="random", valid_pct=0.2, device="cpu"
        )
    except DataError as e:
        assume("no validation windows" not in str(e) and "less than one batch" not in str(e))
        raise
    seen = []
    for dl in dls:
        for x, y in dl:
            for row, targ in zip(x, y):
                seen.append(
                    (
                        text.find(dls.vocab.decode(row) + dls.vocab.decode([targ])) >= 0,
                        dls.vocab.decode(row) + dls.vocab.decode([targ]),
                    )
                )
    assert all(ok for ok, _ in seen)
    assert sorted(w for _, w in seen) == sorted(text[i : i + n + 1] for i in range(0, len(text) - n, stride))


def test_batches_are_plain_int64_tensors_and_the_last_may_be_smaller(dls):
    batches = list(dls.train)
    assert type(batches[0][0]) is torch.Tensor and batches[0][0].dtype == torch.int64 and isinstance(batches[0], tuple)
    assert (
        sum(len(x) for x, _ in batches) == len(dls.train_ds)
        and len(batches) == len(dls.train)
        and len(batches[-1][0]) == len(dls.train_ds) % 256
    )
    assert all(len(x) == 256 for x, _ in dls.train.new(drop_last=True))


def test_ids_are_kept_in_the_fewest_bytes_and_once(dls):
    assert dls.train_ds.ids.data.dtype == torch.uint8 and dls.train_ds.ids is dls.valid_ds.ids
    wide = "".join(map(chr, range(1, 400))) * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        d = CharDataLoaders.from_text(wide, bs=8, device="cpu")
    assert (
        d.train_ds.ids.data.dtype == torch.int16
        and CharIds.from_array(CharVocab.from_text(wide).encode(wide)).data.max() == 399
    )


def test_each_epoch_is_shuffled_anew_and_a_seed_fixes_the_order(dls, small):
    def order(d):
        return torch.cat([y for _, y in d.train])

    a, b = order(dls), order(dls)
    assert not torch.equal(a, b) and torch.equal(a.sort()[0], b.sort()[0])
    dls.train.seed(7)
    first, second = order(dls), order(dls)
    dls.train.seed(7)
    assert torch.equal(first, order(dls)) and torch.equal(second, order(dls))

    def seeded():
        set_seed(3)
        return order(CharDataLoaders.from_text(small, bs=256))

    assert torch.equal(seeded(), seeded())


def test_validation_keeps_the_order_of_the_text(dls, small):
    x, y = dls.valid.one_batch()
    i = dls.valid_ds.items[0]
    assert dls.vocab.decode(x[0]) == small[i : i + 8] and dls.vocab.decode(y) == small[i + 8 : i + 8 + len(y)]


def test_what_fastai_asks_of_dls(dls):
    assert (
        dls.vocab.o2i["e"] == dls.vocab.encode("e")[0]
        and dls.c == len(dls.vocab)
        and dls.bs == 256
        and dls.n_inp == 1
        and dls.seq_len == 8
    )
    assert dls.device == torch.device("cpu") and dls.to("cpu") is dls and len(dls.train.items) == dls.n


def test_it_prints_size_vocabulary_windows_batches_and_split(dls):
    for part in (
        "30,000 characters",
        f"vocabulary of {len(dls.vocab)}",
        "windows  8 characters",
        "106 batches of 256",
        "the last 10% of the text",
        "cpu",
    ):
        assert part in repr(dls)


@pytest.mark.parametrize(
    "stride,said",
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
def test_it_prints_the_stride_as_an_ordinal(stride, said):
    assert said in repr(CharDataLoaders.from_text("abcdefgh" * 50, stride=stride, bs=4))


def test_the_last_tenth_of_the_text_validates_by_default(small, tmp_path):
    (path := tmp_path / "t.txt").write_text(small, encoding="utf-8")
    for dls in (CharDataLoaders.from_text(small, device="cpu"), CharDataLoaders.from_file(path, device="cpu")):
        assert dls.valid_ds.starts[0] == 27_000 and dls.train_ds.starts.max() + 8 < 27_000
        assert dls.audit().shared == 0 and "the last 10% of the text" in repr(dls)


def test_show_batch_prints_windows_as_python_spells_them(dls, capsys):
    dls.show_batch(max_n=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["text", "next"] and len(lines) == 4
    dls.show_batch(max_n=4, unique=True)
    assert len(set(capsys.readouterr().out.splitlines()[1:])) == 1


def test_test_dl_takes_texts_pads_on_the_left_and_keeps_the_tail(dls):
    dl = dls.test_dl(["int", "the value of", ""])
    ((x,),) = list(dl)
    assert [dls.vocab.decode(r) for r in x] == ["\0" * 5 + "int", "value of", "\0" * 8]
    with pytest.raises(UnknownCharError, match="'漢'"):
        dls.test_dl(["漢"])


def test_test_dl_takes_starts_of_windows_with_their_targets(dls, small):
    ((x, y),) = list(dls.test_dl([0, 5]))
    assert dls.vocab.decode(x[1]) == small[5:13] and dls.vocab.decode(y) == small[8] + small[13]
    with pytest.raises(DataError, match="no window starts at 40000"):
        dls.test_dl([40_000])


def test_partial_and_weighted_loaders_mix_in(dls):
    class PartialWindows(PartialDL, WindowDL):
        "An epoch of part of the windows."

    class WeightedWindows(WeightedDL, WindowDL):
        "Windows drawn by weight."

    part = PartialWindows(dls.train_ds, bs=256, shuffle=True, partial_n=600)
    assert sum(len(x) for x, _ in part) == 600
    wgts = torch.zeros(len(dls.train_ds)).index_fill(0, torch.tensor([3]), 1.0)
    drawn = next(iter(WeightedWindows(dls.train_ds, bs=16, shuffle=True, wgts=wgts.numpy())))
    assert torch.equal(drawn[0], dls.train_ds.batch(torch.tensor([3] * 16))[0])


def test_indices_given_from_outside_are_used_plain_or_endless(dls):
    assert torch.equal(
        next(dls.train.create_batches(itertools.repeat(5)))[1], dls.train_ds.batch(torch.tensor([5] * 256))[1]
    )
    assert [len(y) for _, y in dls.train.create_batches(range(300))] == [256, 44]
    assert torch.equal(dls.train_ds[7][0], dls.train_ds.batch(torch.tensor([7]))[0][0])


def test_after_batch_transforms_apply(dls):
    dl = dls.train.new(after_batch=lambda o: o * 0)
    assert dl.one_batch()[0].sum() == 0


def test_an_empty_copy_carries_no_text(dls):
    empty = dls.train_ds.new_empty()
    assert len(empty) == 0 and len(pickle.dumps(empty)) < 5_000


def test_prompts_are_datasets_too(dls):
    p = CharPrompts.from_texts(["abc"], dls.vocab, 5, unk="skip")
    assert len(p) == 1 and p[0][0].shape == (5,) and p.batch(torch.tensor([0]))[0].shape == (1, 5)


def test_a_file_is_read_with_its_encoding(tmp_path):
    (path := tmp_path / "t.txt").write_bytes("café au lait\n".encode("latin-1") * 20)
    assert "é" in CharDataLoaders.from_file(path, encoding="latin-1", bs=8).vocab
    with pytest.raises(CorpusError, match="latin-1"):
        CharDataLoaders.from_file(path)


@pytest.mark.parametrize(
    "kw,says",
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
def test_the_preflight_says_what_is_wrong_and_what_would_work(kw, says):
    with pytest.raises(DataError, match=says):
        CharDataLoaders.from_text(**dict(text="some text of words. " * 100) | kw)


def test_the_value_the_preflight_proposes_works():
    text = "a fairly short text to learn"
    with pytest.raises(DataError) as e:
        CharDataLoaders.from_text(text, valid_pct=0.4)
    bs = int(str(e.value).split("bs<=")[1].split()[0])
    assert len(CharDataLoaders.from_text(text, bs=bs, valid_pct=0.4).train) == 1


def test_too_many_characters_warn_with_the_rarest():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 1200))) * 2 + chr(0x3042)
    with pytest.warns(CharRnnWarning, match="1,201 distinct characters, the rarest 'あ'.*wrong encoding"):
        CharDataLoaders.from_text(text)


@pytest.mark.parametrize("text,says", [("", "text is empty"), ("ab\0c" * 100, "position 2")])
def test_texts_that_cannot_be_learned(text, says):
    with pytest.raises(VocabError, match=says):
        CharDataLoaders.from_text(text)


def test_a_vocabulary_of_another_text(dls):
    with pytest.raises(UnknownCharError):
        CharDataLoaders.from_text("漢字" * 500, vocab=dls.vocab)
    d = CharDataLoaders.from_text("the 漢 value " * 100, vocab=dls.vocab, unk="skip", bs=64)
    assert d.vocab is dls.vocab and len(d.train_ds.ids) == 1_100


@pytest.mark.gpu
def test_the_text_lives_on_the_gpu_once(small):
    d = CharDataLoaders.from_text(small, device="cuda")
    x, _ = d.one_batch()
    assert x.is_cuda and d.train_ds.ids.data.is_cuda and d.train_ds.ids is d.valid_ds.ids
