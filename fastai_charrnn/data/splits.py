"""Split the windows of a text into training and validation: `split_windows`; count shared characters: `audit`.

A window is its start: the one at s covers the characters s to s+seq_len-1, and its target is s+seq_len. Up to 2**20
windows the starts are arrays. Beyond, they are computed on demand (`permutation.Starts`). This module needs NumPy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._checks import check_count, check_number, check_seed, shown
from ..errors import DataError
from .permutation import MANY, DrawnStarts, OtherStarts, Shuffle, SpanStarts, Starts

__all__ = ["SplitAudit", "split_windows", "split_streams", "audit", "describe_split"]

SPLITS = ("random", "tail", "blocks", "last")
_span_modes = ("tail", "blocks")
_max_distance = 10**12  # characters from one place to another: far more than a text has
_n_blocks = 10  # stretches of the split "blocks"
_max_audited = 100_000  # validation windows that an audit of computed starts looks at


@dataclass(frozen=True)
class Split:
    "The starts of the training and of the validation windows."

    train: np.ndarray | Starts  # (n_train,) int64
    valid: np.ndarray | Starts  # (n_valid,) int64
    spans: tuple | None = None  # (training, validation) spans of (begin, end), if stretches of text are split


@dataclass(frozen=True)
class SplitAudit:
    "What validation windows share with training windows."

    windows: int  # validation windows that were looked at
    shared: int  # how many of these share a character with a training window
    total: int | None = None  # all validation windows, if not all were looked at

    @property
    def share(self) -> float:  # from 0 to 1
        "The fraction of the validation windows that share characters with training windows."
        return self.shared / self.windows if self.windows else 0.0

    def __repr__(self) -> str:
        drawn = f", drawn from all {self.total:,}," if self.total else ""
        counts = f"{self.shared:,} of {self.windows:,} validation windows{drawn} ({self.share:.1%})"
        return f"{counts} share characters with training windows"


def split_windows(
    n_chars: int,  # length of the text
    seq_len: int = 8,  # characters in a window, without its target
    stride: int = 1,  # characters from one window's start to the next
    valid: str | Sequence[int] = "tail",  # "tail", "random", "blocks", "last", or the numbers of validation windows
    valid_pct: float = 0.1,  # the part that validates: of windows for "random", of text for "tail" and "blocks"
    seed: int = 42,  # of "random"
) -> Split:  # starts of training and validation windows
    """Split the windows of a text of `n_chars` characters.

    - "tail" validates on the end of the text, "blocks" on the ends of ten equal stretches. Training and validation
      share no character.
    - "random" is the draw of lesson 6: `RandomState(seed).permutation(N-1)[:int(valid_pct*(N-1))]` of N windows.
      Validation windows share characters with training windows.
    - "last" validates on the last window only.

    Beyond 2**20 windows the starts are `Starts`, and "random" draws by `Shuffle(N-1, seed)`.
    Raises `DataError` if the text is too short, or if there are no training or no validation windows."""
    _check(n_chars, seq_len, stride, valid_pct, seed)
    if isinstance(valid, str) and valid not in SPLITS:
        raise DataError(f"valid must be one of {', '.join(map(repr, SPLITS))}, or window numbers; got {valid!r}")
    split = _split(n_chars, seq_len, stride, valid, valid_pct, seed)
    for part, starts in (("validation", split.valid), ("training", split.train)):
        if not len(starts):
            raise _no_windows(part, n_chars, seq_len, valid, valid_pct)
    return split


def split_streams(
    n_chars: int,  # length of the text
    seq_len: int = 8,  # characters read at a time
    valid: str = "tail",  # "tail", the end of the text: the only split of streams
    valid_pct: float = 0.1,  # the part of the text that validates
) -> tuple:  # (training spans, validation spans) of (begin, end)
    """Split a text of `n_chars` characters into streams, which are read from one end to the other.

    Raises `DataError` if the text is too short or for another value of `valid`."""
    if not isinstance(valid, str) or valid != "tail":
        got = repr(valid) if isinstance(valid, str) else "window numbers"
        raise DataError(
            f'streams (stateful=True) need the end of the text as validation set: pass valid="tail", not {got}'
        )
    _check(n_chars, seq_len, 1, valid_pct, 0)
    return _spans(n_chars, valid, valid_pct)


def _split(n_chars, seq_len, stride, valid, valid_pct, seed, max_listed=MANY):
    "The split of valid options. The starts are arrays for at most `max_listed` windows."
    n_windows = len(range(0, n_chars - seq_len, stride))
    listed = n_windows <= max_listed
    mode = valid if isinstance(valid, str) else "numbers"
    spans = None
    if mode in _span_modes:
        spans = _spans(n_chars, mode, valid_pct)
        train, val = (SpanStarts(part, seq_len, stride) for part in spans)
    elif mode == "random" and not listed:
        train, val = _draw(n_windows, stride, valid_pct, seed)
    else:
        numbers = _validation_numbers(mode, valid, n_windows, valid_pct, seed)
        train = OtherStarts(n_windows, np.sort(numbers), stride)
        val = numbers * stride
    return Split(np.asarray(train[:]), np.asarray(val[:]), spans) if listed else Split(train, val, spans)


def _draw(n_windows, stride, valid_pct, seed):
    "A random split without lists."
    n_drawn = n_windows - 1  # like lesson 6, without the last window, which trains
    n_valid = int(valid_pct * n_drawn)
    shuffle = Shuffle(n_drawn, seed)
    train = DrawnStarts(shuffle, n_valid, n_drawn, last=True, stride=stride)
    return train, DrawnStarts(shuffle, 0, n_valid, last=False, stride=stride)


def _validation_numbers(mode, valid, n_windows, valid_pct, seed):
    "The numbers of the validation windows, int64."
    if mode == "numbers":
        return _user_numbers(valid, n_windows)
    if mode == "last":
        return np.array([n_windows - 1])
    # lesson 6 leaves the last window out of its draw: `get_cv_idxs(len(x)-1)`
    n_drawn = n_windows - 1
    return np.random.RandomState(seed).permutation(n_drawn)[: int(valid_pct * n_drawn)].astype(np.int64)


def _user_numbers(valid, n_windows):
    "Window numbers given by the user, sorted and distinct. Negative ones count from the end."
    numbers = as_numbers(valid, "window")
    invalid = numbers[(numbers < -n_windows) | (numbers >= n_windows)]
    if invalid.size:
        raise DataError(
            f"validation window {invalid[0]} does not exist: there are {n_windows:,} windows, numbered from 0"
        )
    return np.unique(numbers % n_windows)


def as_numbers(
    valid: object,  # what a user passed
    what: str,  # what the numbers count
) -> np.ndarray:  # (n,) int64
    "An array of the numbers of what validates. Raises `DataError` for anything but integers."
    allowed = ", ".join(map(repr, SPLITS[:2] if what == "document" else SPLITS))
    try:
        numbers = np.asarray(valid).reshape(-1)
        if numbers.size and numbers.dtype.kind not in "iu":
            raise TypeError
        return numbers.astype(np.int64)
    except (TypeError, ValueError):
        raise DataError(f"valid={shown(valid)}: {what} numbers are integers; or pass one of {allowed}") from None


def _spans(n_chars, mode, valid_pct):
    "The stretches that train and those that validate. A window across a border belongs to neither."
    n_stretches = 1 if mode == "tail" else _n_blocks
    edges = np.linspace(0, n_chars, n_stretches + 1).astype(np.int64).tolist()
    cuts = [int(begin + (end - begin) * (1 - valid_pct)) for begin, end in zip(edges, edges[1:])]
    return tuple(zip(edges, cuts)), tuple(zip(cuts, edges[1:]))


def check_valid_pct(
    valid_pct: float,  # the part that validates
):
    "Raise `DataError` unless it is a number between 0 and 1."
    check_number("valid_pct", valid_pct, 0, 1, inside=True, hint="pass .1 to validate on a tenth of the text")


def _check(n_chars, seq_len, stride, valid_pct, seed):
    check_count("seq_len", seq_len, high=_max_distance)
    check_count("stride", stride, high=_max_distance)
    check_valid_pct(valid_pct)
    check_seed("seed", seed, 32)
    if n_chars < seq_len + 2:
        way_out = f"pass seq_len<={n_chars - 2} or a longer text" if n_chars > 2 else "give a longer text"
        raise DataError(
            f"the text has {n_chars} characters; one training and one validation window of seq_len={seq_len} "
            f"and their targets need at least {seq_len + 2}: {way_out}"
        )


def _no_windows(part, n_chars, seq_len, valid, valid_pct):
    "The error for a split without training or without validation windows."
    given = repr(valid) if isinstance(valid, str) else "window numbers"
    if not isinstance(valid, str):
        way_out = "name at least one window, and leave some to train on"
    elif valid == "blocks" or part == "training":
        way_out = 'pass a smaller seq_len, a longer text, or valid="last"'
    else:
        way_out = f'pass a larger valid_pct (now {valid_pct}), a smaller seq_len, a longer text, or valid="last"'
    return DataError(f"no {part} windows: {n_chars:,} characters, seq_len={seq_len}, valid={given}; {way_out}")


def audit(
    train: np.ndarray | Starts,  # starts of the training windows
    valid: np.ndarray | Starts,  # starts of the validation windows
    seq_len: int,  # characters in a window, without its target
) -> SplitAudit:  # how many validation windows share a character with a training window
    """Count the validation windows that contain, as input or target, a character that a training window contains too.

    If the training windows are `Starts`, at most 100,000 evenly spaced validation windows are looked at."""
    if not len(valid) or not len(train):
        return SplitAudit(len(valid), 0)
    if isinstance(train, Starts):
        return _audit_computed(train, valid, seq_len)
    if isinstance(valid, Starts):
        valid = valid.to_numpy()
    size = int(max(train.max(), valid.max())) + seq_len + 2
    n_begun = np.bincount(train, minlength=size)
    n_ended = np.bincount(train + seq_len + 1, minlength=size)
    is_trained = np.cumsum(n_begun - n_ended) > 0
    n_trained = np.concatenate([[0], np.cumsum(is_trained)])  # entry i: how many of the first i characters train
    shares = n_trained[valid + seq_len + 1] > n_trained[valid]
    return SplitAudit(len(valid), int(shares.sum()))


def _audit_computed(train, valid, seq_len):
    "An audit that asks for each neighbouring start whether a training window starts there."
    n_audited = min(len(valid), _max_audited)
    sample = valid[np.unique(np.linspace(0, len(valid) - 1, n_audited).astype(np.int64))]
    shares = np.zeros(len(sample), bool)
    for distance in range(-seq_len, seq_len + 1):
        shares |= train.holds(sample + distance)
    total = len(valid) if len(sample) < len(valid) else None
    return SplitAudit(len(sample), int(shares.sum()), total)


def describe_split(
    valid: str | Sequence[int],  # as given to `split_windows`
    valid_pct: float,  # as given to `split_windows`
    seed: int,  # as given to `split_windows`
) -> str:  # a few words
    "Describe how a split was made, for `dls` and model files."
    if not isinstance(valid, str):
        return "windows given by number"
    return {
        "random": f"random {valid_pct:.0%}, seed {seed}, shares characters with train",
        "tail": f"the last {valid_pct:.0%} of the text",
        "blocks": f"the last {valid_pct:.0%} of each of {_n_blocks} stretches",
        "last": "only the last window: its loss is not reliable",
    }[valid]
