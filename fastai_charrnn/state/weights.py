"""The state of a model in a fit: weights, buffers, gradients that wait for a step, and what its modules carry."""

import torch
from fastai.basics import Learner
from torch import Tensor, nn

from .._utils import unwrap_model
from ..errors import ResumeError
from .objects import decode_attributes, encode_attributes

__all__ = ["weights", "load_weights", "gradients", "restore_gradients", "module_states", "restore_modules"]


def weights(
    learn: Learner,  # a learner
) -> dict[str, Tensor]:  # by name
    "Weights and buffers by name, also the buffers that files of weights leave out."
    model = unwrap_model(learn.model)
    saved = {name: w for name, w in model.state_dict().items() if isinstance(w, Tensor)}
    return {**dict(model.named_buffers()), **saved}


def load_weights(
    learn: Learner,  # a learner with a model of the same names and shapes
    tensors: dict[str, Tensor],  # of a checkpoint
):
    "Set weights and buffers. Raises `ResumeError` for a model of another shape."
    own = weights(learn)
    saved = {name.removeprefix("model/"): t for name, t in tensors.items() if name.startswith("model/")}
    problems = [name for name in own.keys() ^ saved.keys()]
    problems += [name for name in own.keys() & saved.keys() if own[name].shape != saved[name].shape]
    if problems:
        raise ResumeError(
            f"the checkpoint is of another model: {', '.join(sorted(problems)[:5])} differ in name or shape; "
            "make the learner with the same architecture, sizes and text as before"
        )
    with torch.no_grad():
        for name, w in own.items():
            w.copy_(saved[name])


def _parameters(learn):
    return list(unwrap_model(learn.model).parameters())


def trains(
    learn: Learner,  # a learner
) -> list[bool]:  # for each weight
    "Whether the weights are trained, and not frozen."
    return [p.requires_grad for p in _parameters(learn)]


def restore_frozen(
    learn: Learner,  # a learner
    saved: dict,  # the first group that trains, and what `trains` returned
):
    "Freeze the weights that were frozen."
    learn.opt.frozen_idx = saved["frozen_idx"]
    for p, is_trained in zip(_parameters(learn), saved["trains"]):
        p.requires_grad_(is_trained)


def gradients(
    learn: Learner,  # a learner
    tensors: dict[str, Tensor],  # gets the gradients
) -> list[str | None]:  # for each weight
    """For each weight None, "zero" or the name of its gradient.

    A gradient of zeros is not None: fastai's optimizers then decay the weight and move it by its momentum."""
    kept = []
    for i, p in enumerate(_parameters(learn)):
        is_zero = p.grad is not None and not p.grad.any()
        if p.grad is None or is_zero:
            kept.append("zero" if is_zero else None)
        else:
            tensors[f"gradient/{i}"] = p.grad
            kept.append(f"gradient/{i}")
    return kept


def restore_gradients(
    learn: Learner,  # a learner
    saved: list[str | None],  # what `gradients` returned
    tensors: dict[str, Tensor],  # the gradients
):
    "Set the gradients."
    for p, name in zip(_parameters(learn), saved):
        if name is None:
            p.grad = None
        else:
            p.grad = torch.zeros_like(p) if name == "zero" else tensors[name].to(p).clone()


def module_states(
    learn: Learner,  # a learner
    tensors: dict[str, Tensor],  # gets the tensors
) -> dict:  # by name of the module, of the types of JSON
    "Return the attributes of modules that are not weights, such as the hidden state that a model carries."
    states = {}
    for name, module in unwrap_model(learn.model).named_modules():
        carried = {k: v for k, v in vars(module).items() if _is_carried(k, v)}
        states[name] = encode_attributes(carried, tensors, f"module {name}")
    return {name: state for name, state in states.items() if state}


def _is_carried(key, value):
    return not key.startswith("_") and key != "training" and not isinstance(value, (nn.Module, str))


def restore_modules(
    learn: Learner,  # a learner
    states: dict,  # what `module_states` returned
    tensors: dict[str, Tensor],  # the tensors of it
):
    "Set the attributes of the modules."
    modules = dict(unwrap_model(learn.model).named_modules())
    for name, state in states.items():
        if name in modules:
            decode_attributes(modules[name], _settable(modules[name], state), tensors)


def _settable(module, state):
    "The attributes that a checkpoint may set: no method, and nothing private."
    return {k: v for k, v in state.items() if _is_carried(k, None) and not callable(getattr(type(module), k, None))}
