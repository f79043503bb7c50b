"""Run a model in float32 so that a row's numbers are the same bits in every batch: `tiled_copy`.

A matrix product sums in an order that depends on the number of rows, so the last bits of a row depend on its batch. A
`TiledModel` computes batches of certain sizes only, in which a row has the same bits. It divides and pads other batches.
Which sizes these are depends on the processor, the threads and the weights, so `TileSizes` compares them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.base import CharModel, State, check_state
from ..models.layers import Layer
from .model_view import weights_copy

__all__ = ["tiled_copy", "TiledModel", "TileSizes"]

# a tile of this size is the reference: on CPUs with AVX2 and AVX-512, a row has the same bits wherever it is in it
_reference = 16
_sizes = (2, 4, 8, 16, 32, 64, 128, 256)
_n_steps = 2  # steps that are compared
# by class of the model, shapes of its weights, and number of threads
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
    shapes = tuple(p.shape for p in copy.parameters())
    key = (type(model), shapes, torch.get_num_threads())
    if key not in _known:
        _known[key] = TileSizes()
    sizes = _known[key]
    return TiledModel(copy, sizes) if sizes.suits(copy, _reference) else None


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


class TileSizes:
    "The sizes of batches in which a row has the same bits, for models of one class with weights of equal shapes."

    def __init__(self):
        self.known = {}

    def suits(
        self,
        model: nn.Module,  # a model with steps, in evaluation mode
        size: int,  # rows
    ) -> bool:
        "Whether a row has the same bits in a batch of this size as in one of 16 rows, at any place in it."
        if size not in self.known:
            self.known[size] = _is_equal(model, size)
        return self.known[size]

    def plan(
        self,
        model: nn.Module,  # a model with steps, in evaluation mode
        n: int,  # rows
    ) -> list[int]:  # sizes of tiles; the last one may have more rows than are left
        "Divide a batch."
        tiles = []
        while n > 0:
            tiles.append(self._next(model, n))
            n -= tiles[-1]
        return tiles

    def _next(self, model, n):
        "A larger tile if most of its rows are used, else a smaller one."
        larger = next((s for s in _sizes if s >= n and self.suits(model, s)), None)
        if larger is not None and (n <= _reference or larger - n <= larger // 4):
            return larger
        return next(s for s in reversed(_sizes) if s < n and self.suits(model, s))


@torch.inference_mode()
def _is_equal(model, size):
    "Compare steps of a batch of this size with those of tiles of 16 rows, which have other neighbours."
    try:
        inputs = _random_inputs(model, size + 2 * _reference)
        starts = range(0, size + _reference, _reference)
        expected = zip(*[_steps(model, inputs, start, _reference) for start in starts])
        # every row is one place further than in the tiles
        results = _steps(model, inputs, 1, size)
        return all(torch.equal(o, torch.cat(tiles)[1 : 1 + size]) for o, tiles in zip(results, expected))
    except RuntimeError:
        # a state of the model's own, such as one of another dtype, does not fit
        return False


def _random_inputs(model, n):
    "Rows of the table for some steps, and a state."
    generator = torch.Generator().manual_seed(0)
    table = model.table()
    inps = [table[torch.randint(len(table), (n,), generator=generator)] for _ in range(_n_steps)]
    state = [torch.empty_like(o).uniform_(-1, 1, generator=generator) for o in model.init_hidden(n)]
    return inps, state


def _steps(model, inputs, start, size):
    "The states and log-probabilities of some rows after each step."
    inps, state = inputs
    rows = slice(start, start + size)
    state = tuple(o[rows] for o in state)
    results = []
    for inp in inps:
        state = check_state(model, model.step(inp[rows], state))
        results += [*state, model.log_probs(state)]
    return results


class TiledModel(nn.Module):
    "A model with steps that computes in tiles."

    def __init__(
        self,
        model: nn.Module,  # a model with steps, in evaluation mode
        sizes: TileSizes,  # those of its class and shapes
    ):
        super().__init__()
        self.model = model
        self.sizes = sizes
        self.plans = {}

    def table(self) -> Tensor:
        "As the model's."
        return self.model.table()

    def init_hidden(self, bs: int) -> State:
        "As the model's."
        return self.model.init_hidden(bs)

    def step(self, inp: Tensor, state: State) -> State:
        "As the model's, tile by tile."
        return self._run(lambda inp, *state: check_state(self.model, self.model.step(inp, state)), inp, *state)

    def log_probs(self, state: State) -> Tensor:
        "As the model's, tile by tile."
        return self._run(lambda *state: (self.model.log_probs(state),), *state)[0]

    def _run(self, fn, *tensors):
        n = len(tensors[0])
        if n not in self.plans:
            self.plans[n] = self.sizes.plan(self.model, n)
        plan = self.plans[n]
        if plan == [n]:
            return fn(*tensors)
        results = []
        start = 0
        for size in plan:
            stop = min(start + size, n)
            outs = fn(*(_padded(o[start:stop], size) for o in tensors))
            results.append([o[: stop - start] for o in outs])
            start = stop
        return tuple(map(torch.cat, zip(*results)))


def _padded(tensor, n):
    "The rows of a tensor, and rows of zeros up to n rows."
    n_missing = n - len(tensor)
    return F.pad(tensor, [0, 0] * (tensor.dim() - 1) + [0, n_missing]) if n_missing else tensor
