"""What happened before in a context, in few numbers: `history_table`.

A history is (zeros, ones, last bit): how often each branch was taken, up to a limit, and the last one while both are
few. When a branch is taken, a larger count of the other one is halved, as in PAQ: what happened last says more.
Histories are numbered, so a context stores one number.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["HistoryTable", "history_table"]

# the largest count of a branch while the other one was never, seldom or often taken
_limits = (24, 16, 16, 10)
# a count of the other branch that is not halved
_n_kept = 2
# up to so many decisions, the last one is part of the history
_n_last = 20


class HistoryTable(NamedTuple):
    "All histories, numbered. History 0 is the empty one."

    after: np.ndarray  # (n, 2) int32: the history after a 0 and after a 1
    probs: np.ndarray  # (n,) float32: a first guess of the probability of a 1


def history_table() -> HistoryTable:
    "Number all histories that can occur."
    numbers = {(0, 0, 0): 0}
    histories = [(0, 0, 0)]
    after = []
    # the list grows while it is read
    for history in histories:
        row = [_after(history, bit) for bit in (0, 1)]
        for new in row:
            if new not in numbers:
                numbers[new] = len(histories)
                histories.append(new)
        after.append([numbers[new] for new in row])
    probs = [(ones + 0.4) / (zeros + ones + 0.8) for zeros, ones, _ in histories]
    return HistoryTable(np.array(after, np.int32), np.array(probs, np.float32))


def _after(history, bit):
    "A history after one more decision."
    counts = list(history[:2])
    limit = _limits[min(counts[1 - bit], 3)]
    counts[bit] = max(counts[bit], min(counts[bit] + 1, limit))
    if counts[1 - bit] > _n_kept:
        counts[1 - bit] = counts[1 - bit] // 2 + 1
    return (*counts, bit if sum(counts) <= _n_last else 0)
