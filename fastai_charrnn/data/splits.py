"""Which windows train and which validate: `split_windows`, and `audit`, which counts the characters they share.

A window is known by its start: the one at s covers the characters s … s+seq_len-1 and its target s+seq_len. Up to 2**20 windows
the starts are arrays; beyond, they are computed when asked for (`order.Starts`). NumPy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._utils import is_count
from ..errors import DataError
from .permutation import MANY, DrawnStarts, OtherStarts, Shuffle, SpanStarts, Starts

__all__ = ["Split", "SplitAudit", "split_windows", "split_streams", "audit", "describe_split"]

_names = ("random", "tail", "blocks", "last")
_n_blocks = 10  # "blocks": the text in ten stretches, the end of each validates
_n_audited = 100_000  # validation windows looked at where there are too many


@dataclass(frozen=True)
class Split:
    "The starts of the windows that train and of those that validate."

    train: np.ndarray | Starts  # (n_train,) int64
    valid: np.ndarray | Starts  # (n_valid,) int64
    spans: tuple | None = (
        None  # where the split is by stretches of text: (training spans, validation spans) of (begin, end)
    )


@dataclass(frozen=True)
class SplitAudit:
    "What validation shares with training."

    windows: int  # validation windows looked at
    shared: int  # of these, how many hold a character that some training window holds too
    of: int | None = None  # how many there are, where they are too many to look at all

    @property
    def share(self) -> float:  # from 0 to 1
        "The part of the validation windows that share characters with training ones."
        return self.shared / self.windows if self.windows else 0.0

    def __repr__(self) -> str:
        drawn = f", drawn from all {self.of:,}," if self.of else ""
        return f"{self.shared:,} of {self.windows:,} validation windows{drawn} ({self.share:.1%}) share characters with training windows"


def split_windows(
    n_chars: int,  # length of the text, in characters
    seq_len: int = 8,  # characters in a window; its target is one more
    stride: int = 1,  # a window starts at every `stride`-th character
    valid: str
    | Sequence[int] = "tail",  # "tail", "random", "blocks", "last", or the numbers of the windows that validate
    valid_pct: float = 0.1,  # the part that validates, for "random" (of windows), "tail" and "blocks" (of text)
    seed: int = 42,  # what "random" draws with
) -> Split:  # starts of training and validation windows
    """Split the windows of a text of `n_chars` characters.

    "tail" validates on the end of the text, "blocks" on the ends of ten equal stretches. Both share no character with training.
    "random" is lesson 6's draw: `RandomState(seed).permutation(N-1)[:int(valid_pct*(N-1))]` of N windows.
    Its validation windows share characters with training windows. "last" validates on the last window only.
    Of more than 2**20 windows no list is made: the starts are `Starts`, and "random" draws by `Shuffle(N-1, seed)`.
    Raises `DataError` if the text is too short or the split leaves nothing to train or to validate on."""
    _check(n_chars, seq_len, stride, valid_pct, seed)
    n_windows = len(range(0, n_chars - seq_len, stride))
    if isinstance(valid, str) and valid not in _names:
        raise DataError(f"valid must be one of {', '.join(map(repr, _names))}, or window numbers; got {valid!r}")
    split = (_many if n_windows > MANY else _few)(n_windows, n_chars, seq_len, stride, valid, valid_pct, seed)
    return _checked(split, n_chars, seq_len, valid, valid_pct)


def split_streams(
    n_chars: int,  # length of the text, in characters
    seq_len: int = 8,  # characters read at a time
    valid: str = "tail",  # "tail", the end of the text: the only split of streams
    valid_pct: float = 0.1,  # the part of the text that validates
) -> tuple:  # (training spans, validation spans) of (begin, end)
    """Split a text of `n_chars` characters for reading from one end to the other.

    Raises `DataError` if that leaves nothing to train or to validate on."""
    if not isinstance(valid, str) or valid != "tail":
        got = repr(valid) if isinstance(valid, str) else "window numbers"
        raise DataError(
            f'streams (stateful=True) can only validate on the end of the text: pass valid="tail", not {got}'
        )
    _check(n_chars, seq_len, 1, valid_pct, 0)
    return _spans(n_chars, valid, valid_pct)


def _few(n_windows, n_chars, seq_len, stride, valid, valid_pct, seed):
    "The split as arrays."
    if isinstance(valid, str) and valid in ("tail", "blocks"):
        spans = _spans(n_chars, valid, valid_pct)
        return Split(*(SpanStarts(s, seq_len, stride).to_numpy() for s in spans), spans)
    # lesson 6 leaves the last window out of its draw: `get_cv_idxs(len(x)-1)`
    if not isinstance(valid, str):
        chosen = _numbers(valid, n_windows)
    else:
        if valid == "last":
            chosen = np.array([n_windows - 1])
        else:
            chosen = np.random.RandomState(seed).permutation(n_windows - 1)[: int(valid_pct * (n_windows - 1))]
    return Split(OtherStarts(n_windows, np.sort(chosen), stride).to_numpy(), chosen.astype(np.int64) * stride)


def _many(n_windows, n_chars, seq_len, stride, valid, valid_pct, seed):
    "The split in no memory."
    if not isinstance(valid, str) or valid == "last":
        chosen = np.array([n_windows - 1]) if isinstance(valid, str) else _numbers(valid, n_windows)
        return Split(OtherStarts(n_windows, chosen, stride), chosen * stride)
    if valid == "random":
        shuffle = Shuffle(n_windows - 1, seed)
        cut = int(valid_pct * (n_windows - 1))
        return Split(
            DrawnStarts(shuffle, cut, n_windows - 1, True, stride), DrawnStarts(shuffle, 0, cut, False, stride)
        )
    spans = _spans(n_chars, valid, valid_pct)
    return Split(*(SpanStarts(s, seq_len, stride) for s in spans), spans)


def _check(n_chars, seq_len, stride, valid_pct, seed):
    for name, v in (("seq_len", seq_len), ("stride", stride)):
        if not is_count(v):
            raise DataError(f"{name}={v!r} is not a whole number from 1 up")
    if not 0 < valid_pct < 1:
        raise DataError(f"valid_pct={valid_pct} is not between 0 and 1; pass .1 to validate on a tenth of the text")
    if not (is_count(seed) or seed == 0) or seed >= 2**32:
        raise DataError(f"seed={seed!r} is not a whole number from 0 to 2**32-1")
    if n_chars < seq_len + 2:
        way = f"pass seq_len<={n_chars - 2} or a longer text" if n_chars > 2 else "give a longer text"
        raise DataError(
            f"the text has {n_chars} characters; one training and one validation window of seq_len={seq_len} and their targets need at least {seq_len + 2}: {way}"
        )


def _numbers(valid, n_windows):
    "Window numbers as given by the user, negative ones counted from the end."
    chosen = np.asarray(valid).reshape(-1)
    if chosen.size and chosen.dtype.kind not in "iu":
        raise DataError(f"valid={valid!r}: window numbers are integers, not {chosen.dtype}")
    chosen = chosen.astype(np.int64)
    if (bad := chosen[(chosen < -n_windows) | (chosen >= n_windows)]).size:
        raise DataError(f"validation window {bad[0]} does not exist: there are {n_windows:,} windows, numbered from 0")
    return np.unique(chosen % n_windows)


def _spans(n_chars, valid, valid_pct):
    "The stretches that train and those that validate; a window across a border belongs to neither."
    edges = np.linspace(0, n_chars, 2 if valid == "tail" else _n_blocks + 1).astype(np.int64)
    cuts = [int(a + (b - a) * (1 - valid_pct)) for a, b in zip(edges, edges[1:])]
    return tuple(zip(map(int, edges), cuts)), tuple(zip(cuts, map(int, edges[1:])))


def _checked(split, n_chars, seq_len, valid, valid_pct):
    for name, part in (("validation", split.valid), ("training", split.train)):
        if not len(part):
            given = repr(valid) if isinstance(valid, str) else "window numbers"
            raise DataError(
                f"no {name} windows: {n_chars:,} characters, seq_len={seq_len}, valid={given}; {_way_out(name, valid, valid_pct)}"
            )
    return split


def _way_out(name, valid, valid_pct):
    "What to do about a split without `name` windows."
    if not isinstance(valid, str):
        return "name at least one window, and leave some to train on"
    if valid == "blocks" or name == "training":
        return 'pass a smaller seq_len, a longer text, or valid="last"'
    return f'pass a larger valid_pct (now {valid_pct}), a smaller seq_len, a longer text, or valid="last"'


def audit(
    train: np.ndarray | Starts,  # starts of the training windows
    valid: np.ndarray | Starts,  # starts of the validation windows
    seq_len: int,  # characters in a window; its target is one more
) -> SplitAudit:  # how many validation windows share a character with a training window
    """Count the validation windows that hold (as input or target) a character of the text that a training window holds too.

    Where the training windows are `Starts`, at most 100,000 validation windows are looked at, drawn evenly."""
    if not len(valid) or not len(train):
        return SplitAudit(len(valid), 0)
    if isinstance(train, Starts):
        some = valid[np.unique(np.linspace(0, len(valid) - 1, min(len(valid), _n_audited)).astype(np.int64))]
        shared = np.zeros(len(some), bool)
        for d in range(-seq_len, seq_len + 1):
            shared |= train.holds(some + d)
        return SplitAudit(len(some), int(shared.sum()), len(valid) if len(some) < len(valid) else None)
    if isinstance(valid, Starts):
        valid = valid.to_numpy()
    size = int(max(train.max(), valid.max())) + seq_len + 2
    change = np.bincount(train, minlength=size) - np.bincount(train + seq_len + 1, minlength=size)
    seen = np.concatenate([[0], np.cumsum(np.cumsum(change) > 0)])  # seen[i]: how many of the first i characters train
    return SplitAudit(len(valid), int((seen[valid + seq_len + 1] > seen[valid]).sum()))


def describe_split(
    valid: str | Sequence[int],  # as given to `split_windows`
    valid_pct: float,  # likewise
    seed: int,  # likewise
) -> str:  # a few words
    "How a split was made, in words, for `dls` and model files."
    if not isinstance(valid, str):
        return "windows given by number"
    return {
        "random": f"random {valid_pct:.0%}, seed {seed}, shares characters with train",
        "tail": f"the last {valid_pct:.0%} of the text",
        "blocks": f"the last {valid_pct:.0%} of each of {_n_blocks} stretches",
        "last": "the last window alone: its loss says little",
    }[valid]
