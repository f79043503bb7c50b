"""Run a model in float32 so that a row's numbers are the same bits in every batch: `tiled_copy`.

A matrix product sums in an order that depends on the number of rows, so the last bits of a row depend on its batch. A
`TiledModel` computes batches of certain sizes only, in which a row has the same bits. It divides and pads others.
Which sizes these are depends on the processor, the threads and the weights, so `TileSizes` compares them.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.base import CharModel, State
from ..models.inference import fast_log_probs, fast_step
from ..models.layer import Layer
from .model_view import fast_view, weights_copy

__all__ = ["tiled_copy", "TiledModel", "TileSizes"]

# a tile of this size is the reference: on CPUs with AVX2 and AVX-512, a row has the same bits wherever it is in it
_reference = 16
_sizes = (2, 4, 8, 16, 32, 64, 128, 256)
_n_steps = 2  # steps that are compared
# by classes of the modules, shapes of the weights, and number of threads
_known: dict[tuple, "TileSizes"] = {}


def tiled_copy(
    model: nn.Module,  # any
) -> "TiledModel | None":
    """Return a copy of a model that computes in tiles, in evaluation mode, or None.

    Only a `CharModel` in float32 on a CPU without hooks has one, and only if no row of a tile depends on the others."""
    if not _may_tile(model):
        return None
    copy = weights_copy(model)
    for module in copy.modules():
        _store_by_column(module)
    steps = FastSteps(fast_view(copy))
    shapes = tuple(p.shape for p in copy.parameters())
    key = (tuple(map(type, copy.modules())), shapes, torch.get_num_threads())
    if key not in _known:
        _known[key] = TileSizes()
    sizes = _known[key]
    return TiledModel(steps, sizes) if sizes.suits(steps, _reference) else None


def _may_tile(model):
    if not isinstance(model, CharModel):
        return False
    if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in model.parameters()):
        return False
    return not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def _store_by_column(module):
    "Store the weights that multiply states by column. Products of few rows are then faster, and of equal bits."
    if type(module) is nn.Linear:
        module.weight.data = _by_column(module.weight.data)
    if isinstance(module, Layer) and isinstance(getattr(module, "rnn", None), nn.RNNBase):
        module.rnn.weight_hh_l0.data = _by_column(module.rnn.weight_hh_l0.data)


def _by_column(weight):
    return weight.t().contiguous().t()


class FastSteps:
    "The steps of a model with few calls. Its weights must not change."

    def __init__(
        self,
        model: CharModel,  # in evaluation mode
    ):
        self.modules = model.modules
        self.table = model.table
        self.init_hidden = model.init_hidden
        self.step = fast_step(model)
        self.log_probs = fast_log_probs(model)


class TileSizes:
    "The sizes of batches in which a row has the same bits, for models of one class with weights of equal shapes."

    def __init__(self):
        self.known = {}

    def suits(
        self,
        steps: FastSteps,
        size: int,  # rows
    ) -> bool:
        "Whether a row has the same bits in a batch of this size as in one of 16 rows, at any place in it."
        if size not in self.known:
            self.known[size] = _is_equal(steps, size)
        return self.known[size]

    def plan(
        self,
        steps: FastSteps,
        n: int,  # rows
    ) -> list[int]:  # sizes of tiles; the last one may have more rows than are left
        "Divide a batch."
        tiles = []
        while n > 0:
            tiles.append(self._next(steps, n))
            n -= tiles[-1]
        return tiles

    def _next(self, steps, n):
        "A larger tile if most of its rows are used, else a smaller one."
        larger = next((s for s in _sizes if s >= n and self.suits(steps, s)), None)
        if larger is not None and (n <= _reference or larger - n <= larger // 4):
            return larger
        return next(s for s in reversed(_sizes) if s < n and self.suits(steps, s))


@torch.inference_mode()
def _is_equal(steps, size):
    "Compare steps of a batch of this size with those of tiles of 16 rows, which have other neighbours."
    try:
        inputs = _random_inputs(steps, size + 2 * _reference)
        starts = range(0, size + _reference, _reference)
        expected = zip(*[_run(steps, inputs, start, _reference) for start in starts])
        # every row is one place further than in the tiles
        results = _run(steps, inputs, 1, size)
        return all(torch.equal(o, torch.cat(tiles)[1 : 1 + size]) for o, tiles in zip(results, expected))
    except RuntimeError:
        # a state of the model's own, such as one of another dtype, does not fit
        return False


def _random_inputs(steps, n):
    "Rows of the table for some steps, and a state."
    generator = torch.Generator().manual_seed(0)
    table = steps.table()
    inps = [table[torch.randint(len(table), (n,), generator=generator)] for _ in range(_n_steps)]
    state = [_random_state(o, generator) for o in steps.init_hidden(n)]
    return inps, state


def _random_state(start, generator):
    "Random numbers in place of a state. Whole numbers, such as the last characters of a mixture, stay."
    if not start.is_floating_point():
        return start
    return torch.empty_like(start).uniform_(-1, 1, generator=generator)


def _run(steps, inputs, start, size):
    "The states and log-probabilities of some rows after each step."
    inps, state = inputs
    rows = slice(start, start + size)
    state = tuple(o[rows] for o in state)
    results = []
    for inp in inps:
        # a step overwrites its input
        state = steps.step(inp[rows].clone(), state)
        results += [*state, steps.log_probs(state)]
    return results


class TiledModel:
    "A model with steps that computes in tiles."

    def __init__(
        self,
        steps: FastSteps,
        sizes: TileSizes,  # those of its class and shapes
    ):
        self.steps = steps
        self.sizes = sizes
        self.plans = {}

    def modules(self) -> Iterator[nn.Module]:
        "As the model's."
        return self.steps.modules()

    def table(self) -> Tensor:
        "As the model's."
        return self.steps.table()

    def init_hidden(self, bs: int) -> State:
        "As the model's."
        return self.steps.init_hidden(bs)

    def step(
        self,
        inp: Tensor,  # rows of the table; they are overwritten
        state: State,
    ) -> State:
        "As the model's, tile by tile."
        n = inp.shape[0]
        if self._plan(n) == [n]:
            return self.steps.step(inp, state)
        return self._in_tiles(lambda inp, *state: self.steps.step(inp, state), n, inp, *state)

    def log_probs(self, state: State) -> Tensor:  # (bs, V)
        "As the model's, tile by tile."
        n = state[0].shape[0]
        if self._plan(n) == [n]:
            return self.steps.log_probs(state)
        return self._in_tiles(lambda *state: [self.steps.log_probs(state)], n, *state)[0]

    def _plan(self, n):
        if n not in self.plans:
            self.plans[n] = self.sizes.plan(self.steps, n)
        return self.plans[n]

    def _in_tiles(self, fn, n, *tensors):
        results = []
        start = 0
        for size in self._plan(n):
            stop = min(start + size, n)
            outs = fn(*(_padded(o[start:stop], size) for o in tensors))
            results.append([o[: stop - start] for o in outs])
            start = stop
        return tuple(map(torch.cat, zip(*results)))


def _padded(tensor, n):
    "The rows of a tensor, and rows of zeros up to n rows."
    n_missing = n - len(tensor)
    return F.pad(tensor, [0, 0] * (tensor.dim() - 1) + [0, n_missing]) if n_missing else tensor
