"""Steps without gradients for generation: `fast_step` and `fast_log_probs`, with few calls and in place.

For the few rows of a text, a step takes the time of its calls. For many rows it takes that of its products and copies.
The numbers equal those of `step` and `log_probs` to rounding. Other classes than the package's own run their methods.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .base import CharModel, State, check_state
from .kernels import fast_tanh_
from .layers import ConcatLayer, GruLayer, LstmLayer, TanhLayer
from .mullstm import CharMulLstm
from .rnn import LayeredModel

__all__ = ["fast_step", "fast_log_probs"]

Step = Callable[[Tensor, State], State]


def fast_step(
    model: CharModel,  # in evaluation mode; its weights do not change
) -> Step:  # rows of the table (bs, k), which are overwritten, and a state to the next state
    "Return a function that reads one character like `model.step`."
    cells = _cells(model)
    if cells is None:
        return lambda inp, state: check_state(model, model.step(inp, state))
    if len(cells) == 1:
        return cells[0]
    n_state = model.n_state

    def step(inp, state):
        new = cells[0](inp, state[:n_state])
        for k, layer in enumerate(model.upper):
            e = model._between(k, layer.layer_output(new[-n_state:]))
            first = (k + 1) * n_state
            new += cells[k + 1](layer.project(e), state[first : first + n_state])
        return new

    return step


def fast_log_probs(
    model: CharModel,  # in evaluation mode; its weights do not change
) -> Callable[[State], Tensor]:  # (bs, V)
    "Return a function that does what `model.log_probs` does."
    kind = type(model)
    is_known = kind.log_probs is CharModel.log_probs and kind.head in _heads and type(model.out) is nn.Linear
    if not is_known or model.out.weight.dtype.itemsize < 4:
        return model.log_probs
    weight = model.out.weight.t()
    bias = model.out.bias
    output = model.output
    if kind.output is LayeredModel.output and not len(model.norms):
        n_state = model.n_state

        def output(state):
            return state[-n_state]

    return lambda state: torch.addmm(bias, output(state), weight).log_softmax(-1)


_heads = (CharModel.head, LayeredModel.head, CharMulLstm.head)


def _cells(model):
    "The cells of the layers, or None for a model that has others."
    if not isinstance(model, LayeredModel) or type(model).step is not LayeredModel.step or model.calls_modules():
        return None
    makers = [_makers.get(type(layer).cell) for layer in (model, *model.upper)]
    if None in makers:
        return None
    return [make(layer) for make, layer in zip(makers, (model, *model.upper))]


def _tanh_cell(layer):
    weight = layer.weight_hh().t()
    return lambda inp, state: (fast_tanh_(inp.addmm_(state[0], weight)),)


def _concat_cell(layer):
    inner_weight = layer.hid_to_inner().t()
    weight = layer.hid.weight.t()
    bias = layer.hid.bias

    def cell(inp, state):
        inner = inp.addmm_(state[0], inner_weight).relu_()
        return (fast_tanh_(torch.addmm(bias, inner, weight)),)

    return cell


def _gru_cell(layer):
    weight = layer.rnn.weight_hh_l0.t()
    n_hid = layer.n_hid
    # the candidate's hidden bias is inside the reset gate
    bias = layer.rnn.bias_hh_l0[2 * n_hid :]

    def cell(inp, state):
        (h,) = state
        gates_inp, candidate = inp.split([2 * n_hid, n_hid], 1)
        gates, candidate_hid = torch.mm(h, weight).split([2 * n_hid, n_hid], 1)
        reset, update = gates.add_(gates_inp).sigmoid_().chunk(2, 1)
        # tanh takes three times as long on a view of some columns
        candidate = fast_tanh_(torch.addcmul(candidate, reset, candidate_hid.add_(bias)))
        return (torch.lerp(candidate, h, update),)

    return cell


def _lstm_cell(layer):
    weight = layer.rnn.weight_hh_l0.t()
    n_hid = layer.n_hid

    def cell(inp, state):
        h, c = state
        in_and_forget, new, out = inp.addmm_(h, weight).split([2 * n_hid, n_hid, n_hid], 1)
        i, f = in_and_forget.sigmoid_().chunk(2, 1)
        # tanh takes three times as long on a view of some columns
        c = torch.mul(f, c).addcmul_(i, fast_tanh_(new.contiguous()))
        return torch.mul(out.sigmoid_(), c.tanh()), c

    return cell


_makers = {
    TanhLayer.cell: _tanh_cell,
    ConcatLayer.cell: _concat_cell,
    GruLayer.cell: _gru_cell,
    LstmLayer.cell: _lstm_cell,
}
