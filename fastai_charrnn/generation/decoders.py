"""Decoders compute the next character's log-probabilities, and keep between characters what the model needs for that.

    SlidingWindowDecoder      for any model: reads the whole window again for each character
    StaggeredWindowDecoder    for models with steps and a window: equal results with one step a character
    LongWindowDecoder         the same for windows of more than 256 characters, with memory for 256 states
    StatefulDecoder           for models with steps and `seq_len=None`: carries the state

The rows of a batch are prompts, padded on the left with index 0. A model with a window reads the padding, as in
`predict_next`. A stateful model does not: its state starts at the first character.
"""

import torch
from torch import Tensor, nn

from ..models.base import check_state
from .model_view import eval_view, fast_view, float64_copy, has_steps
from .outputs import last_log_probs, read_windows

__all__ = [
    "next_log_probs",
    "decoder",
    "decoder_class",
    "is_stateful",
    "SlidingWindowDecoder",
    "StaggeredWindowDecoder",
    "LongWindowDecoder",
    "StatefulDecoder",
]

MAX_STATES = 256  # states that are kept for each row


def next_log_probs(
    model: nn.Module,  # (bs, n) indices to what `last_log_probs` accepts
    ids: Tensor,  # (bs, n) indices on the model's device, padded with 0 on the left
) -> Tensor:  # (bs, V) log-probabilities, float32
    "Return the log-probabilities of the index after each row."
    with torch.inference_mode():
        if is_stateful(model):
            return last_log_probs(StatefulDecoder(model, ids).log_probs(), torch.float32)
        return read_windows(eval_view(model), ids, torch.float32)


def is_stateful(
    model: nn.Module,  # any
) -> bool:
    "Whether the model carries its state from character to character: it has steps, and `seq_len` is None."
    return has_steps(model) and getattr(model, "seq_len", 0) is None


def decoder(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (rows, n) int64 indices to continue, on the model's device; n is the window if there is one
    exact: bool = False,  # whether to compute in float64, if the model can
) -> "SlidingWindowDecoder|StaggeredWindowDecoder|StatefulDecoder":
    """Return the decoder that suits the model.

    The last bits of a product depend on the batch size. In float64 they are too small to change what is drawn."""
    if not has_steps(model):
        return SlidingWindowDecoder(model, ids)
    kind = decoder_class(model, ids.shape[1])
    if exact:
        try:
            return kind(float64_copy(model), ids)
        except RuntimeError:
            # Some operation of the model, such as a state that a user's class makes, is in float32.
            pass
    return kind(model, ids)


def decoder_class(
    model: nn.Module,  # with steps
    seq_len: int,  # its window
) -> "type[StatefulDecoder]":
    "Return the class of decoders that suits a model with steps."
    if is_stateful(model):
        return StatefulDecoder
    return StaggeredWindowDecoder if seq_len <= MAX_STATES else LongWindowDecoder


class SlidingWindowDecoder:
    """Reads the whole window for each character. For any model.

    A model that carries a state and has a method `reset`, such as fastai's `AWD_LSTM`, starts each window anew."""

    def __init__(
        self,
        model: nn.Module,  # (bs, n) indices to what `last_log_probs` accepts
        ids: Tensor,  # (rows, n) indices to continue; n is the window
    ):
        self.model = eval_view(model)
        self.ids = ids

    def running(self):
        "Return the context in which to call the other methods. The view of the model is in evaluation mode already."
        return torch.inference_mode()

    def log_probs(self) -> Tensor:  # (rows, V)
        "Return the log-probabilities of the next character."
        return read_windows(self.model, self.ids)

    def feed(
        self,
        c: Tensor,  # (rows,) indices
    ):
        "Append one character to each row."
        self.ids = torch.cat([self.ids[:, 1:], c[:, None]], 1)

    def select(
        self,
        rows: Tensor,  # (m,) int64 numbers of rows; a row may appear more than once
    ):
        "Keep these rows, in this order."
        self.ids = self.ids[rows]

    def next(self) -> Tensor:  # (rows,) indices
        "Return the most likely character of each row, and append it."
        c = self.log_probs().argmax(-1)
        self.feed(c)
        return c


class StatefulDecoder(SlidingWindowDecoder):
    "Reads every character once and carries the state. For models with steps and `seq_len=None`."

    def __init__(self, model: nn.Module, ids: Tensor):
        self.model = fast_view(model)
        with self.running():
            self.table = self.model.table()
            self.state = self._init_hidden(len(ids))
            self._read(ids)

    def _init_hidden(self, bs):
        return check_state(self.model, self.model.init_hidden(bs))

    def _read(self, ids):
        "Read the prompts. A row keeps its first state while it reads padding."
        # from the first character of a row on
        started = (ids != 0).cumsum(1) > 0
        is_padded = not bool(started.all())
        for c, reads in zip(ids.t(), started.t()):
            before = self.state
            self.feed(c)
            if is_padded:
                self.state = tuple(_where_rows(reads, new, old) for new, old in zip(self.state, before))

    def log_probs(self):
        return self.model.log_probs(self.state)

    def feed(self, c):
        inp = self.table.index_select(0, c)
        self.state = check_state(self.model, self.model.step(inp, self.state))

    def select(self, rows):
        self.state = tuple(o[rows] for o in self.state)


class StaggeredWindowDecoder(StatefulDecoder):
    """Reads every character once. For models with steps and a window of n characters. Equals `SlidingWindowDecoder`.

    Each prompt has n states. At each character one of them starts anew. A step feeds a character to all states.
    The state that has then read n characters gives the log-probabilities, and is the next to start anew."""

    def __init__(self, model: nn.Module, ids: Tensor):
        self.model = fast_view(model)
        self.bs, self.seq_len = ids.shape
        self.n_read = 0
        with self.running():
            self.table = self.model.table()
            self.start = self._init_hidden(self.bs)
            # `feed` writes into the states, so none may share memory
            self.state = tuple(o.clone() for o in self._init_hidden(self.bs * self.seq_len))
            for c in ids.t():
                self.feed(c)

    def _turn(self):
        "The rows of the states that have read a whole window, one for each prompt."
        first = self.n_read % self.seq_len * self.bs
        return slice(first, first + self.bs)

    def log_probs(self):
        turn = self._turn()
        return self.model.log_probs(tuple(o[turn] for o in self.state))

    def feed(self, c):
        turn = self._turn()
        for tensor, start in zip(self.state, self.start):
            tensor[turn] = start
        inp = self.table.index_select(0, c.repeat(self.seq_len))
        self.state = check_state(self.model, self.model.step(inp, self.state))
        self.n_read += 1

    def select(self, rows):
        self.state = tuple(self._selected(o, rows) for o in self.state)
        self.bs = len(rows)
        self.start = self._init_hidden(self.bs)

    def _selected(self, tensor, rows):
        by_prompt = tensor.reshape(self.seq_len, self.bs, *tensor.shape[1:])
        return by_prompt[:, rows].flatten(0, 1)


class LongWindowDecoder(StatefulDecoder):
    """Reads long windows: with as many states as a `StaggeredWindowDecoder`, reading a prompt would take n² steps.

    The window is read once for the next 256 characters. State k starts at its character k, and each character that is
    fed leaves one state less. After the last one the window is read again."""

    def __init__(self, model: nn.Module, ids: Tensor):
        self.model = fast_view(model)
        self.ids = ids
        with self.running():
            self.table = self.model.table()
            self._read_window()

    def _read_window(self):
        self.state = tuple(o[:0] for o in self._init_hidden(1))
        for t, c in enumerate(self.ids.t()):
            if t < MAX_STATES:
                new = self._init_hidden(len(c))
                self.state = tuple(map(torch.cat, zip(self.state, new)))
            self._step(c)

    def _step(self, c):
        "Feed a character to all states that are left."
        n_states = len(self.state[0]) // len(c)
        inp = self.table.index_select(0, c.repeat(n_states))
        self.state = check_state(self.model, self.model.step(inp, self.state))

    def log_probs(self):
        return self.model.log_probs(tuple(o[: len(self.ids)] for o in self.state))

    def feed(self, c):
        self.ids = torch.cat([self.ids[:, 1:], c[:, None]], 1)
        self.state = tuple(o[len(c) :] for o in self.state)
        if len(self.state[0]):
            self._step(c)
        else:
            self._read_window()

    def select(self, rows):
        self.state = tuple(o.unflatten(0, (-1, len(self.ids)))[:, rows].flatten(0, 1) for o in self.state)
        self.ids = self.ids[rows]


def _where_rows(mask, new, old):
    "The rows of `new` where `mask` (rows,) is true, else those of `old`."
    return torch.where(mask.view(-1, *[1] * (new.dim() - 1)), new, old)
