"""The gates of `gru`, `lstm` and `mullstm` while they read a text: `gates`, and how often they saturate: `saturation`.

gates(learn, text)["forget"]              # (characters, n_hid), between 0 and 1
saturation(gates(learn, text))["forget"]  # (n_hid, 2): how often each is closed and open
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from .._checks import check_number, shown
from ..errors import ArchError, DataError
from ..generation.prompts import TextModel
from ..models.base import CharModel, State
from ..models.layers import GruLayer, LstmLayer
from ..models.mullstm import CharMulLstm
from .text_states import Block, TextStates
from .units import as_array, hidden_of, is_layered, layer_module, layer_number, layer_state

__all__ = ["gates", "saturation", "GATES"]

# the arrays of `gates` that are gates, between 0 and 1
GATES = ("input", "forget", "output", "reset", "update")

Reader = Callable[[Block], dict[str, Tensor]]


def gates(
    learn: TextModel,  # a learner of `gru`, `lstm` or `mullstm`, or a `CharGenerator`
    text: str,  # the text to read; may be empty
    layer: int = -1,  # which recurrent layer; -1: the last
    by: str | None = None,  # read as "windows", "chunks" or "streams"; None: as the model predicts
    member: int = 0,  # which member of an ensemble
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
) -> dict[str, np.ndarray]:  # (characters, n_hid) float32 each
    """Return the gates and states of a layer at each character, by name.

    - `lstm`: "input", "forget", "candidate", "output", "cell", "hidden", as in Hochreiter & Schmidhuber (1997) with the
      forget gate of Gers et al. (2000): cell = forget · cell before + input · candidate; hidden = output · tanh(cell).
    - `mullstm`: the same, and "scale", by which the hidden state is multiplied before the recurrent product.
    - `gru`: "reset", "update", "candidate", "hidden", as in `torch.nn.GRU`: hidden = (1 - update) · candidate +
      update · hidden before.

    Input, forget, output, reset and update are between 0 and 1, candidate and hidden between -1 and 1, scale between 0
    and 2. The text is read as in `hidden_states`. Raises `ArchError` for an architecture without gates, and the errors
    of `hidden_states`."""
    states = TextStates(learn, text, by, member, unk)
    model = states.model
    layer = layer_number(model, layer)
    read = _reader(model, layer)
    blocks = [{name: as_array(values) for name, values in read(block).items()} for block in states.blocks()]
    if not blocks:
        return {name: np.zeros((0, states.n_hid), np.float32) for name in _names(model, layer)}
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def saturation(
    values: Mapping[str, np.ndarray],  # what `gates` returns
    low: float = 0.1,  # a gate below is left-saturated: closed
    high: float = 0.9,  # a gate above is right-saturated: open
) -> dict[str, np.ndarray]:  # for each gate (n_hid, 2): the shares of characters at which it is closed and open
    """Return how often each gate of each unit saturates, by the limits of Karpathy, Johnson & Li (2015), section 4.2.

    Only gates between 0 and 1 are counted: not the candidate, the scale and the states. Raises `DataError` if there is
    no gate or no character."""
    low = check_number("low", low, 0, 1)
    high = check_number("high", high, low, 1)
    if not isinstance(values, Mapping) or not any(name in GATES for name in values):
        raise DataError(f"values={shown(values)} have no gates; pass what gates(learn, text) returns")
    found = {name: np.asarray(values[name]) for name in GATES if name in values}
    if any(gate.ndim != 2 or not len(gate) for gate in found.values()):
        raise DataError("the gates have no characters; pass a text to gates(learn, text)")
    return {name: np.stack([(gate < low).mean(0), (gate > high).mean(0)], 1) for name, gate in found.items()}


def _reader(model: CharModel, layer: int) -> Reader:
    "A function of a block that returns the gates of a layer."
    if isinstance(model, CharMulLstm):
        return lambda block: _mullstm_gates(model, layer, block)
    kind = _layer_kind(model, layer)
    read = _lstm_gates if kind is LstmLayer else _gru_gates
    return lambda block: read(layer_module(model, layer), _inputs(model, layer, block), *_of_layer(model, layer, block))


def _layer_kind(model, layer):
    module = layer_module(model, layer) if is_layered(model) else None
    kind = next((kind for kind in (LstmLayer, GruLayer) if isinstance(module, kind)), None)
    if kind is None:
        raise ArchError(f'{type(model).__name__} has no gates; "gru", "lstm" and "mullstm" have gates')
    return kind


def _names(model, layer):
    "The names of the arrays, for a text without characters."
    if not isinstance(model, CharMulLstm) and _layer_kind(model, layer) is GruLayer:
        return ["reset", "update", "candidate", "hidden"]
    lstm = ["input", "forget", "candidate", "output", "cell", "hidden"]
    return [*lstm, "scale"] if isinstance(model, CharMulLstm) else lstm


def _of_layer(model, layer, block) -> tuple[State, State]:
    "The states of a layer before and after each character."
    return layer_state(model, block.before, layer), layer_state(model, block.after, layer)


def _inputs(model, layer, block):
    "The pre-activations (n, k) of a layer: what depends on its input."
    if layer == 0:
        e = F.embedding(block.ids, model.all_embeddings())
    else:
        e = model._between(layer - 1, hidden_of(model, block.after, layer - 1))
    return layer_module(model, layer).project(e)


def _lstm_gates(layer, inp, before, after):
    return _named(inp + before[0] @ layer.rnn.weight_hh_l0.t(), after)


def _gru_gates(layer, inp, before, after):
    (h,) = before
    weights = layer.rnn.weight_hh_l0.t()
    r_inp, z_inp, n_inp = inp.chunk(3, -1)
    r_hid, z_hid, n_hid = (h @ weights).chunk(3, -1)
    reset = (r_inp + r_hid).sigmoid()
    candidate = (n_inp + reset * (n_hid + layer.rnn.bias_hh_l0[2 * layer.n_hid :])).tanh()
    return dict(reset=reset, update=(z_inp + z_hid).sigmoid(), candidate=candidate, hidden=after[0])


def _mullstm_gates(model, layer, block):
    before, after = _of_layer(model, layer, block)
    if layer == 0:
        e = F.embedding(block.ids, model.all_embeddings())
    else:
        e = hidden_of(model, block.after, layer - 1)
    inp, scale = model._split_inputs(model.inp[layer](e))
    return _named(inp + model.hid[layer](scale * before[0]), after) | dict(scale=scale)


def _named(pre, after):
    "The gates of an LSTM from their pre-activations i, f, g, o."
    i, f = pre.chunk(4, -1)[:2]
    g, o = pre.chunk(4, -1)[2:]
    hidden, cell = after
    named = dict(input=i.sigmoid(), forget=f.sigmoid(), candidate=g.tanh(), output=o.sigmoid())
    return named | dict(cell=cell, hidden=hidden)
