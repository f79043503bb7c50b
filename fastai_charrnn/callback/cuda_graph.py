"""Train on a GPU without waiting for Python: `CudaGraph` captures a whole step once and replays it for every batch.

    learn.fit_one_cycle(4, 5e-3, cbs=CudaGraph())

A step of a small network is about a hundred kernels of a few microseconds each, and Python launches one in ten or more.
A CUDA graph launches all of them in one call.
"""

import torch
from fastai.basics import Callback, Learner

from .._checks import MAX_COUNT, check_count
from .._utils import warn_caller
from ..errors import CharRnnWarning
from .adam_state import adam_of
from .fp16 import DeviceMixedPrecision
from .graph_rules import kind_of_step, why_eager
from .graph_step import DeviceGraph, GraphedStep

__all__ = ["CudaGraph"]


class CudaGraph(Callback):
    """Replay the steps of a fit from a CUDA graph. Losses are those of a fit without it, to rounding.

    Learning rate and momentum follow their schedules, clipping, dropout and bf16 work, and a stateful model carries its
    state. Some steps run as without the callback: the first ones, smaller last batches, and validation. So do whole
    fits with fp16, several processes, an optimizer that is not Adam, a model that is no `CharModel`, and with hooks or
    callbacks that act within a step; a `CharRnnWarning` then says why. A NaN or infinite loss is noticed after its
    step, not before. On a CPU it does nothing, and says so once."""

    device = "cuda"  # the type of the device whose steps are captured
    graph_class = DeviceGraph
    graph = graphed = adam = parts = None
    _stateattrs = ("graph", "graphed", "adam", "parts")

    def __init__(
        self,
        warmup: int = 3,  # equal steps in a row that run without a graph before one is captured
    ):
        self.warmup = check_count("warmup", warmup, 1, MAX_COUNT)
        self.has_warned = False
        self._begin()

    def _begin(self):
        self._drop()
        self.reason: str | None = None  # why the last step ran without a graph
        self.is_blocked = False  # whether all steps do
        self.seen = (None, 0)  # the kind of the last steps, and how many of them there were in a row
        self.n_replayed = 0  # steps of the fit that were replayed
        self.n_captured = 0  # graphs of the fit

    def _drop(self):
        "Free the graph and its memory."
        self.graph = self.graphed = self.adam = self.parts = None

    def before_fit(self):
        self._begin()
        device = next(self.learn.model.parameters()).device
        if device.type != self.device:
            self._warn(f"the model is on {device.type!r}, and only steps on a GPU can be captured")
        elif device.type == "cuda" and device.index != torch.cuda.current_device():
            self._warn(f"the model is on {str(device)!r}, which is not the current device; use torch.cuda.set_device")
        else:
            self.graph = self.graph_class()

    def after_fit(self):
        is_long = self.learn.train_iter > 2 * self.warmup
        if self.graph is not None and is_long and not self.n_replayed:
            self._warn(self.reason or f"no {self.warmup + 1} steps in a row were of one kind")
        self._drop()

    def after_error(self):
        "Free the graph after an error."
        self._drop()

    def _warn(self, reason):
        if not self.has_warned:
            self.has_warned = True
            warn_caller(f"CudaGraph has no effect on this fit: {reason}", CharRnnWarning)

    def did_step(self) -> bool:
        "Do the step of the current batch, if it is one of training that a graph can hold. Otherwise return False."
        learn = self.learn
        if self.graph is None or not learn.training:
            return False
        self._check_parts(learn)
        kind = self.reason if self.is_blocked else kind_of_step(learn, self.adam)
        if isinstance(kind, str):
            self.reason = kind
            self.seen = (None, 0)
            return self._note_eager()
        self.reason = None
        if self.graphed is not None and self.graphed.kind == kind:
            if self._replay():
                return True
            self.graphed = None
        return self._warm_up(kind)

    def _replay(self):
        "Replay the step, if the graph can hold it."
        has_run = self.graphed.run()
        self.n_replayed += has_run
        # a smaller last batch of each epoch is no row of equal steps
        self.seen = (None, 0)
        return has_run

    def _check_parts(self, learn):
        "Find out what the learner's parts allow, when one of them is another than before."
        parts = (learn.model, learn.opt, learn.loss_func, *learn.cbs)
        before = self.parts
        if before is not None and len(before) == len(parts) and all(a is b for a, b in zip(before, parts)):
            return
        self.parts = parts
        self.graphed = None
        self.adam = adam_of(learn.opt)
        reason = why_eager(learn)
        self.is_blocked = reason is not None
        self.reason = reason
        if self.is_blocked:
            self._warn(reason)

    def _note_eager(self):
        "Note that the step runs without a graph, so it counts itself on the device."
        if self.adam is not None:
            self.adam.forget()
        return False

    def _warm_up(self, kind):
        "Do one of the first steps of a kind without a graph, or capture it."
        last, n = self.seen
        n = n + 1 if last == kind else 1
        self.seen = (kind, n)
        if n > self.warmup and self._capture(kind) and self._replay():
            return True
        self._note_eager()
        if not self.is_blocked:
            self.graph.run_eager(lambda: Learner._do_one_batch(self.learn))
        return not self.is_blocked

    def _capture(self, kind):
        "Capture a step. If that fails, the fit continues without a graph."
        learn = self.learn
        model = learn.model
        state = model.state
        # the graph before it frees its memory
        self.graphed = None
        try:
            self.graphed = GraphedStep(learn, kind, self.adam, self.graph)
        except RuntimeError as e:
            self.is_blocked = True
            self.reason = f"its step could not be captured ({type(e).__name__}: {e})"
            self._warn(self.reason)
            model.state = state
            for p in model.parameters():
                p.grad = None
            for cb in learn.cbs:
                if type(cb) is DeviceMixedPrecision:
                    # the failed step may have turned it off
                    cb("before_batch")
            return False
        self.n_captured += 1
        return True
