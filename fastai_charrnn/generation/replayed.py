"""Generate without launching every operation from Python: `replayed_steps` captures a step of decoding and replays it.

    with replayed_steps():
        learn.generate("The ", 1000, seed=1)

A step of decoding is about fifty kernels of a few microseconds each, and Python launches one in ten or more. A CUDA
graph launches all of them in one call. Texts are those without it. It is off by default.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import torch
from torch import Tensor

from .._utils import warn_caller
from ..errors import CharRnnWarning
from ..models.device_graph import DeviceGraph
from .decoders import StatefulDecoder

__all__ = ["replayed_steps", "ReplayedSampler", "StepGraph"]

_max_steps = 256  # characters of a block
_n_eager = 2  # characters before a step is captured


class StepGraph(Protocol):
    "Captures what a function computes, and computes it again with the same places in memory."

    def run_eager(self, step: Callable[[], None]):
        "Run a step before one is captured."

    def capture(self, step: Callable[[], None]):
        "Capture a step."

    def replay(self):
        "Compute the captured step."


_graph_class: ContextVar[Callable[[], StepGraph] | None] = ContextVar("graph_class", default=None)


@contextmanager
def replayed_steps(
    graph_class: Callable[[], StepGraph] = DeviceGraph,  # captures and replays
) -> Iterator[None]:
    """Within the block, sampling replays its steps, for models on a GPU that carry their state and have no hooks.

    Other models, and beam search, generate as without it."""
    token = _graph_class.set(graph_class)
    try:
        yield
    finally:
        _graph_class.reset(token)


def replayed_sampler(
    sampler: Any,  # a new `sampling.Sampler`
) -> "ReplayedSampler | None":
    "Return what replays the steps of a sampler, or None if they are not to be replayed, or cannot be."
    graph_class = _graph_class.get()
    if graph_class is None or type(sampler.decoder) is not StatefulDecoder:
        return None
    if graph_class is DeviceGraph and not sampler.decoder.table.is_cuda:
        return None
    modules = sampler.decoder.model.modules()
    if any(m._forward_hooks or m._forward_pre_hooks for m in modules):
        return None
    return ReplayedSampler(sampler, graph_class)


class ReplayedSampler:
    """Samples characters by replays of one captured step.

    State, random numbers and results are always at the same places in memory. The step counts itself, so a replay needs
    nothing from the host, and the results of a block are read at once. Before a step is captured, two run without a
    graph, which loads what they need. After rows have left the batch, the step is captured again."""

    def __init__(
        self,
        sampler: Any,  # a `sampling.Sampler` whose decoder is a `StatefulDecoder`
        graph_class: Callable[[], StepGraph],  # captures and replays
    ):
        self.sampler = sampler
        self.graph_class = graph_class
        self.is_captured = False
        self.is_blocked = False
        self.drop()

    def drop(self):
        "Forget the captured step, because the batch has other rows."
        self.is_captured = False
        self.graph = self.graph_class()

    def sample(
        self,
        k: int,  # characters for each row
    ) -> tuple[Tensor, Tensor]:  # as `Sampler.sample`
        "Return the next `k` indices of each row and their log-probabilities."
        if self.is_blocked or k > _max_steps:
            return self.sampler.sample_eagerly(k)
        if self.is_captured:
            return self._replay(k)
        n = min(k, _n_eager)
        blocks = [self._warm_up(n)]
        self._capture()
        if n < k:
            blocks.append(self.sample(k - n))
        ids, log_probs = zip(*blocks)
        return torch.cat(ids, 1), torch.cat(log_probs, 1)

    def _warm_up(self, k):
        blocks = []
        self.graph.run_eager(lambda: blocks.append(self.sampler.sample_eagerly(k)))
        return blocks[0]

    def _replay(self, k):
        sampler = self.sampler
        if sampler.uniforms:
            self.uniforms[:k] = torch.stack(sampler.uniforms.take(k))
        for place, o in zip(self.state, sampler.decoder.state):
            if place is not o:
                place.copy_(o)
        self.count.zero_()
        for _ in range(k):
            self.graph.replay()
        sampler.decoder.state = self.state
        return self.ids[:, :k].clone(), self.log_probs[:, :k].clone()

    def _capture(self):
        "Capture the step. If that fails, all characters are sampled without replays."
        decoder = self.sampler.decoder
        before = decoder.state
        self._make_places(before)
        try:
            self.graph.capture(self._step)
            self.is_captured = True
        except RuntimeError as e:
            self.is_blocked = True
            warn_caller(f"a step of generation could not be captured, so none is replayed ({e})", CharRnnWarning)
        decoder.state = before

    def _make_places(self, state):
        bs = len(state[0])
        self.state = tuple(o.clone() for o in state)
        self.uniforms = state[0].new_zeros(_max_steps, bs, 1, dtype=torch.float64)
        self.ids = state[0].new_zeros(bs, _max_steps, dtype=torch.int64)
        self.log_probs = state[0].new_zeros(bs, _max_steps, dtype=torch.float64)
        self.count = state[0].new_zeros(1, dtype=torch.int64)

    def _step(self):
        "One character, from the places of its inputs to those of its results."
        decoder = self.sampler.decoder
        decoder.state = self.state
        u = self.uniforms.index_select(0, self.count)[0] if self.sampler.uniforms else None
        index, log_prob = self.sampler.step(u)
        # copies, because a model may return a tensor of its old state
        for place, o in zip(self.state, [o.clone() for o in decoder.state]):
            place.copy_(o)
        self.ids.index_copy_(1, self.count, index[:, None])
        self.log_probs.index_copy_(1, self.count, log_prob)
        self.count.add_(1)
