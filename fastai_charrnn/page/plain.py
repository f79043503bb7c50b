"""The networks of a model as plain weights: `networks`. Each is of an architecture that the engine of a page knows."""

from collections.abc import Mapping
from operator import attrgetter
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import PageError
from ..generation.model_view import eval_view
from ..generation.outputs import read_windows
from ..models.base import CharModel
from ..models.build import without_init
from ..models.ensemble import CharEnsemble
from ..models.mullstm import CharMulLstm
from ..models.rnn import Char3Model, CharGru, CharLoopConcatModel, CharLoopModel, CharLstm, CharRnn, LayeredModel

__all__ = ["Network", "networks"]

# the architectures that the engine knows; a subclass comes before its base
_archs: dict[type[CharModel], str] = {
    Char3Model: "char3",
    CharLoopModel: "loop",
    CharLoopConcatModel: "concat",
    CharRnn: "rnn",
    CharGru: "gru",
    CharLstm: "lstm",
    CharMulLstm: "mullstm",
}
# largest difference between log-probabilities of a model and of its plain weights
_max_difference = 1e-3
# characters that a stateful model reads in the comparison
_compared_chars = 16


class Network(NamedTuple):
    "One network: a model without hooks, subclasses and dropout."

    arch: str  # its architecture
    config: Mapping  # emb_sz, n_hid, n_layers
    tensors: Mapping[str, Tensor]  # by the names of `state_dict`; tied weights once


def networks(
    model: nn.Module,  # any
) -> list[Network]:  # several for an ensemble
    """Return the networks of a model of a built-in architecture, a subclass of one, or an ensemble of these.

    Raises `PageError` for another model, and for one that computes something else than its architecture does, because
    a hook, a subclass or a replaced module changes it."""
    members = list(model.members) if type(model) is CharEnsemble else [model]
    return [_network(member) for member in members]


def _network(model):
    base = next((cls for cls in type(model).__mro__ if cls in _archs), None)
    if base is None:
        raise PageError(
            f"a page cannot run {type(model).__name__}, it runs {', '.join(_archs.values())}, and ensembles of these; "
            "use charrnn serve, which runs every model in Python"
        )
    plain = _plain_model(base, model)
    tensors = {name: _tensor(model, name, expected.shape) for name, expected in plain.state_dict().items()}
    plain.load_state_dict(tensors, assign=True)
    _check_equal(model, plain.eval())
    if model.out.weight is model.emb.weight:
        del tensors["out.weight"]
    config = dict(emb_sz=model.emb_sz, n_hid=model.n_hid, n_layers=_n_layers(model))
    return Network(_archs[base], config, tensors)


def _n_layers(model):
    return model.n_layers if isinstance(model, CharMulLstm) else 1 + len(model.upper)


def _plain_model(base, model):
    "A model of the architecture, without memory for weights."
    options = {}
    if not issubclass(base, Char3Model):
        options["n_layers"] = _n_layers(model)
    if isinstance(model, LayeredModel) and len(model.norms):
        options["layer_norm"] = True
    with torch.device("meta"), without_init():
        plain = base(model.vocab_sz, model.emb_sz, model.n_hid, model.seq_len, **options)
    plain.target = model.target
    return plain


def _tensor(model, name, shape):
    "A weight as it is used: pruned and parametrized weights are computed."
    try:
        tensor = attrgetter(name)(model)
    except AttributeError:
        tensor = None
    if not isinstance(tensor, Tensor) or tensor.shape != shape:
        raise PageError(
            f"a page cannot run this {type(model).__name__}: {name} is not a tensor of shape {tuple(shape)}, "
            "because a module was replaced; use charrnn serve, which runs every model in Python"
        )
    return tensor.detach().float()


def _check_equal(model, plain):
    "Raise `PageError` unless a model predicts what its plain weights do."
    n = model.seq_len or _compared_chars
    device = model.emb.weight.device
    ids = (torch.arange(2 * n, device=device) % model.vocab_sz).view(2, n)
    with torch.inference_mode():
        found = read_windows(eval_view(model), ids, torch.float32)
        expected = read_windows(plain, ids, torch.float32)
    if not torch.allclose(found, expected, atol=_max_difference, rtol=0):
        raise PageError(
            f"a page cannot run this {type(model).__name__}: it predicts something else than the architecture that it "
            "is made from, because a hook or a method changes it; use charrnn serve, which runs every model in Python"
        )
