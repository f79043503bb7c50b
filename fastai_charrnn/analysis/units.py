"""The hidden states of a model while it reads a text: `hidden_states`.

states = hidden_states(learn, "for those who")    # (13, n_hid), after each character
"""

import numpy as np
from torch import Tensor

from .._checks import shown
from ..errors import ArchError
from ..generation.prompts import TextModel
from ..models.base import CharModel, State
from ..models.layer import Layer
from ..models.mullstm import CharMulLstm
from ..models.rnn import LayeredModel
from .text_states import TextStates

__all__ = ["hidden_states"]


def hidden_states(
    learn: TextModel,  # a learner, or a `CharGenerator`
    text: str,  # the text to read; may be empty
    layer: int = -1,  # which recurrent layer; -1: the last, which the output layer reads
    by: str | None = None,  # read as "windows", "chunks" or "streams"; None: as the model predicts
    member: int = 0,  # which member of an ensemble
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
) -> np.ndarray:  # (characters, n_hid) float32
    """Return the hidden state after each character, before layer normalisation.

    By default the text is read as the model predicts. A model with a window starts with zeros `seq_len` characters
    before each character, and short windows are padded with index 0, as in `learn.score`. A stateful model reads the
    whole text. With `by="streams"` every model does. Of an ensemble, one `member` is shown. Of a class of your own,
    the hidden state is what its `output` returns. With `unk="skip"`, unknown characters have no row.

    Raises `ArchError` for a model without steps or a `layer` that it does not have, `UnknownCharError`, `DataError`,
    and `GenerationError` for weights that are not finite."""
    states = TextStates(learn, text, by, member, unk)
    layer = layer_number(states.model, layer)
    parts = [as_array(hidden_of(states.model, block.after, layer)) for block in states.blocks()]
    return np.concatenate([np.zeros((0, states.n_hid), np.float32), *parts])


def n_layers(
    model: CharModel,  # no ensemble
) -> int:  # 1 for a class of the user's own
    "The number of recurrent layers."
    if is_layered(model):
        return 1 + len(model.upper)
    return model.n_layers if isinstance(model, CharMulLstm) else 1


def is_layered(
    model: CharModel,  # any
) -> bool:
    "Whether the model has the steps and the state of `LayeredModel`."
    return isinstance(model, LayeredModel) and type(model).step is LayeredModel.step


def layer_number(
    model: CharModel,  # no ensemble
    layer: object,  # what a user passed: a number, from the end if it is negative
) -> int:  # from 0
    "Return the number of a layer. Raises `ArchError` for one that the model does not have."
    n = n_layers(model)
    if isinstance(layer, (int, np.integer)) and not isinstance(layer, bool) and -n <= layer < n:
        return int(layer) % n
    allowed = "0 or -1" if n == 1 else f"0 to {n - 1}, or -1 for the last"
    raise ArchError(f"layer={shown(layer)} is not a layer of this {type(model).__name__}; pass {allowed}")


def layer_module(
    model: LayeredModel,  # one with `is_layered`
    layer: int,  # from 0
) -> Layer:
    "The layer with this number. The first one is the model itself."
    return model.upper[layer - 1] if layer else model


def layer_state(
    model: CharModel,  # one with known layers
    state: State,  # of all layers
    layer: int,  # from 0
) -> State:
    "The tensors of one layer."
    n_tensors = len(state) // n_layers(model)
    return state[layer * n_tensors : (layer + 1) * n_tensors]


def hidden_of(
    model: CharModel,  # no ensemble
    state: State,  # of all layers
    layer: int,  # from 0
) -> Tensor:  # (n, n_hid)
    "The hidden state of one layer."
    if is_layered(model):
        return layer_module(model, layer).layer_output(layer_state(model, state, layer))
    if isinstance(model, CharMulLstm):
        return layer_state(model, state, layer)[0]
    return model.output(state)


def as_array(
    values: Tensor,  # on any device, of any float type
) -> np.ndarray:  # float32
    "A tensor as an array."
    return values.float().cpu().numpy()
