"""What precedes each character, as numbers to look up: `hashed_contexts`, `longest_match`.

A context is hashed to 64 bits, so all contexts of a text are computed at once. Among ten million contexts, two that
differ have equal hashes with a probability of about 3 in a million.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["hashed_contexts", "word_positions", "longest_match", "combined", "N_MATCHES"]

_factor = np.uint64(0x9E3779B97F4A7C15)
_shift = np.uint64(31)
_orders = range(7)
# a match is at least so many characters long
_match_lengths = (5, 7, 10, 14, 20, 32)
N_MATCHES = len(_match_lengths)


def combined(
    a: np.ndarray,  # uint64
    b: np.ndarray | np.uint64,  # uint64
) -> np.ndarray:  # uint64: a hash of both
    "Hash pairs."
    a = (a ^ (a >> _shift)) * _factor + b
    return (a ^ (a >> _shift)) * _factor


def hashed_contexts(
    ids: np.ndarray,  # (n,) characters
    itos: Sequence[str],  # the vocabulary
) -> np.ndarray:  # (11, n) uint64
    """What precedes each character: the 0 to 6 characters before it, then four contexts of words.

    These are the letters of its word so far, alone, with the word before, with the two words before, and with the
    second word before. The case of letters does not count."""
    chars = _random_numbers(len(itos))[ids]
    before = [_order(chars, k) for k in _orders]
    current, last_word, word_before_last = _words(ids, itos)
    current = combined(current, before[1])
    with_last = combined(current, last_word)
    words = [current, with_last, combined(with_last, word_before_last), combined(~current, word_before_last)]
    return np.stack(before + words)


def word_positions(
    ids: np.ndarray,  # (n,) characters
    itos: Sequence[str],  # the vocabulary
) -> np.ndarray:  # (n,) int64
    "How many letters of its word precede each character."
    return np.arange(len(ids)) - _word_begins(ids, itos)[:-1]


def _random_numbers(n):
    "A fixed number for each character."
    return np.random.default_rng(0).integers(0, 2**64, n, dtype=np.uint64)


def _order(chars, k):
    "The hash of the `k` characters before each one."
    hashed = np.zeros(len(chars), np.uint64)
    for j in range(k, 0, -1):
        earlier = np.zeros(len(chars), np.uint64)
        earlier[j:] = chars[:-j]
        hashed = combined(hashed, earlier)
    return hashed


def _is_letter(itos):
    return np.array([len(s) == 1 and (s.isalpha() or s == "'") for s in itos])


def _word_begins(ids, itos):
    "For each position, and the end of the text: where the word that reaches up to it begins."
    after = np.flatnonzero(~_is_letter(itos)[ids]) + 1
    begins = np.zeros(len(ids) + 1, np.int64)
    begins[after] = after
    return np.maximum.accumulate(begins)


def _words(ids, itos):
    "Hashes of the letters of the word before each position, of the word before that one, and of the one before."
    numbers = {s: i for i, s in enumerate(itos)}
    lower = np.array([numbers.get(s.lower(), i) for i, s in enumerate(itos)])
    begins = _word_begins(ids, itos)
    positions = np.arange(len(ids) + 1)
    # sums of numbers times powers of an odd factor, modulo 2^64: the difference of two sums belongs to a stretch
    powers = np.cumprod(np.full(len(ids) + 1, _factor))
    inverses = np.cumprod(np.full(len(ids) + 1, np.uint64(pow(int(_factor), -1, 2**64))))
    sums = np.zeros(len(ids) + 1, np.uint64)
    np.cumsum(_random_numbers(len(itos))[lower[ids]] * inverses[:-1], out=sums[1:])
    current = (sums - sums[begins]) * powers
    # the last position before which a word ends
    ends = np.maximum.accumulate(np.where(positions > begins, positions, 0))
    last = ends[np.maximum(begins - 1, 0)]
    before_last = ends[np.maximum(begins[last] - 1, 0)]
    return tuple(hashed[:-1] for hashed in (current, current[last], current[before_last]))


def longest_match(
    ids: np.ndarray,  # (n,) characters
    itos: Sequence[str],  # the vocabulary
) -> tuple[np.ndarray, np.ndarray]:  # (n,) int64 each: the character, and a level from 0 (none) to `N_MATCHES`
    "The character that followed the last time the longest known context occurred, and how long that context is."
    chars = _random_numbers(len(itos))[ids]
    expected = np.zeros(len(ids), np.int64)
    level = np.zeros(len(ids), np.int64)
    for k, length in enumerate(_match_lengths, 1):
        hashed = _order(chars, length)
        order = np.argsort(hashed, kind="stable")
        again = hashed[order][1:] == hashed[order][:-1]
        here, earlier = order[1:][again], order[:-1][again]
        whole = earlier >= length
        expected[here[whole]] = ids[earlier[whole]]
        level[here[whole]] = k
    return expected, level
