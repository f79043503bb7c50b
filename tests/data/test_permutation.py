"""The epoch's order computed on the fly is a permutation, looks like a shuffle, and trains like one; splits need no lists."""

import collections
import tracemalloc

import numpy as np
import pytest
import torch
from fastai.basics import set_seed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastai_charrnn.all import CharDataLoaders, DataError, audit, char_learner, split_windows
from fastai_charrnn.data.corpus import python_reference
from fastai_charrnn.data.permutation import MANY, DrawnStarts, OtherStarts, Shuffle, SpanStarts
from fastai_charrnn.data.window_dl import WindowDL

seeds = (0, 1, 42, 2**63 - 1, 2**64 - 1)


def test_permutation_for_every_small_n():
    for n in [*range(1, 130), 1000, 1001, 4095, 4096, 4097, 65_537]:
        for seed in seeds:
            s = Shuffle(n, seed)
            v = s[np.arange(n)]
            assert v.dtype == np.int64 and np.array_equal(np.sort(v), np.arange(n)), (n, seed)
            assert np.array_equal(s.positions(v), np.arange(n)), (n, seed)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 2**62), st.integers(0, 2**64 - 1), st.data())
def test_inverse_and_range_for_any_n(n, seed, data):
    s = Shuffle(n, seed)
    i = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=20)), dtype=np.int64)
    v = s[i]
    assert len(s) == n and ((v >= 0) & (v < n)).all() and np.array_equal(s.positions(v), i)


def test_reads_like_an_array():
    s = Shuffle(200_000, 7)
    whole = s[:]
    assert (
        s[5] == whole[5]
        and np.array_equal(s[10:20], whole[10:20])
        and s[np.array([[1, 2]])].tolist() == [whole[1:3].tolist()]
    )
    assert list(Shuffle(70_000, 7)) == Shuffle(70_000, 7)[:].tolist()
    for i in (-1, 200_000, [0, 200_000]):
        with pytest.raises(IndexError, match="outside 0 … 199999"):
            s[i]


def test_every_permutation_of_four_is_equally_likely():
    seen = collections.Counter(tuple(Shuffle(4, seed)[:].tolist()) for seed in range(24_000))
    assert len(seen) == 24 and stats.chisquare(list(seen.values())).pvalue > 1e-4


@pytest.mark.parametrize("n", [999_983, 2**20 + 1])
@pytest.mark.parametrize("seed", [0, 1, 42])
def test_looks_like_a_shuffle(n, seed):
    # of correlations, in which a shuffle's deviate by 1/sqrt(n)
    v = Shuffle(n, seed)[:]
    limit = 4.5 / n**0.5
    for lag in (1, 2, 3, 512, 1024):
        assert abs(np.corrcoef(v[:-lag], v[lag:])[0, 1]) < limit, lag
    assert abs(np.corrcoef(v, np.arange(n))[0, 1]) < limit
    assert abs(np.corrcoef(v, Shuffle(n, seed + 1)[:])[0, 1]) < limit  # another seed, another order
    early = np.bincount(
        v[: n // 2] * 1000 // n, minlength=1000
    )  # coverage: half an epoch visits half of every thousandth of the text
    assert stats.kstest((early - n / 2000) / np.sqrt(n / 4000), "norm").pvalue > 1e-4
    steps = np.bincount((v[1:] - v[:-1]) % n * 500 // n, minlength=500)
    assert stats.chisquare(steps).pvalue > 1e-4
    first = np.bincount(
        (v[:-1:2] * 30 // n) * 30 + v[1::2] * 30 // n, minlength=900
    )  # neighbours in the order as points in a square
    assert stats.chisquare(first).pvalue > 1e-4
    assert (
        abs(int((np.diff(v) > 0).sum()) - (n - 1) / 2) < 4.5 * ((n + 1) / 12) ** 0.5
    )  # ascents, of which a shuffle has about half (Eulerian numbers)


def test_batches_of_an_epoch_hold_every_window_once():
    text = "the quick brown fox jumps over it. " * 40_000
    dls = CharDataLoaders.from_text(text, seq_len=2, bs=2**15, valid="random", valid_pct=0.2, device="cpu")
    assert len(dls.train_ds) > MANY and isinstance(dls.train_ds.starts, DrawnStarts)
    set_seed(3)
    idxs = dls.train.get_idxs()
    assert isinstance(idxs, Shuffle) and np.array_equal(
        np.sort(np.concatenate([o.numpy() for o in dls.train._blocks(idxs)])), np.arange(len(dls.train_ds))
    )
    assert sum(len(x) for x, _ in dls.train) == len(dls.train_ds) and sum(len(x) for x, _ in dls.valid) == len(
        dls.valid_ds
    )
    a, b = (next(iter(dls.train.seed(5)))[0] for _ in range(2))
    assert torch.equal(a, b) and not torch.equal(a, next(iter(dls.train))[0])
    x, y = dls.train_ds[11]
    at = int(dls.train_ds.starts[11])
    assert dls.vocab.decode(torch.cat([x, y[None]])) == text[at : at + 3]


class Computed(WindowDL):
    "Small data in the order that large data take."

    def get_idxs(self):
        return Shuffle(self.n, self.rng.getrandbits(63)) if self.shuffle else super().get_idxs()


@pytest.mark.slow
def test_trains_as_on_randperm():
    text, losses = python_reference()[:60_000], {}
    for cls in (WindowDL, Computed):
        losses[cls] = []
        for seed in range(5):
            dls = CharDataLoaders.from_text(text, valid="tail", device="cpu", bs=128)
            dls.loaders[0] = cls(dls.train_ds, bs=128, shuffle=True, device=dls.device)
            learn = char_learner(dls, "loop", n_hid=64, seed=seed)
            with learn.no_bar(), learn.no_logging():
                learn.fit(2, 2e-3)
            losses[cls].append(float(learn.validate()[0]))
    a, b = losses.values()
    assert abs(np.mean(a) - np.mean(b)) < 4 * np.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / 5) + 0.005, losses


@settings(deadline=None, max_examples=100)
@given(
    st.integers(30, 400),
    st.integers(1, 6),
    st.integers(1, 5),
    st.sampled_from(["tail", "blocks", "random", "last", "numbers"]),
)
def test_splits_without_lists_are_the_lists(n_chars, n, stride, kind):
    import fastai_charrnn.data.splits as splits

    N = len(range(0, n_chars - n, stride))
    valid = [0, N - 1, N // 2] if kind == "numbers" else kind
    lazy, listed = (splits._split(n_chars, n, stride, valid, 0.3, 42, max_listed) for max_listed in (0, MANY))
    train, val = (np.asarray(o[:]) for o in (lazy.train, lazy.valid))
    every = np.arange(0, n_chars - n, stride)
    if kind == "random":
        assert (
            np.array_equal(np.sort(np.concatenate([train, val])), every)
            and len(val) == len(listed.valid)
            and every[-1] in train
        )
    else:
        assert np.array_equal(train, listed.train) and np.array_equal(np.sort(val), np.sort(listed.valid))
    around = np.arange(-3, n_chars + 3)
    for part, its in ((lazy.train, train), (lazy.valid, val)):
        if hasattr(part, "holds"):
            assert np.array_equal(part.holds(around), np.isin(around, its))
    if len(train) and len(val):
        a = audit(lazy.train, lazy.valid, n)
        assert a == audit(train, val, n) and a.total is None


@pytest.mark.parametrize(
    "valid,kind",
    [
        ("random", DrawnStarts),
        ("tail", SpanStarts),
        ("blocks", SpanStarts),
        ("last", OtherStarts),
        ([3, -1], OtherStarts),
    ],
)
def test_a_split_of_ten_billion_windows_takes_no_memory(valid, kind):
    tracemalloc.start()
    s = split_windows(10**10, 8, 1, valid)
    s.train[:1000], s.valid[:1000]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(s.train, kind) and len(s.train) + len(s.valid) > 10**10 - 10 * 16 - 9 and peak < 10**6
    a = audit(s.train, s.valid, 8)
    assert a.shared == (0 if kind is SpanStarts else a.windows) and (
        a.total is None or f"drawn from all {a.total:,}" in repr(a)
    )


def test_split_seeds_are_checked():
    for seed in (-1, 2**32, 1.5, None):
        with pytest.raises(DataError, match="seed="):
            split_windows(1000, seed=seed)
