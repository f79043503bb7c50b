"""`Shuffle` is a permutation, looks random, and training with it equals training on `randperm`."""

import collections

import numpy as np
import pytest
import torch
from fastai.basics import set_seed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.data.corpus import python_reference
from fastai_charrnn.data.permutation import MANY, DrawnStarts, Shuffle
from fastai_charrnn.data.window_dl import WindowDL

seeds = (0, 1, 42, 2**63 - 1, 2**64 - 1)
min_pvalue = 1e-4


@pytest.mark.parametrize("seed", seeds)
def test_a_shuffle_is_a_permutation_for_small_n(seed):
    for n in [*range(1, 130), 1000, 1001, 4095, 4096, 4097, 65_537]:
        shuffle = Shuffle(n, seed)
        values = shuffle[np.arange(n)]
        assert values.dtype == np.int64, n
        assert np.array_equal(np.sort(values), np.arange(n)), n
        assert np.array_equal(shuffle.positions(values), np.arange(n)), n


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 2**62), st.integers(0, 2**64 - 1), st.data())
def test_positions_invert_a_shuffle_of_any_n(n, seed, data):
    shuffle = Shuffle(n, seed)
    positions = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=20)), dtype=np.int64)
    values = shuffle[positions]
    assert len(shuffle) == n
    assert ((values >= 0) & (values < n)).all()
    assert np.array_equal(shuffle.positions(values), positions)


def test_a_shuffle_is_indexed_like_an_array():
    shuffle = Shuffle(200_000, 7)
    array = shuffle[:]
    assert shuffle[5] == array[5]
    assert np.array_equal(shuffle[10:20], array[10:20])
    assert shuffle[np.array([[1, 2]])].tolist() == [array[1:3].tolist()]
    assert list(Shuffle(70_000, 7)) == Shuffle(70_000, 7)[:].tolist()
    for position in (-1, 200_000, [0, 200_000]):
        with pytest.raises(IndexError, match="outside 0 … 199999"):
            shuffle[position]


def test_every_permutation_of_four_is_equally_likely():
    counts = collections.Counter(tuple(Shuffle(4, seed)[:].tolist()) for seed in range(24_000))
    assert len(counts) == 24
    assert stats.chisquare(list(counts.values())).pvalue > min_pvalue


large = pytest.mark.parametrize("n,seed", [(n, seed) for n in (999_983, 2**20 + 1) for seed in (0, 1, 42)])


@large
def test_a_shuffle_has_no_correlations(n, seed):
    "Those of a random permutation have the standard deviation 1/sqrt(n)."
    values = Shuffle(n, seed)[:]
    limit = 4.5 / n**0.5
    for lag in (1, 2, 3, 512, 1024):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < limit, lag
    assert abs(np.corrcoef(values, np.arange(n))[0, 1]) < limit
    other_seed = Shuffle(n, seed + 1)[:]
    assert abs(np.corrcoef(values, other_seed)[0, 1]) < limit


@large
def test_half_an_epoch_visits_half_of_every_thousandth_of_the_text(n, seed):
    values = Shuffle(n, seed)[:]
    counts = np.bincount(values[: n // 2] * 1000 // n, minlength=1000)
    assert stats.kstest((counts - n / 2000) / np.sqrt(n / 4000), "norm").pvalue > min_pvalue


@large
def test_neighbours_of_a_shuffle_are_independent(n, seed):
    values = Shuffle(n, seed)[:]
    steps = np.bincount((values[1:] - values[:-1]) % n * 500 // n, minlength=500)
    assert stats.chisquare(steps).pvalue > min_pvalue
    # pairs of neighbours as points in a square of 30 by 30 cells
    cells = (values[:-1:2] * 30 // n) * 30 + values[1::2] * 30 // n
    assert stats.chisquare(np.bincount(cells, minlength=900)).pvalue > min_pvalue
    # about half of the steps of a random permutation go up (Eulerian numbers)
    n_up = int((np.diff(values) > 0).sum())
    assert abs(n_up - (n - 1) / 2) < 4.5 * ((n + 1) / 12) ** 0.5


@pytest.fixture(scope="module")
def many():
    "Loaders of so many windows that the order is computed."
    text = "the quick brown fox jumps over it. " * 40_000
    dls = CharDataLoaders.from_text(text, seq_len=2, bs=2**15, valid="random", valid_pct=0.2, device="cpu")
    assert len(dls.train_ds) > MANY
    assert isinstance(dls.train_ds.starts, DrawnStarts)
    return dls, text


def test_an_epoch_in_a_computed_order_has_every_window_once(many):
    dls, _ = many
    set_seed(3)
    idxs = dls.train.get_idxs()
    assert isinstance(idxs, Shuffle)
    seen = np.concatenate([block.numpy() for block in dls.train._blocks([idxs])])
    assert np.array_equal(np.sort(seen), np.arange(len(dls.train_ds)))
    for dl in dls:
        assert sum(len(x) for x, _ in dl) == len(dl.dataset)


def test_a_seed_fixes_a_computed_order(many):
    dls, _ = many
    first, again = (next(iter(dls.train.seed(5)))[0] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, next(iter(dls.train))[0])


def test_computed_starts_are_those_of_the_text(many):
    dls, text = many
    x, y = dls.train_ds[11]
    start = int(dls.train_ds.starts[11])
    assert dls.vocab.decode(torch.cat([x, y[None]])) == text[start : start + 3]


class ComputedOrderDL(WindowDL):
    "Uses the order of large data for small data."

    def get_idxs(self):
        return Shuffle(self.n, self.rng.getrandbits(63)) if self.shuffle else super().get_idxs()


def _losses(dl_class, text):
    "The validation losses of five seeds."
    losses = []
    for seed in range(5):
        dls = CharDataLoaders.from_text(text, valid="tail", device="cpu", bs=128)
        dls.loaders[0] = dl_class(dls.train_ds, bs=128, shuffle=True, device=dls.device)
        learn = char_learner(dls, "loop", n_hid=64, seed=seed)
        with learn.no_bar(), learn.no_logging():
            learn.fit(2, 2e-3)
        losses.append(float(learn.validate()[0]))
    return losses


@pytest.mark.slow
def test_training_in_a_computed_order_is_as_good_as_on_randperm():
    text = python_reference()[:12_000]
    listed = _losses(WindowDL, text)
    computed = _losses(ComputedOrderDL, text)
    standard_error = np.sqrt((np.var(listed, ddof=1) + np.var(computed, ddof=1)) / 5)
    assert abs(np.mean(listed) - np.mean(computed)) < 4 * standard_error + 0.005, (listed, computed)
