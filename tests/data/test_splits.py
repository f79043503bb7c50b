"""Every window trains, validates or crosses a border, and the audit counts the windows that share characters."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastai_charrnn.data.splits import audit, split_streams, split_windows
from fastai_charrnn.errors import DataError

sizes = dict(
    n_chars=st.integers(40, 400), seq_len=st.integers(1, 9), stride=st.integers(1, 4), valid_pct=st.floats(0.1, 0.6)
)


def _chars(starts, seq_len):
    "The positions of all characters of these windows, targets included."
    return {i for start in starts for i in range(start, start + seq_len + 1)}


def _split_or_discard(n_chars, seq_len, stride, valid, valid_pct):
    """The split. Hypothesis discards the example if the text is too short for windows in both parts.

    Any other error fails the test."""
    try:
        return split_windows(n_chars, seq_len, stride, valid, valid_pct)
    except DataError as e:
        assume("no validation windows" not in str(e) and "no training windows" not in str(e))
        raise


@given(valid=st.sampled_from(["random", "tail", "blocks", "last"]), **sizes)
def test_parts_are_disjoint_sets_of_windows(valid, n_chars, seq_len, stride, valid_pct):
    split = _split_or_discard(n_chars, seq_len, stride, valid, valid_pct)
    all_starts = set(range(0, n_chars - seq_len, stride))
    train_starts = set(split.train.tolist())
    valid_starts = set(split.valid.tolist())
    assert train_starts
    assert valid_starts
    assert not train_starts & valid_starts
    assert train_starts | valid_starts <= all_starts
    if valid in ("random", "last"):
        assert train_starts | valid_starts == all_starts


@given(valid=st.sampled_from(["random", "tail", "blocks", "last"]), **sizes)
def test_the_audit_counts_as_by_hand(valid, n_chars, seq_len, stride, valid_pct):
    split = _split_or_discard(n_chars, seq_len, stride, valid, valid_pct)
    trained = _chars(split.train.tolist(), seq_len)
    shared = [start for start in split.valid.tolist() if _chars([start], seq_len) & trained]
    assert audit(split.train, split.valid, seq_len).shared == len(shared)


@given(valid=st.sampled_from(["tail", "blocks"]), **sizes)
def test_tail_and_blocks_share_no_character(valid, n_chars, seq_len, stride, valid_pct):
    split = _split_or_discard(n_chars, seq_len, stride, valid, valid_pct)
    assert not _chars(split.train, seq_len) & _chars(split.valid, seq_len)
    assert audit(split.train, split.valid, seq_len).shared == 0


def test_tail_validates_on_the_end_of_the_text():
    split = split_windows(10_000, 8, 1, "tail", 0.2)
    assert split.valid.min() == 8_000
    assert split.train.max() == 8_000 - 9


def test_blocks_validate_on_ten_stretches():
    split = split_windows(10_000, 8, 1, "blocks", 0.2)
    assert len(np.unique(split.valid // 1000)) == 10
    assert len(split.valid) == 10 * (200 - 8)


def test_the_last_tenth_validates_by_default():
    split = split_windows(10_000, 8)
    assert split.valid.tolist() == list(range(9_000, 10_000 - 8))
    assert split.train.tolist() == list(range(9_000 - 8))
    assert split_streams(10_000, 8) == (((0, 9_000),), ((9_000, 10_000),))


def test_a_random_split_shares_nearly_all_characters():
    split = split_windows(10_000, 8, valid="random", valid_pct=0.2)
    result = audit(split.train, split.valid, 8)
    assert result.share > 0.999
    assert repr(result) == "1,998 of 1,998 validation windows (100.0%) share characters with training windows"


def test_validation_windows_can_be_given_by_number():
    split = split_windows(100, 8, 1, [-1, 3, 3, 0])
    assert split.valid.tolist() == [0, 3, 91]
    assert len(split.train) == 89
    assert split_windows(100, 8, 3, [1]).valid.tolist() == [3]


@pytest.mark.parametrize(
    "options,message",
    [
        (dict(n_chars=5), "5 characters.*at least 10: pass seq_len<=3"),
        (dict(n_chars=1), "give a longer text"),
        (dict(seq_len=0), "seq_len=0 is not a whole number"),
        (dict(stride=1.5), "stride=1.5"),
        (dict(valid_pct=1.0), "valid_pct=1.0 is not a number between"),
        (dict(valid_pct=0), "not a number between"),
        (dict(valid="middle"), "valid must be one of 'random', 'tail'.*got 'middle'"),
        (dict(valid=[1000]), "window 1000 does not exist: there are 992 windows"),
        (dict(valid=[]), "no validation windows"),
        (dict(valid=range(992)), "no training windows"),
        (dict(valid=[0.5]), "integers"),
        (dict(valid="tail", valid_pct=0.005), "no validation windows.*larger valid_pct"),
        (dict(n_chars=50, valid="blocks"), "no validation windows.*smaller seq_len"),
        (dict(seed=-1), "seed=-1"),
        (dict(seed=2**32), "seed=4294967296"),
        (dict(seed=1.5), "seed=1.5"),
        (dict(seed=None), "seed=None"),
    ],
)
def test_errors_of_impossible_splits_name_what_would_work(options, message):
    with pytest.raises(DataError, match=message):
        split_windows(**dict(n_chars=1000) | options)
