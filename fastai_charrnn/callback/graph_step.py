"""A whole step of training as a CUDA graph: `GraphedStep` has its buffers."""

import gc

import torch
from fastai.basics import Callback, Learner
from fastai.callback.training import GradientClip

from ..models.device_graph import DeviceGraph
from .adam_state import AdamState
from .finite import FiniteLoss
from .fp16 import DeviceMixedPrecision
from .graph_adam import AdamStep
from .graph_rules import carries_state, trained_weights

__all__ = ["GraphedStep"]


class GraphedStep:
    """One kind of step: its batch, its state, its gradients and its results are always at the same places in memory.

    A step is forward, loss, backward, gradient clipping and Adam. `run` copies the batch to its place and replays."""

    def __init__(
        self,
        learn: Learner,  # with a batch of the kind
        kind: tuple,  # what `kind_of_step` returned for it
        adam: AdamState,  # the state of the optimizer
        graph: DeviceGraph,  # captures and replays
    ):
        self.learn = learn
        self.kind = kind
        self.graph = graph
        self.x = learn.xb[0].clone()
        self.y = learn.yb[0].clone()
        self.carries = carries_state(learn.model)
        self.state = tuple(o.clone() for o in learn.model.state) if self.carries else ()
        self.adam = adam
        self.weights = trained_weights(adam)
        self.step = AdamStep(adam, self.weights)
        # what the optimizer's `zero_grad` leaves
        self.zeros = [torch.zeros_like(p) if adam.keeps_grads else None for p in self.weights]
        self.precision = _all_of(learn.cbs, DeviceMixedPrecision)
        self.clips = _all_of(learn.cbs, GradientClip)
        self.checks = _all_of(learn.cbs, FiniteLoss)
        self.pred = None
        self.loss = None
        self._drop_batch()
        if self.x.is_cuda:
            # what Python would free during the capture, such as steps of other streams
            gc.collect()
        graph.capture(self._compute)

    def _drop_batch(self):
        "Drop what refers to the last batch: its graph of autograd belongs to another stream."
        self.learn.pred = self.learn.loss = self.learn.loss_grad = None

    def _compute(self):
        "Compute a step, from the places of its inputs to those of its results."
        learn = self.learn
        model = learn.model
        if self.carries:
            model.state = self.state
        learn.pred = model(self.x)
        _send(self.precision, "after_pred")
        loss = learn.loss_func(learn.pred, self.y)
        # turns autocast off
        _send(self.precision, "after_loss")
        for p, zeros in zip(self.weights, self.zeros):
            p.grad = None if p.requires_grad else zeros
        loss.backward()
        _send(self.clips, "before_step")
        self.step.run([p.grad for p in self.weights])
        for p, zeros in zip(self.weights, self.zeros):
            p.grad = zeros
        for place, o in zip(self.state, model.state or ()):
            place.copy_(o)
        self.pred = learn.pred.detach()
        self.loss = loss.detach()
        self._drop_batch()

    def run(self) -> bool:
        "Do the step of the current batch. False: it must be captured again, because the optimizer's numbers differ."
        learn = self.learn
        if not self.step.load():
            return False
        self.x.copy_(learn.xb[0])
        self.y.copy_(learn.yb[0])
        if self.carries:
            for place, o in zip(self.state, learn.model.state):
                if place is not o:
                    place.copy_(o)
            learn.model.state = self.state
        self.graph.replay()
        self.adam.advance(self.weights)
        learn.pred = self.pred
        # a copy: callbacks may keep it, and the next replay overwrites its place
        learn.loss = learn.loss_grad = self.loss.clone()
        _send(self.precision, "after_loss")
        _send(self.checks, "after_loss")
        _send(self.precision, "before_step")
        _send(self.precision, "after_step")
        return True


def _all_of(cbs: list[Callback], kind: type):
    return [cb for cb in sorted(cbs, key=lambda cb: cb.order) if type(cb) is kind]


def _send(cbs, event_name):
    for cb in cbs:
        cb(event_name)
