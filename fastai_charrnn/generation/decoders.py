"""Decoders: what of a model stays in memory between two characters. One interface, and the model says which it needs.

    SlidingWindowDecoder      any module: every window is read anew
    StaggeredWindowDecoder    the step protocol (`models.CharModel`) with a window: the same text in one step a character
    Carried            the step protocol without a window (`window` is None): the hidden state goes on and on

Rows are prompts of one batch, padded with index 0 on the left. Padding is read by models with a window, as in `predict_next`;
to a carried state it means that the text has not begun.
"""

import threading
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

__all__ = [
    "eval_mode",
    "next_log_probs",
    "decoder",
    "is_stateful",
    "SlidingWindowDecoder",
    "StaggeredWindowDecoder",
    "StatefulDecoder",
]

_lock = threading.Lock()
_inside: WeakKeyDictionary = (
    WeakKeyDictionary()
)  # model to [how many are inside, the modules to put back into training mode]


@contextmanager
def eval_mode(model: nn.Module):
    """The model in evaluation mode and without gradients for a while; every module's own mode is restored, whatever happens.

    Several threads may be inside at once: the first switches, the last restores."""
    entered = False
    try:
        with _lock:
            state = _inside.setdefault(model, [0, []])
            if not state[0]:
                state[1] = [m for m in model.modules() if m.training]
            state[0] = state[0] + 1
            entered = True
            if state[0] == 1 and state[1]:
                model.eval()
        with torch.inference_mode():
            yield model
    finally:
        if entered:
            with _lock:
                state[0] -= 1
                if not state[0]:
                    for m in state[1]:
                        m.training = True


def next_log_probs(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (bs, n) indices on the model's device, padded with 0 on the left
) -> Tensor:  # (bs, V) log-probabilities, float32
    "Log-probabilities of the index after each row."
    with eval_mode(model):
        return (StatefulDecoder(model, ids).log_probs() if is_stateful(model) else model(ids)).float().log_softmax(-1)


def is_stateful(
    model: nn.Module,  # any
) -> bool:
    "Whether the model's state goes on from character to character: it has steps and its `window` is None."
    return _has_steps(model) and getattr(model, "seq_len", 0) is None


def decoder(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (rows, n) int64 indices to continue, on the model's device; n is the window where there is one
    exact: bool = False,  # whether to compute in float64 where the model's own steps can
) -> "SlidingWindowDecoder|StaggeredWindowDecoder|StatefulDecoder":
    """The decoder that the model needs.

    A batch's size changes the last bits of its products. In float64 these are too small to change what is drawn."""
    if not _has_steps(model):
        return SlidingWindowDecoder(model, ids)
    kind = StatefulDecoder if is_stateful(model) else StaggeredWindowDecoder
    if not exact:
        return kind(model, ids)
    try:
        return kind(model, ids, torch.float64)
    except RuntimeError:
        return kind(model, ids)  # a class of the user's with float32 of its own


class SlidingWindowDecoder:
    "Reads every window anew: for any model."

    def __init__(
        self,
        model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
        ids: Tensor,  # (rows, window) indices to continue
    ):
        self.model = model
        self.ids = ids

    def running(self):
        "The context to call the other methods in."
        return eval_mode(self.model)

    def log_probs(self) -> Tensor:  # (rows, V)
        "Of what comes next."
        return self.model(self.ids)

    def feed(
        self,
        c: Tensor,  # (rows,) indices
    ):
        "Go on with these."
        self.ids = torch.cat([self.ids[:, 1:], c[:, None]], 1)

    def select(
        self,
        rows: Tensor,  # (m,) int64: which rows go on, in which order; some may go on twice
    ):
        "Go on with these rows."
        self.ids = self.ids[rows]

    def next(self) -> Tensor:  # (rows,) indices
        "The likeliest, which are fed back in."
        c = self.log_probs().argmax(-1)
        self.feed(c)
        return c


class StatefulDecoder(SlidingWindowDecoder):
    "Reads every character once, and carries the state on: for a model with steps whose `window` is None."

    def __init__(self, model: nn.Module, ids: Tensor, dtype: torch.dtype | None = None):
        self._take(model, dtype)
        self.h = self.model.init_hidden(len(ids))
        begun = (ids != 0).long().cummax(1)[0] if ids.shape[1] else ids  # 1 from the first character on
        ragged = ids.shape[1] > 0 and not bool(begun[:, 0].all())
        for c, b in zip(ids.t(), begun.bool().t()):
            before = _parts(self.h)
            self.feed(c)
            if ragged:
                self.h = _like(
                    self.h,
                    [torch.where(b.view(-1, *[1] * (o.dim() - 1)), o, old) for o, old in zip(_parts(self.h), before)],
                )

    def _take(self, model, dtype):
        "A private view of the model, in evaluation mode without a switch on the model itself."
        self.model = _flat(model, dtype)
        self.table = self.model.table()

    def running(self):
        return torch.inference_mode()

    def log_probs(self):
        return self.model.log_probs(self.h)

    def feed(self, c):
        self.h = self.model.step(self.table.index_select(0, c), self.h)

    def select(self, rows):
        self.h = _map(self.h, lambda h: h[rows])


class StaggeredWindowDecoder(StatefulDecoder):
    """The same as `SlidingWindowDecoder` in one step a character, for a model with the step protocol: `window` windows in flight.

    Every prompt has `window` states, the r-th begun at every `window`-th character from the r-th on. A character is fed to all of
    them at once; the one that has then read `window` characters is read out, and begins again with the next."""

    def __init__(self, model: nn.Module, ids: Tensor, dtype: torch.dtype | None = None):
        self._take(model, dtype)
        self.bs, self.n, self.t = *ids.shape, 0
        self.fresh = _parts(self.model.init_hidden(self.bs))
        self.h = _map(self.model.init_hidden(self.bs * self.n), torch.clone)
        for c in ids.t():
            self.feed(c)

    def feed(self, c: Tensor):
        at = self.t % self.n * self.bs
        for h, new in zip(_parts(self.h), self.fresh):
            h[at : at + self.bs] = new
        if self.bs == 1:
            inp = self.table.index_select(0, c).expand(self.n, -1)
        else:
            inp = self.table.index_select(0, c.repeat(self.n))
        self.h = self.model.step(inp, self.h)
        self.t += 1

    def log_probs(self) -> Tensor:
        at = self.t % self.n * self.bs  # whose turn it is to be read out
        return self.model.log_probs(_map(self.h, lambda h: h[at : at + self.bs]))

    def select(self, rows):
        self.h = _map(self.h, lambda h: h.reshape(self.n, self.bs, *h.shape[1:])[:, rows].flatten(0, 1))
        self.bs = len(rows)
        self.fresh = _parts(self.model.init_hidden(self.bs))


def _has_steps(model):
    return all(hasattr(model, o) for o in ("table", "step", "init_hidden", "log_probs"))


def _parts(h):
    return h if isinstance(h, tuple) else (h,)


def _like(h, parts):
    return tuple(parts) if isinstance(h, tuple) else parts[0]


def _map(h, f):
    return tuple(map(f, h)) if isinstance(h, tuple) else f(h)


def _flat(module, dtype=None):
    """A copy of a module in evaluation mode that shares its tensors (of another `dtype`: copies) and finds them as plain attributes.

    `nn.Module` finds them in Python, a microsecond each."""
    view = object.__new__(type(module))
    tensors = {**module._parameters, **module._buffers}
    if dtype is not None:
        tensors = {k: o.to(dtype) if o is not None and o.is_floating_point() else o for k, o in tensors.items()}
    kids = {k: m and _flat(m, dtype) for k, m in module._modules.items()}
    view.__dict__ = {**module.__dict__, **tensors, **kids, "_modules": kids, "training": False}
    return view
