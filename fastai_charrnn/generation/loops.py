"""Loops in generated text: find the period of a text that repeats itself, copy it, warn about it.

If a model reads `seq_len` characters, its greedy text depends only on the last `seq_len` characters. If these occurred
before, the text repeats itself from there on, and the remainder is copied instead of computed.
"""

import warnings

import numpy as np
from torch import Tensor, nn

from ..errors import CharRnnWarning
from .decoders import is_stateful
from .options import GenerationConfig

MIN_LENGTH = 64  # characters generated before the first search for a loop
_default_context = 32  # characters that count as a repetition where no window determines the next character


def loop_context(
    model: nn.Module,  # the model that generates
    ids: Tensor,  # (rows, n) indices it continues
    options: GenerationConfig,  # with or without a repetition penalty
) -> int:
    """Return how many equal characters count as a repetition.

    This is the window of the model, since a window determines the next character. A stateful model or a repetition
    penalty depends on the whole text: there it is at least 32 characters."""
    if is_stateful(model):
        return _default_context
    if options.repetition_penalty is not None:
        return max(ids.shape[1], _default_context)
    return ids.shape[1]


def find_period(
    prompt: np.ndarray,  # (n,) indices that were continued
    new: np.ndarray,  # (m,) indices of the continuation
    context: int,  # characters that must be equal
) -> int | None:
    "Return the distance between the last `context` characters and their previous occurrence, or None if there is none."
    # a string of code points, because its search runs in C
    text = np.concatenate([prompt[-context:], new]).astype(np.uint32).tobytes().decode("utf-32-le", "surrogatepass")
    if len(new) == 0 or len(text) < context:
        return None
    last = len(text) - context
    previous = text.rfind(text[last:], 0, len(text) - 1)
    return None if previous < 0 else last - previous


def find_periods(
    prompts: Tensor,  # (rows, n) indices that were continued; n is the window of the model
    new: np.ndarray,  # (rows, m) indices of the continuations
) -> list[int] | None:
    "Return the period of each row, or None unless all rows repeat themselves."
    periods = []
    for prompt, row in zip(prompts.cpu().numpy(), new):
        period = find_period(prompt, row, len(prompt))
        if period is None:
            return None
        periods.append(period)
    return periods


def copy_loop(
    row: Tensor | np.ndarray,  # (n,) whose first `done` elements are computed; the others are overwritten
    done: int,  # elements computed
    period: int,  # the row repeats itself with this period
):
    "Fill the remainder of a row with copies of its last period, in place."
    row[done:] = row[done - period + np.arange(len(row) - done) % period]


def copy_loops(
    prompts: Tensor,  # (rows, n) indices that were continued; n is the window of the model
    done: int,  # characters computed of each row
    ids: Tensor | np.ndarray,  # (rows, m) indices of the continuations
    *values: Tensor | np.ndarray,  # (rows, m) what else belongs to each of them
) -> bool:  # whether all rows are complete
    "Fill the remainder of all rows by copying, in place, if every row repeats itself."
    computed = ids[:, :done]
    if isinstance(computed, Tensor):
        computed = computed.cpu().numpy()
    periods = find_periods(prompts, computed)
    if periods is None:
        return False
    for array in (ids, *values):
        for row, period in zip(array, periods):
            copy_loop(row, done, period)
    return True


class LoopDetector:
    """Find out whether a stream of characters repeats itself, in constant memory.

    The last `context` characters are compared with a marked passage. The mark moves to the current position after 1, 2,
    4, 8 … characters. This finds every loop (Brent 1980, *An improved Monte Carlo factorization algorithm*)."""

    def __init__(
        self,
        context: int,  # characters that count as a repetition
        recent: list[int],  # indices before the first one; may be empty
    ):
        self.context = context
        self.recent = recent
        self.marked = list(recent)
        self.since_mark = 0
        self.next_mark = 1

    def update(
        self,
        index: int,  # the next character of the stream
    ) -> bool:
        "Add a character. Return whether the marked passage has occurred again."
        self.recent = [*self.recent, index][-self.context :]
        if self.recent == self.marked and len(self.recent) == self.context:
            return True
        self.since_mark += 1
        if self.since_mark == self.next_mark:
            self._move_mark()
        return False

    def _move_mark(self):
        self.marked = self.recent
        self.since_mark = 0
        self.next_mark *= 2


def warn_about_loop(
    period: int | None,  # characters after which the text repeats itself; None: unknown
    stacklevel: int,  # as in `warnings.warn`, counted from the caller
):
    "Warn that greedy text repeats itself."
    distance = f" every {period:,} characters" if period else ""
    message = (
        f"the greedy text repeats itself{distance}; pass temperature=.8 to sample, "
        "or repetition_penalty=1.2 to make characters that already occur less likely"
    )
    warnings.warn(message, CharRnnWarning, stacklevel=stacklevel + 1)
