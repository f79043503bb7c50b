"""`WindowDL`: batches are the text's windows, complete and in a seeded order, and fastai's loaders can be mixed in."""

import itertools
import pickle

import pytest
import torch
from fastai.basics import set_seed
from fastai.callback.data import PartialDL, WeightedDL
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastai_charrnn.data.loaders import CharDataLoaders
from fastai_charrnn.data.sharding import sync_indices
from fastai_charrnn.data.window_dl import WindowDL
from fastai_charrnn.data.windows import CharPrompts
from fastai_charrnn.errors import DataError, UnknownCharError


class PartialWindows(PartialDL, WindowDL):
    "An epoch of part of the windows."


class WeightedWindows(WeightedDL, WindowDL):
    "Windows drawn by weight."


@settings(deadline=None, max_examples=50)
@given(st.text("abcdé漢\n ", min_size=12, max_size=200), st.integers(1, 6), st.integers(1, 3), st.integers(1, 7))
def test_batches_contain_every_window_of_the_text_once(text, seq_len, stride, bs):
    options = dict(seq_len=seq_len, stride=stride, bs=bs, valid="random", valid_pct=0.2)
    try:
        dls = CharDataLoaders.from_text(text, **options, device="cpu")
    except DataError as e:
        assume("no validation windows" not in str(e) and "less than one batch" not in str(e))
        raise
    seen = []
    for x, y in itertools.chain(*dls):
        for row, target in zip(x, y):
            seen.append(dls.vocab.decode(row) + dls.vocab.decode([target]))
    assert sorted(seen) == sorted(text[i : i + seq_len + 1] for i in range(0, len(text) - seq_len, stride))


def test_batches_are_plain_int64_tensors_and_the_last_may_be_smaller(dls):
    batches = list(dls.train)
    x, _ = batches[0]
    assert isinstance(batches[0], tuple)
    assert type(x) is torch.Tensor
    assert x.dtype == torch.int64
    assert sum(len(x) for x, _ in batches) == len(dls.train_ds)
    assert len(batches) == len(dls.train)
    assert len(batches[-1][0]) == len(dls.train_ds) % 256
    assert all(len(x) == 256 for x, _ in dls.train.new(drop_last=True))


def _targets(dls):
    return torch.cat([y for _, y in dls.train])


def test_each_epoch_is_shuffled_again_and_a_seed_fixes_the_order(dls):
    first = _targets(dls)
    second = _targets(dls)
    assert not torch.equal(first, second)
    assert torch.equal(first.sort()[0], second.sort()[0])
    dls.train.seed(7)
    first = _targets(dls)
    second = _targets(dls)
    dls.train.seed(7)
    assert torch.equal(first, _targets(dls))
    assert torch.equal(second, _targets(dls))


def test_the_global_seed_fixes_the_order_of_new_loaders(small):
    set_seed(3)
    first = _targets(CharDataLoaders.from_text(small, bs=256))
    set_seed(3)
    assert torch.equal(first, _targets(CharDataLoaders.from_text(small, bs=256)))


def test_validation_keeps_the_order_of_the_text(dls, small):
    x, y = dls.valid.one_batch()
    start = dls.valid_ds.items[0]
    assert dls.vocab.decode(x[0]) == small[start : start + 8]
    assert dls.vocab.decode(y) == small[start + 8 : start + 8 + len(y)]


def test_partial_loaders_can_be_mixed_in(dls):
    partial = PartialWindows(dls.train_ds, bs=256, shuffle=True, partial_n=600)
    assert sum(len(x) for x, _ in partial) == 600


def test_weighted_loaders_can_be_mixed_in(dls):
    weights = torch.zeros(len(dls.train_ds)).index_fill(0, torch.tensor([3]), 1.0)
    weighted = WeightedWindows(dls.train_ds, bs=16, shuffle=True, wgts=weights.numpy())
    x, _ = next(iter(weighted))
    assert torch.equal(x, dls.train_ds.batch(torch.tensor([3] * 16))[0])


def test_only_an_order_from_the_seed_counts_as_equal_on_all_ranks(dls):
    "A distributed training takes every other order from rank 0."
    idxs = dls.train.get_idxs()
    assert idxs is dls.train.seeded_idxs
    partial = PartialWindows(dls.train_ds, bs=256, shuffle=True, partial_n=600)
    assert partial.get_idxs() is not partial.seeded_idxs
    injected = dls.train.new(get_idxs=lambda: idxs)
    assert injected.get_idxs() is not injected.seeded_idxs
    assert sync_indices(dls.train.shard(0, 2), idxs) is idxs


def test_given_indices_may_be_a_sequence_or_endless(dls):
    _, y = next(dls.train.create_batches(itertools.repeat(5)))
    assert torch.equal(y, dls.train_ds.batch(torch.tensor([5] * 256))[1])
    assert [len(y) for _, y in dls.train.create_batches(range(300))] == [256, 44]
    x, _ = dls.train_ds[7]
    assert torch.equal(x, dls.train_ds.batch(torch.tensor([7]))[0][0])


def test_after_batch_transforms_apply(dls):
    dl = dls.train.new(after_batch=lambda batch: batch * 0)
    assert dl.one_batch()[0].sum() == 0


def test_test_dl_takes_texts_pads_them_on_the_left_and_keeps_their_end(dls):
    ((x,),) = list(dls.test_dl(["int", "the value of", ""]))
    assert [dls.vocab.decode(row) for row in x] == ["\0" * 5 + "int", "value of", "\0" * 8]
    with pytest.raises(UnknownCharError, match="'漢'"):
        dls.test_dl(["漢"])


def test_test_dl_takes_starts_of_windows_with_their_targets(dls, small):
    ((x, y),) = list(dls.test_dl([0, 5]))
    assert dls.vocab.decode(x[1]) == small[5:13]
    assert dls.vocab.decode(y) == small[8] + small[13]
    with pytest.raises(DataError, match="no window starts at 40000"):
        dls.test_dl([40_000])


def test_an_empty_copy_has_no_text(dls):
    empty = dls.train_ds.new_empty()
    assert len(empty) == 0
    assert len(pickle.dumps(empty)) < 5_000


def test_prompts_are_a_dataset(dls):
    prompts = CharPrompts.from_texts(["abc"], dls.vocab, 5, unk="skip")
    assert len(prompts) == 1
    assert prompts[0][0].shape == (5,)
    assert prompts.batch(torch.tensor([0]))[0].shape == (1, 5)


def test_show_batch_prints_windows_as_python_spells_them(dls, capsys):
    dls.show_batch(max_n=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["text", "next"]
    assert len(lines) == 4
    dls.show_batch(max_n=4, unique=True)
    assert len(set(capsys.readouterr().out.splitlines()[1:])) == 1


@pytest.mark.parametrize("bs", [0, -1, 1.5, None, "8"])
def test_a_loader_with_an_invalid_batch_size_is_an_error(dls, bs):
    with pytest.raises(DataError, match="bs=.* is not a whole number, at least 1"):
        dls.valid.new(bs=bs)
    with pytest.raises(DataError, match="bs=.* is not a whole number, at least 1"):
        CharDataLoaders.from_datasets(dls.train_ds, dls.valid_ds, bs=bs)
