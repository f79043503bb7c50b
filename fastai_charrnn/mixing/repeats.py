"""What followed the last time: after the longest context that occurred before, and after given ones.

`longest_match` and `last_followers` compute it for all positions of a text at once.
"""

import numpy as np

from .contexts import random_numbers, text_before

__all__ = ["longest_match", "last_followers", "N_MATCHES"]

# a match is at least so many characters long
_match_lengths = (5, 7, 10, 14, 20, 32)
N_MATCHES = len(_match_lengths)


def longest_match(
    ids: np.ndarray,  # (n,) characters
    n_chars: int,  # in the vocabulary
) -> tuple[np.ndarray, np.ndarray]:  # (n,) int64 each: the character, and a level from 0 (none) to `N_MATCHES`
    "The character that followed the last time the longest known context occurred, and how long that context is."
    chars = random_numbers(n_chars)[ids]
    expected = np.zeros(len(ids), np.int64)
    level = np.zeros(len(ids), np.int64)
    for k, length in enumerate(_match_lengths, 1):
        hashed = text_before(chars, length)
        order = np.argsort(hashed, kind="stable")
        again = hashed[order][1:] == hashed[order][:-1]
        here, earlier = order[1:][again], order[:-1][again]
        whole = earlier >= length
        expected[here[whole]] = ids[earlier[whole]]
        level[here[whole]] = k
    return expected, level


def last_followers(
    context: np.ndarray,  # (n,) uint64, as a row of `hashed_contexts`
    ids: np.ndarray,  # (n,) characters
) -> tuple[np.ndarray, np.ndarray]:  # (n,) int64 each
    "The character that followed the last time each context occurred, and how often in a row it did: 0 if never."
    order = np.argsort(context, kind="stable")
    is_first = np.ones(len(ids), bool)
    is_first[1:] = context[order][1:] != context[order][:-1]
    followers = ids[order]
    place = np.arange(len(ids))
    is_other = is_first.copy()
    is_other[1:] |= followers[1:] != followers[:-1]
    # where the run of equal followers begins, and how long it is
    run = place - np.maximum.accumulate(np.where(is_other, place, 0)) + 1
    expected = np.zeros(len(ids), np.int64)
    length = np.zeros(len(ids), np.int64)
    expected[order[1:]] = followers[:-1]
    length[order[1:]] = np.where(is_first[1:], 0, run[:-1])
    return expected, length
