"""Write each character as binary decisions: `CodeTree`, a Huffman tree over the characters of a vocabulary.

A mixer of binary decisions needs one probability per decision. The probability of a character is the product over the
nodes on the way from the root to its leaf, so the probabilities of all characters sum to one whatever the decisions'
probabilities are.
"""

import heapq
from typing import NamedTuple

import numpy as np

__all__ = ["CodeTree", "Decisions"]

# added to the probability of each branch, so that no logarithm is infinite
_floor = 1e-9


class Decisions(NamedTuple):
    "The binary decisions of a text, in order."

    char: np.ndarray  # (D,) int64: the position of the character it belongs to
    depth: np.ndarray  # (D,) int64: how many decisions of this character are before it
    node: np.ndarray  # (D,) int64: the node of the tree
    bit: np.ndarray  # (D,) int64: 0 or 1, the branch that is taken

    def part(
        self,
        begin: int,  # the first decision
    ) -> "Decisions":
        "The decisions from one on."
        return Decisions(*(values[begin:] for values in self))


class CodeTree:
    "A Huffman tree: frequent characters have short paths."

    def __init__(
        self,
        weights: np.ndarray,  # (V,) how frequent each character is; those of weight 0 have no leaf
    ):
        leaves = np.flatnonzero(weights > 0)
        children = _children([(float(weights[i]), int(i)) for i in leaves], len(weights))
        paths = _paths(children, max(children, default=int(leaves[0])))
        self.n_nodes = len(children)
        self.length = np.zeros(len(weights), np.int64)
        depth = max(map(len, paths.values()), default=0)
        self.node = np.zeros((len(weights), depth), np.int64)
        self.bit = np.zeros((len(weights), depth), np.int64)
        for leaf, path in paths.items():
            self.length[leaf] = len(path)
            for k, (node, bit) in enumerate(path):
                self.node[leaf, k] = node
                self.bit[leaf, k] = bit
        # leaves in the order of the tree: below a node they are neighbours
        self.leaves = np.array(list(paths), np.int64)
        self._set_spans(paths)

    def _set_spans(self, paths):
        "Where the leaves below each node begin, where those of branch 1 begin, and where they end."
        self.span = np.zeros((3, self.n_nodes), np.int64)
        self.span[0] = len(self.leaves)
        for k, path in enumerate(paths.values()):
            for node, bit in path:
                self.span[0, node] = min(self.span[0, node], k)
                self.span[1, node] += 1 - bit
                self.span[2, node] = k + 1
        self.span[1] += self.span[0]

    def decisions(
        self,
        ids: np.ndarray,  # (n,) characters
    ) -> Decisions:
        "The decisions that lead to each character."
        length = self.length[ids]
        char = np.repeat(np.arange(len(ids)), length)
        depth = np.arange(len(char)) - np.repeat(np.cumsum(length) - length, length)
        return Decisions(char, depth, self.node[ids[char], depth], self.bit[ids[char], depth])

    def logits(
        self,
        log_probs: np.ndarray,  # (n, V) of whole characters
        ids: np.ndarray,  # (n,) the characters that came
    ) -> np.ndarray:  # (D,) float64: log odds of branch 1 at each decision of `ids`
        "Turn a model's probabilities of characters into those of binary decisions."
        made = self.decisions(ids)
        sums = np.zeros((len(ids), len(self.leaves) + 1))
        np.cumsum(np.exp(log_probs[:, self.leaves].astype(np.float64)), axis=1, out=sums[:, 1:])
        begin, middle, end = (sums[made.char, edge[made.node]] for edge in self.span)
        return np.log(end - middle + _floor) - np.log(middle - begin + _floor)


def _children(leaves, n_chars):
    "The two children of each inner node. Inner nodes have numbers from `n_chars` on; the root has the largest."
    heapq.heapify(leaves)
    children = {}
    while len(leaves) > 1:
        weight_0, branch_0 = heapq.heappop(leaves)
        weight_1, branch_1 = heapq.heappop(leaves)
        children[n_chars + len(children)] = (branch_0, branch_1)
        heapq.heappush(leaves, (weight_0 + weight_1, n_chars + len(children) - 1))
    return children


def _paths(children, root):
    "The (node, bit) on the way to each leaf, leaves in the order of the tree. Nodes are numbered from 0."
    number = {node: k for k, node in enumerate(children)}
    paths = {}
    # the last in the list is next, so branch 1 waits
    waiting = [(root, [])]
    while waiting:
        node, path = waiting.pop()
        if node not in children:
            paths[node] = path
            continue
        branch_0, branch_1 = children[node]
        waiting += [(branch_1, [*path, (number[node], 1)]), (branch_0, [*path, (number[node], 0)])]
    return paths
