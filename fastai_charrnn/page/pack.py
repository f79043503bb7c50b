"""Pack a model as JSON values for the JavaScript engine of a page: `pack_model`.

The weights are written as float16, in base64. The engine's files are listed in `page.engine`.
"""

import base64
from collections.abc import Iterable, Mapping
from operator import attrgetter

import numpy as np
import torch
from torch import nn

from .._utils import unwrap_model
from ..data.vocab import CharVocab
from ..errors import PageError
from ..generation.checks import check_weights
from ..generation.decoders import is_stateful
from ..models.ensemble import CharEnsemble
from ..models.rnn import CharRnn

__all__ = ["pack_model", "MAX_BYTES"]

FORMAT = 1
MAX_BYTES = 20 * 2**20  # of the weights as float16

# the architectures that the engine knows, and the arguments that it needs
_archs = {CharRnn: "rnn"}
_config_names = ("emb_sz", "n_hid")


def pack_model(
    model: nn.Module,  # of a built-in architecture
    vocab: CharVocab,  # the characters of its indices
    *,
    seq_len: int | None = None,  # characters of a window; None: what the model says
    mode: str | None = None,  # how it was trained: "windows", "chunks" or "streams"; None: what the model says
    name: str = "",  # shown as the title
    facts: Mapping | None = None,  # numbers about the training, JSON values
    units: Iterable[Mapping] | None = None,  # named hidden units: {"unit": 17, "tracks": "quotes", "score": 0.8}
    prompts: Iterable[str] = (),  # texts to begin with
) -> dict:  # JSON values, see ARCHITECTURE.md
    """Pack a model for `CharRNN.load`. The model is not changed.

    Raises `PageError` for an architecture that the engine does not know, for weights beyond float16 (65,504) and for
    models of more than 20 MB in float16, and `GenerationError` for weights that are not finite."""
    model = unwrap_model(model)
    check_weights(model)
    members = list(model.members) if type(model) is CharEnsemble else [model]
    _check_size(members)
    stateful = is_stateful(model)
    return {
        "format": FORMAT,
        "name": name,
        "vocab": ["", *vocab.itos[1:]],
        "mode": mode or _mode_of(model),
        "seq_len": None if stateful else getattr(model, "seq_len", None) or seq_len,
        "members": [_pack_member(member) for member in members],
        "facts": dict(facts or {}),
        "units": [dict(unit) for unit in units or ()],
        "prompts": list(prompts),
    }


def _mode_of(model):
    if is_stateful(model):
        return "streams"
    return "windows" if model.target == "next" else "chunks"


def _check_size(members):
    n_bytes = 2 * sum(p.numel() for member in members for p in member.parameters())
    if n_bytes > MAX_BYTES:
        raise PageError(
            f"the weights have {n_bytes / 2**20:,.1f} MB in float16, a page may have {MAX_BYTES / 2**20:.0f}; "
            "use charrnn serve, which runs the model in Python"
        )


def _pack_member(model):
    arch = _archs.get(type(model))
    if arch is None:
        raise PageError(
            f"a page cannot run {type(model).__name__}; it knows {', '.join(_archs.values())}. "
            "Use charrnn serve, which runs any model in Python"
        )
    tensors = {}
    parts = []
    at = 0
    for tensor_name in _tensor_names(model):
        tensor = attrgetter(tensor_name)(model).detach()
        tensors[tensor_name] = {"shape": list(tensor.shape), "at": at}
        parts.append(_halves(tensor_name, tensor))
        at += tensor.numel()
    config = {key: getattr(model, key) for key in _config_names}
    config["n_layers"] = 1 + len(model.upper)
    weights = base64.b64encode(np.concatenate(parts).tobytes()).decode("ascii")
    return {"arch": arch, "config": config, "tensors": tensors, "weights": weights}


def _tensor_names(model):
    return [name for name, _ in model.named_parameters()]


def _halves(name, tensor):
    "The numbers of a tensor as little-endian float16."
    numbers = tensor.cpu().to(torch.float32).numpy().ravel()
    with np.errstate(over="ignore"):
        halves = numbers.astype("<f2")
    if not np.isfinite(halves).all():
        largest = float(np.abs(numbers).max())
        raise PageError(
            f"{name} has a weight of {largest:,.0f}, beyond float16's 65,504; use charrnn serve, "
            "or train with weight decay"
        )
    return halves
