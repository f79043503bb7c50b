"""What precedes each character, as numbers to look up: `hashed_contexts`.

A context is hashed to 64 bits, so all contexts of a text are computed at once. Among ten million contexts, two that
differ have equal hashes with a probability of about 3 in a million.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

__all__ = [
    "hashed_contexts",
    "word_positions",
    "last_kinds",
    "random_numbers",
    "shifted",
    "text_before",
    "combined",
    "N_KINDS",
    "LONGER_ORDERS",
    "OF_WORDS",
    "RECENT",
]

N_KINDS = 8  # kinds of characters
# rows of `hashed_contexts`: two and more characters, words before, and those whose last follower says much
LONGER_ORDERS = slice(2, 7)
OF_WORDS = slice(8, 11)
RECENT = slice(3, 11)

_factor = np.uint64(0x9E3779B97F4A7C15)
_shift = np.uint64(31)
_orders = range(7)
_sentence_ends = ".!?"
_n_ending = 3  # letters
_n_kinds_before = 8
_max_column = 255
_marks = 5, 6  # kinds


def combined(
    a: np.ndarray,  # uint64
    b: np.ndarray | np.uint64,  # uint64
) -> np.ndarray:  # uint64: a hash of both
    "Hash pairs."
    a = (a ^ (a >> _shift)) * _factor + b
    return (a ^ (a >> _shift)) * _factor


def random_numbers(n: int) -> np.ndarray:  # (n,) uint64
    "A fixed number for each character."
    return np.random.default_rng(0).integers(0, 2**64, n, dtype=np.uint64)


def shifted(
    values: np.ndarray,  # (n,)
    k: int,  # places
) -> np.ndarray:  # (n,)
    "The value k places before each one, 0 where there is none."
    earlier = np.zeros_like(values)
    earlier[k:] = values[: max(len(values) - k, 0)]
    return earlier


def text_before(
    chars: np.ndarray,  # (n,) uint64: a number for each character
    length: int,
) -> np.ndarray:  # (n,) uint64
    "The hash of so many characters before each one."
    return _hashed(chars, range(length, 0, -1))


def hashed_contexts(
    ids: np.ndarray,  # (n,) characters
    itos: Sequence[str],  # the vocabulary
) -> np.ndarray:  # (17, n) uint64
    """What precedes each character, in 17 ways.

    0 to 6 characters; the letters of its word so far, alone, with the word before, with the two words before, and with
    the second word before; the column in the line; the kinds of 8 characters; the characters from the fourth to the
    second before; the first and the third before; the word so far with the endings of three words before; the word so
    far with the last mark. Those of the word so far, the column and the kinds have the last character too. The case of
    letters does not count in words."""
    chars = random_numbers(len(itos))[ids]
    kinds = _kinds(itos)[ids]
    before = [text_before(chars, k) for k in _orders]
    words = _words(ids, itos)
    current = combined(words.current, before[1])
    with_last = combined(current, words.last)
    contexts = [
        *before,
        current,
        with_last,
        combined(with_last, words.before_last),
        combined(~current, words.before_last),
        combined(before[1], _columns(ids, itos)),
        combined(before[1], text_before(random_numbers(N_KINDS)[kinds], _n_kinds_before)),
        _hashed(chars, (4, 3, 2)),
        _hashed(chars, (3, 1)),
        combined(words.endings, current),
        combined(_last_marks(ids, kinds), current),
    ]
    return np.stack(contexts)


def word_positions(
    ids: np.ndarray,  # (n,) characters
    itos: Sequence[str],  # the vocabulary
) -> np.ndarray:  # (n,) int64
    "How many letters of its word precede each character."
    return np.arange(len(ids)) - _word_begins(ids, itos)[:-1]


def last_kinds(
    ids: np.ndarray,  # (n,) characters
    itos: Sequence[str],  # the vocabulary
    n: int,  # characters before
) -> np.ndarray:  # (n,) int64 below N_KINDS**n
    "The kinds of the characters before each one, as one number."
    kinds = _kinds(itos)[ids]
    return sum((shifted(kinds, k) * N_KINDS ** (k - 1) for k in range(1, n + 1)), np.zeros(len(ids), np.int64))


def _hashed(chars, distances: Iterable[int]):
    "The hash of the characters at these distances before each one."
    hashed = np.zeros(len(chars), np.uint64)
    for k in distances:
        hashed = combined(hashed, shifted(chars, k))
    return hashed


def _kinds(itos):
    "A number below `N_KINDS` for each character."
    return np.array([_kind(s) for s in itos])


def _kind(s):
    "White space, small and capital letters, other letters, digits, ends of sentences, other marks, and tokens."
    if len(s) != 1:
        return 7
    tests = [s.isspace(), s.islower(), s.isupper(), s.isalpha(), s.isdecimal(), s in _sentence_ends]
    return [*tests, True].index(True)


def _columns(ids, itos):
    "How many characters of its line precede each one, from 255 on the same."
    is_end = np.array([s == "\n" for s in itos])[ids]
    return np.minimum(np.arange(len(ids)) - _after_last(is_end)[:-1], _max_column).astype(np.uint64)


def _last_marks(ids, kinds):
    "The last character before each one that is a mark, such as a comma."
    last = _after_last(np.isin(kinds, _marks))[:-1]
    return np.where(last > 0, ids[np.maximum(last - 1, 0)] + 1, 0).astype(np.uint64)


def _is_letter(itos):
    return np.array([len(s) == 1 and (s.isalpha() or s == "'") for s in itos])


def _word_begins(ids, itos):
    "For each position, and the end of the text: where the word that reaches up to it begins."
    return _after_last(~_is_letter(itos)[ids])


def _after_last(flags):
    "For each position, and the end of the text: the place after the last flag before it, 0 where there is none."
    after = np.flatnonzero(flags) + 1
    places = np.zeros(len(flags) + 1, np.int64)
    places[after] = after
    return np.maximum.accumulate(places)


class _Words(NamedTuple):
    "Hashes (n,) of letters before each position."

    current: np.ndarray  # of the word so far
    last: np.ndarray  # of the word before
    before_last: np.ndarray  # of the second word before
    endings: np.ndarray  # of the last letters of three words before


def _words(ids, itos):
    numbers = {s: i for i, s in enumerate(itos)}
    lower = np.array([numbers.get(s.lower(), i) for i, s in enumerate(itos)])
    chars = random_numbers(len(itos))[lower[ids]]
    begins = _word_begins(ids, itos)
    positions = np.arange(len(ids) + 1)
    # sums of numbers times powers of an odd factor, modulo 2^64: the difference of two sums belongs to a stretch
    powers = np.cumprod(np.full(len(ids) + 1, _factor))
    inverses = np.cumprod(np.full(len(ids) + 1, np.uint64(pow(int(_factor), -1, 2**64))))
    sums = np.zeros(len(ids) + 1, np.uint64)
    np.cumsum(chars * inverses[:-1], out=sums[1:])
    begins_and_endings = begins, np.maximum(begins, positions - _n_ending)
    current, ending = ((sums - sums[begin]) * powers for begin in begins_and_endings)
    # the last position before which a word ends
    ends = np.maximum.accumulate(np.where(positions > begins, positions, 0))
    last = ends[np.maximum(begins - 1, 0)]
    before_last = ends[np.maximum(begins[last] - 1, 0)]
    third = ends[np.maximum(begins[before_last] - 1, 0)]
    endings = combined(combined(ending[last], ending[before_last]), ending[third])
    return _Words(*(hashed[:-1] for hashed in (current, current[last], current[before_last], endings)))
