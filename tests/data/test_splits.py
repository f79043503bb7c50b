"""Every window trains, validates, or lies on a border; and the audit counts what the two share."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastai_charrnn.data.splits import audit, split_streams, split_windows
from fastai_charrnn.errors import DataError

sizes = dict(
    n_chars=st.integers(40, 400), seq_len=st.integers(1, 9), stride=st.integers(1, 4), valid_pct=st.floats(0.1, 0.6)
)


def _chars(starts, n):
    return {i for s in starts for i in range(s, s + n + 1)}


def _split_or_discard(n_chars, seq_len, stride, valid, valid_pct):
    "The split. Hypothesis tries another example where the text is too short for windows in both parts; any other error fails."
    try:
        return split_windows(n_chars, seq_len, stride, valid, valid_pct)
    except DataError as e:
        assume("no validation windows" not in str(e) and "no training windows" not in str(e))
        raise


@given(valid=st.sampled_from(["random", "tail", "blocks", "last"]), **sizes)
def test_parts_are_disjoint_sets_of_windows_and_the_audit_counts_as_by_hand(valid, n_chars, seq_len, stride, valid_pct):
    s = _split_or_discard(n_chars, seq_len, stride, valid, valid_pct)
    every = set(range(0, n_chars - seq_len, stride))
    train = set(s.train.tolist())
    val = set(s.valid.tolist())
    assert train and val and not train & val and train | val <= every
    if valid in ("random", "last"):
        assert train | val == every
    seen = _chars(train, seq_len)
    assert audit(s.train, s.valid, seq_len).shared == sum(bool(_chars([v], seq_len) & seen) for v in val)


@given(valid=st.sampled_from(["tail", "blocks"]), **sizes)
def test_tail_and_blocks_share_no_character(valid, n_chars, seq_len, stride, valid_pct):
    s = _split_or_discard(n_chars, seq_len, stride, valid, valid_pct)
    assert not _chars(s.train, seq_len) & _chars(s.valid, seq_len) and audit(s.train, s.valid, seq_len).shared == 0


def test_tail_is_the_end_and_blocks_are_spread():
    tail, blocks = (split_windows(10_000, 8, 1, v, 0.2) for v in ("tail", "blocks"))
    assert tail.valid.min() == 8_000 and tail.train.max() == 8_000 - 9
    assert len(np.unique(blocks.valid // 1000)) == 10 and len(blocks.valid) == 10 * (200 - 8)


def test_the_last_tenth_validates_by_default():
    s = split_windows(10_000, 8)
    assert s.valid.tolist() == list(range(9_000, 10_000 - 8)) and s.train.tolist() == list(range(9_000 - 8))
    assert split_streams(10_000, 8) == (((0, 9_000),), ((9_000, 10_000),))


def test_the_random_draw_shares_nearly_all_characters():
    s = split_windows(10_000, 8, valid="random", valid_pct=0.2)
    a = audit(s.train, s.valid, 8)
    assert (
        a.share > 0.999
        and repr(a) == "1,998 of 1,998 validation windows (100.0%) share characters with training windows"
    )


def test_window_numbers_from_the_user():
    s = split_windows(100, 8, 1, [-1, 3, 3, 0])
    assert s.valid.tolist() == [0, 3, 91] and len(s.train) == 89
    assert split_windows(100, 8, 3, [1]).valid.tolist() == [3]


@pytest.mark.parametrize(
    "kw,says",
    [
        (dict(n_chars=5), "5 characters.*at least 10: pass seq_len<=3"),
        (dict(n_chars=1), "give a longer text"),
        (dict(seq_len=0), "seq_len=0 is not a whole number"),
        (dict(stride=1.5), "stride=1.5"),
        (dict(valid_pct=1.0), "valid_pct=1.0 is not between"),
        (dict(valid_pct=0), "not between"),
        (dict(valid="middle"), "valid must be one of 'random', 'tail'.*got 'middle'"),
        (dict(valid=[1000]), "window 1000 does not exist: there are 992 windows"),
        (dict(valid=[]), "no validation windows"),
        (dict(valid=range(992)), "no training windows"),
        (dict(valid=[0.5]), "integers"),
        (dict(valid="tail", valid_pct=0.005), "no validation windows.*larger valid_pct"),
        (dict(n_chars=50, valid="blocks"), "no validation windows.*smaller seq_len"),
    ],
)
def test_impossible_splits_say_what_would_work(kw, says):
    with pytest.raises(DataError, match=says):
        split_windows(**dict(n_chars=1000) | kw)
