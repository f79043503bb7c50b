"""States after the first characters of windows, each computed once: `Beginnings`.

A state that starts with zeros depends only on the characters read since. Texts of a language have some hundred
different pairs and some thousand different triples of characters, so most of these states are soon known.
"""

import torch
from torch import Tensor

from ..models.base import State
from .tiles import TiledModel

__all__ = ["Beginnings"]

_max_depth = 3  # characters
_max_keys = 2**21  # keys of the longest beginnings: triples of up to 128 characters, pairs of up to 1,448
_max_numbers = 2**24  # numbers in the states that are kept: 64 MB


class Beginnings:
    "The states after the last characters of each row, up to three, each started anew and computed once."

    def __init__(
        self,
        model: TiledModel,
        table: Tensor,  # (V, k) of the model
    ):
        self.model = model
        self.table = table
        self.vocab_sz = len(table)
        self.depth = max(d for d in range(1, _max_depth + 1) if d == 1 or self.vocab_sz**d <= _max_keys)
        self.chars: list[Tensor] = []  # (rows,) the last characters of the rows, the latest last
        self._clear()

    def _clear(self):
        empty = self.model.init_hidden(0)
        self.levels = [Level(self.vocab_sz ** (d + 1), empty) for d in range(self.depth)]
        self.keys: list[Tensor] = []  # for each level (rows,): the number of the characters that a row has read

    def feed(
        self,
        c: Tensor,  # (rows,) indices
    ):
        "Read one character of each row."
        self.chars = [*self.chars, c][-self.depth :]
        if sum(level.n_numbers for level in self.levels) > _max_numbers:
            self._clear()
            for earlier in self.chars[:-1]:
                self._find(earlier)
        self._find(c)

    def _find(self, c):
        "Compute the states that are not known."
        self.keys = [c, *(key * self.vocab_sz + c for key in self.keys[: self.depth - 1])]
        for d, keys in enumerate(self.keys):
            new = self.levels[d].missing(keys)
            if new is not None:
                self.levels[d].add(new, self._compute(d, new))

    def _compute(self, d, keys):
        before, chars = keys // self.vocab_sz, keys % self.vocab_sz
        state = self.levels[d - 1].states_of(before) if d else self.model.init_hidden(len(keys))
        return self.model.step(self.table.index_select(0, chars), state)

    def states(self) -> State:
        "Return the states that have read most characters, one for each row."
        return self.levels[-1].states_of(self.keys[-1])

    def select(
        self,
        rows: Tensor,  # (m,) int64
    ):
        "Keep only these rows."
        self.chars = [c[rows] for c in self.chars]
        self.keys = [keys[rows] for keys in self.keys]


class Level:
    "States by key, a number from 0 to `n_keys` - 1."

    def __init__(
        self,
        n_keys: int,
        empty: State,  # of no rows
    ):
        self.position = torch.full((n_keys,), -1, dtype=torch.int32)
        self.store = empty
        self.n_rows = 0

    @property
    def n_numbers(self) -> int:
        "How many numbers are kept."
        return sum(o.numel() for o in self.store)

    def missing(self, keys: Tensor) -> Tensor | None:
        "Return the different keys that are not known, or None."
        unknown = self.position.index_select(0, keys) < 0
        return keys[unknown].unique() if bool(unknown.any()) else None

    def add(self, keys: Tensor, states: State):
        "Store the states of new keys."
        n_rows = self.n_rows + len(keys)
        if n_rows > len(self.store[0]):
            self.store = tuple(_grown(o, 2 * n_rows) for o in self.store)
        for o, new in zip(self.store, states):
            o[self.n_rows : n_rows] = new
        self.position[keys] = torch.arange(self.n_rows, n_rows, dtype=torch.int32)
        self.n_rows = n_rows

    def states_of(self, keys: Tensor) -> State:
        "Return the states of keys that are known."
        positions = self.position.index_select(0, keys)
        return tuple(o.index_select(0, positions) for o in self.store)


def _grown(tensor, n):
    "The same rows with room for n."
    grown = tensor.new_empty(n, *tensor.shape[1:])
    grown[: len(tensor)] = tensor
    return grown
