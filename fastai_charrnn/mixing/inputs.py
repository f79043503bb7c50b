"""What the mixer looks up for each decision of a text: `mixer_inputs`, numbers of contexts and gates."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .code_tree import CodeTree, Decisions
from .contexts import (
    LONGER_ORDERS,
    N_KINDS,
    OF_WORDS,
    RECENT,
    combined,
    hashed_contexts,
    last_kinds,
    shifted,
    word_positions,
)
from .repeats import N_MATCHES, last_followers, longest_match

__all__ = ["MixerInputs", "mixer_inputs"]

_max_run = 31  # longer ones are the same
_n_last_kinds = 4
_max_depth = 7


class MixerInputs(NamedTuple):
    "The decisions of a text, and what is known before each."

    decisions: Decisions
    slots: np.ndarray  # (D, K) int32: each context at this node, numbered
    expected: (
        np.ndarray
    )  # (D, R) int32: of the longest match and of recent contexts, the expected branch and its evidence
    gates: np.ndarray  # (D, 7) int32: small contexts that choose weights
    sizes: tuple[int, ...]  # how many values each gate has
    n_slots: int
    n_expected: int  # values of `expected`


def mixer_inputs(
    ids: np.ndarray,  # (n,) characters
    itos: Sequence[str],  # the vocabulary
    tree: CodeTree,  # their decisions
) -> MixerInputs:
    """Number the contexts and gates of all decisions.

    Numbers say only what is equal to what, and whether it occurred before, so nothing of the text that follows a
    decision reaches its prediction. Needs about 800 bytes of memory per character."""
    made = tree.decisions(ids)
    hashed = hashed_contexts(ids, itos)
    slots, seen, n_slots = _slots(hashed, made)
    matches = longest_match(ids, len(itos))
    runs = [last_followers(context, ids) for context in hashed[RECENT]]
    expected = [_expected_branch(char[made.char], level[made.char], made, tree) for char, level in [matches, *runs]]
    expected, level, n_expected = _evidence(expected)
    gates, sizes = _gates(ids, itos, made, tree.n_nodes, seen, level)
    return MixerInputs(made, slots, expected, gates, sizes, n_slots, n_expected)


def _gates(ids, itos, made, n_nodes, seen, level):
    "The gates (D, 7), and how many values each has."
    n_known = seen[:, LONGER_ORDERS].sum(1)
    words = seen[:, OF_WORDS] @ np.array([1, 2, 4])
    depth = np.minimum(made.depth, 9)
    depth_8 = np.minimum(made.depth, _max_depth)
    position = np.minimum(word_positions(ids, itos), 15)[made.char]
    last_char = shifted(ids + 1, 1)
    gates = [
        (made.node, n_nodes),
        (level * 6 + n_known, 6 * (N_MATCHES + 1)),
        (depth_8 * 8 + words, 64),
        (made.node * 6 + n_known, 6 * n_nodes),
        (position * 10 + depth, 160),
        (last_char[made.char] * 8 + depth_8, 8 * (len(itos) + 1)),
        (last_kinds(ids, itos, _n_last_kinds)[made.char], N_KINDS**_n_last_kinds),
    ]
    values, sizes = zip(*gates)
    return np.stack(values, 1).astype(np.int32), sizes


def _evidence(expected):
    "The (branch, level) of each predictor as one number, the level of the match, and how many numbers there are."
    numbers = []
    n_expected = 0
    for k, (branch, level) in enumerate(expected):
        n_levels = _max_run if k else N_MATCHES
        numbers.append((2 * np.minimum(level, n_levels) + branch + n_expected).astype(np.int32))
        n_expected += 2 * (n_levels + 1)
    return np.stack(numbers, 1), expected[0][1], n_expected


def _slots(hashed, made):
    "The number of each context at each node, and whether it occurred before."
    shape = len(made.node), len(hashed)
    slots = np.empty(shape, np.int32)
    seen = np.empty(shape, bool)
    n_slots = 0
    for k, context in enumerate(hashed):
        keys = combined(context[made.char], made.node.astype(np.uint64))
        _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
        slots[:, k] = numbers + n_slots
        seen[:, k] = first[numbers] < np.arange(len(keys))
        n_slots += len(first)
    return slots, seen, n_slots


def _expected_branch(expected, level, made, tree):
    "The branch towards the expected character, and the level of the match: 0 off the path to this character."
    if not len(made.node):
        return made.node, made.node
    depth = np.minimum(made.depth, tree.node.shape[1] - 1)
    on_path = (level > 0) & (made.depth < tree.length[expected]) & (tree.node[expected, depth] == made.node)
    return np.where(on_path, tree.bit[expected, depth], 0), np.where(on_path, level, 0)
