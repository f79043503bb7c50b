"""Write and read the state of objects in JSON and tensors, as `values` does for plain values.

Generators, metrics and whatever has `state_dict` and `load_state_dict` are changed in place when they are read.
"""

import random
from collections.abc import Callable
from numbers import Number
from pathlib import Path

import numpy as np
import torch
from fastai.basics import DataLoader, L, Metric
from torch import Tensor

from .values import READERS, WRITERS, CannotKeep, decode, encode, keep_tensor

__all__ = ["encode_attributes", "decode_attributes"]


class NoObjectError(LookupError):
    "There is no object to set a state in."


def encode_attributes(
    attributes: dict[str, object],  # by name, as `vars(o)`
    tensors: dict[str, Tensor],  # gets their tensors
    name: str,  # the first part of the names of tensors
    lost: Callable[[str, object], None] | None = None,  # called with the name and value of what cannot be kept
) -> dict:  # of the types of JSON
    "Write the attributes of an object that can be kept."
    saved = {}
    for key, value in attributes.items():
        try:
            saved[key] = encode(value, tensors, f"{name}/{key}")
        except CannotKeep:
            if lost is not None:
                lost(key, value)
    return saved


def decode_attributes(
    o: object,  # gets the attributes
    saved: dict,  # what `encode_attributes` returned
    tensors: dict[str, Tensor],  # the tensors of it
):
    """Set the attributes of an object. Dictionaries of a special class are kept and get the saved items.

    An attribute stays as it is if it has a state and there is no object to set it in."""
    # `setattr` on a callback warns about names that the learner has too
    fields = vars(o)
    for key, item in saved.items():
        current = fields.get(key)
        try:
            value = decode(item, tensors, current)
        except NoObjectError:
            continue
        _check_kind(key, value, current)
        if isinstance(current, dict) and type(current) is not dict and isinstance(value, dict):
            current.clear()
            current.update(value)
        else:
            fields[key] = value


def _check_kind(key, value, current):
    "Raise `TypeError` if a number or tensor would replace a container, a text or an object, or the other way round."
    if value is not None and current is not None and _kind(value) != _kind(current):
        raise TypeError(f"{key} is a {type(value).__name__} in it")


def _kind(value):
    for kinds in ((Number, np.ndarray, np.generic, Tensor), (str, Path), (list, tuple, set, L), (dict,)):
        if isinstance(value, kinds):
            return kinds
    return type(value)


def _keep_random(rng, tensors, name):
    return {"$random": encode(rng.getstate(), tensors, name)}


def _read_random(saved, tensors, current):
    rng = current if isinstance(current, random.Random) else random.Random()
    rng.setstate(decode(saved["$random"], tensors))
    return rng


def _keep_generator(generator, tensors, name):
    return {"$generator": keep_tensor(generator.get_state(), tensors, name), "device": generator.device.type}


def _read_generator(saved, tensors, current):
    generator = current if isinstance(current, torch.Generator) else torch.Generator(saved["device"])
    generator.set_state(decode(saved["$generator"], tensors))
    return generator


def _keep_numpy_generator(generator, tensors, name):
    return {"$numpy": encode(generator.bit_generator.state, tensors, name)}


def _read_numpy_generator(saved, tensors, current):
    _check_object(isinstance(current, np.random.Generator))
    current.bit_generator.state = decode(saved["$numpy"], tensors)
    return current


def _keep_metric(metric, tensors, name):
    return {"$metric": encode_attributes(vars(metric), tensors, name)}


def _read_metric(saved, tensors, current):
    _check_object(isinstance(current, Metric))
    decode_attributes(current, saved["$metric"], tensors)
    return current


def _read_state_dict(saved, tensors, current):
    _check_object(isinstance(current, _Stateful))
    current.load_state_dict(decode(saved["$state_dict"], tensors))
    return current


def _check_object(is_there):
    if not is_there:
        raise NoObjectError


class _HasStateDict(type):
    "`isinstance` of classes made by it asks for `state_dict` and `load_state_dict`."

    def __instancecheck__(cls, o):
        return all(callable(getattr(o, name, None)) for name in ("state_dict", "load_state_dict"))


class _Stateful(metaclass=_HasStateDict):
    "Any object with `state_dict` and `load_state_dict`."


def _keep_state_dict(o, tensors, name):
    if isinstance(o, (DataLoader, torch.utils.data.DataLoader)):
        raise CannotKeep(f"{name} is a loader, and the places of the learner's loaders are kept elsewhere")
    return {"$state_dict": encode(o.state_dict(), tensors, name)}


WRITERS += [
    (random.Random, _keep_random),
    (torch.Generator, _keep_generator),
    (np.random.Generator, _keep_numpy_generator),
    (Metric, _keep_metric),
    (_Stateful, _keep_state_dict),
]
READERS |= {
    "$random": _read_random,
    "$generator": _read_generator,
    "$numpy": _read_numpy_generator,
    "$metric": _read_metric,
    "$state_dict": _read_state_dict,
}
