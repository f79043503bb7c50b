"""Splits of large texts are computed on demand. They equal the listed splits and take no memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastai_charrnn.data import splits
from fastai_charrnn.data.permutation import MANY, DrawnStarts, OtherStarts, SpanStarts, Starts
from fastai_charrnn.data.splits import audit, split_windows

example = dict(n_chars=st.integers(30, 400), seq_len=st.integers(1, 6), stride=st.integers(1, 5))
modes = st.sampled_from(["tail", "blocks", "random", "last", "numbers"])


def _both(n_chars, seq_len, stride, mode):
    "The computed and the listed split."
    n_windows = len(range(0, n_chars - seq_len, stride))
    valid = [0, n_windows - 1, n_windows // 2] if mode == "numbers" else mode
    return [splits._split(n_chars, seq_len, stride, valid, 0.3, 42, max_listed) for max_listed in (0, MANY)]


@settings(deadline=None, max_examples=100)
@given(mode=modes, **example)
def test_computed_splits_have_the_windows_of_listed_ones(n_chars, seq_len, stride, mode):
    computed, listed = _both(n_chars, seq_len, stride, mode)
    train = np.asarray(computed.train[:])
    val = np.asarray(computed.valid[:])
    if mode != "random":
        assert np.array_equal(train, listed.train)
        assert np.array_equal(np.sort(val), np.sort(listed.valid))
        return
    all_starts = np.arange(0, n_chars - seq_len, stride)
    assert np.array_equal(np.sort(np.concatenate([train, val])), all_starts)
    assert len(val) == len(listed.valid)
    assert all_starts[-1] in train


@settings(deadline=None, max_examples=100)
@given(mode=modes, **example)
def test_computed_starts_tell_which_they_hold(n_chars, seq_len, stride, mode):
    computed, _ = _both(n_chars, seq_len, stride, mode)
    positions = np.arange(-3, n_chars + 3)
    assert isinstance(computed.train, Starts)
    for starts in (computed.train, computed.valid):
        if isinstance(starts, Starts):
            assert np.array_equal(starts.holds(positions), np.isin(positions, starts[:]))


@settings(deadline=None, max_examples=100)
@given(mode=modes, **example)
def test_the_audit_of_computed_starts_is_that_of_listed_ones(n_chars, seq_len, stride, mode):
    computed, _ = _both(n_chars, seq_len, stride, mode)
    result = audit(computed.train, computed.valid, seq_len)
    assert result == audit(np.asarray(computed.train[:]), np.asarray(computed.valid[:]), seq_len)
    assert result.total is None


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
    split = split_windows(10**10, 8, 1, valid)
    split.train[:1000], split.valid[:1000]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(split.train, kind)
    assert len(split.train) + len(split.valid) > 10**10 - 10 * 16 - 9
    assert peak < 10**6
    result = audit(split.train, split.valid, 8)
    assert result.shared == (0 if kind is SpanStarts else result.windows)
    assert result.total is None or f"drawn from all {result.total:,}" in repr(result)
