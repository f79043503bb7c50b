"""What the mixer looks up for each decision of a text: `mixer_inputs`, numbers of contexts and gates."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .code_tree import CodeTree, Decisions
from .contexts import N_MATCHES, combined, hashed_contexts, longest_match, word_positions

__all__ = ["MixerInputs", "mixer_inputs"]

# rows of `hashed_contexts`
_longer_orders = slice(2, 7)
_of_words = slice(8, 11)


class MixerInputs(NamedTuple):
    "The decisions of a text, and what is known before each."

    decisions: Decisions
    slots: np.ndarray  # (D, K) int32: each context at this node, numbered
    match: np.ndarray  # (D,) int64: the branch that the longest match expects, and its length, as one number
    gates: np.ndarray  # (D, 5) int64: small contexts that choose weights
    sizes: tuple[int, ...]  # how many values each gate has
    n_slots: int
    n_matches: int  # values of `match`


def mixer_inputs(
    ids: np.ndarray,  # (n,) characters
    itos: Sequence[str],  # the vocabulary
    tree: CodeTree,  # their decisions
) -> MixerInputs:
    """Number the contexts and gates of all decisions.

    Numbers say only what is equal to what, and whether it occurred before, so nothing of the text that follows a
    decision reaches its prediction. Needs about 350 bytes of memory per character."""
    made = tree.decisions(ids)
    slots, seen, n_slots = _slots(hashed_contexts(ids, itos), made)
    expected, level = longest_match(ids, itos)
    branch, level = _expected_branch(expected[made.char], level[made.char], made, tree)
    n_known = seen[:, _longer_orders].sum(1)
    words = seen[:, _of_words] @ np.array([1, 2, 4])
    depth = np.minimum(made.depth, 9)
    position = np.minimum(word_positions(ids, itos), 15)[made.char]
    gates = [
        made.node,
        level * 6 + n_known,
        np.minimum(depth, 7) * 8 + words,
        made.node * 6 + n_known,
        position * 10 + depth,
    ]
    sizes = (tree.n_nodes, 6 * (N_MATCHES + 1), 64, 6 * tree.n_nodes, 160)
    match = 2 * level + branch
    return MixerInputs(made, slots, match, np.stack(gates, 1), sizes, n_slots, 2 * (N_MATCHES + 1))


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
