"""The rows of a batch while they are generated: append characters, retire finished rows, copy loops."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from .loops import MIN_LENGTH, copy_loops, find_period

_max_block = 256  # characters between two checks of what was generated


class Rows:
    "Generated indices and their log-probabilities, row by row. Retired rows get no more characters."

    def __init__(
        self,
        n_rows: int,
        n: int,  # characters of each row, at most
    ):
        self.ids = np.zeros((n_rows, n), np.int32)
        self.log_probs = np.zeros((n_rows, n), np.float32)
        self.lengths = np.full(n_rows, n)
        self.active = np.arange(n_rows)  # numbers of the rows that are still generated
        self.n = n
        self.done = 0  # characters of each active row so far
        self.block_start = 0  # `done` before the last block

    @property
    def finished(self) -> bool:
        "Whether every row is complete or retired."
        return self.done == self.n or not len(self.active)

    def block_size(
        self,
        check_often: bool,  # whether rows may retire or loop
    ) -> int:
        "Return how many characters to generate before the next check: 256, or fewer while the text is short."
        block = min(self.n - self.done, _max_block)
        return min(block, max(16, self.done // 4)) if check_often else block

    def append(
        self,
        ids: np.ndarray,  # (active rows, k) indices
        log_probs: np.ndarray,  # (active rows, k) their log-probabilities
    ):
        "Append k characters to every active row."
        self.block_start = self.done
        self.done += ids.shape[1]
        self.ids[self.active, self.block_start : self.done] = ids
        self.log_probs[self.active, self.block_start : self.done] = log_probs

    def retire(
        self,
        stop_fn: Callable,  # row and its last block to how many of its indices belong to the text, or None
    ) -> np.ndarray:  # positions among the active rows of those that continue
        "Cut the rows that `stop_fn` ends, and remove them from the active rows."
        cuts = [stop_fn(row, self.ids[row, self.block_start : self.done]) for row in self.active]
        for row, cut in zip(self.active, cuts):
            if cut is not None:
                self.lengths[row] = self.block_start + cut
        remaining = np.flatnonzero([cut is None for cut in cuts])
        self.active = self.active[remaining]
        return remaining

    def copy_loops(
        self,
        prompts: Tensor,  # (n_rows, window) indices that were continued
    ):
        "Complete all rows by copying, if every row repeats itself."
        if not MIN_LENGTH <= self.done < self.n:
            return
        if copy_loops(prompts, self.done, self.ids, self.log_probs):
            self.done = self.n

    def first_period(
        self,
        prompts: Tensor,  # (n_rows, n) indices that were continued
        context: int,  # characters that count as a repetition
    ) -> int | None:
        "Return the period of the first active row that repeats itself, or None."
        for row in self.active:
            period = find_period(prompts[row].cpu().numpy(), self.ids[row], context)
            if period:
                return period
        return None

    def texts(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        "Return for each row its indices (int32) and their log-probabilities (float32)."
        ids = [row[:length] for row, length in zip(self.ids, self.lengths)]
        log_probs = [row[:length] for row, length in zip(self.log_probs, self.lengths)]
        return ids, log_probs
