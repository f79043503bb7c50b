"""Write Python values as JSON and tensors, and read them back with their types: `encode` and `decode`.

    tensors = {}
    saved = encode({"best": np.float64(2.5), "losses": [torch.tensor(3.0)]}, tensors, "tracker")
    decode(saved, tensors)

Checkpoints use it for the state of optimizers, callbacks and random generators, so nothing is pickled. A value that
JSON lacks becomes an object whose first key begins with "$". Long lists of numbers become tensors. `objects` adds
objects that have a state.
"""

import math
from itertools import chain, groupby
from pathlib import Path

import numpy as np
import torch
from fastai.basics import L
from torch import Tensor

__all__ = ["CannotKeep", "encode", "decode"]

# lists of numbers from this length on become tensors
_LONG = 16
# lists that change their type more often are written value by value
_MANY_RUNS = 8


class CannotKeep(TypeError):
    "A value that is neither plain nor has a state."


def encode(
    value: object,  # anything
    tensors: dict[str, Tensor],  # gets the tensors of the value
    name: str,  # the first part of their names
) -> object:  # of the types of JSON
    "Write a value. Raises `CannotKeep` for an object of another kind."
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    for types, write in WRITERS:
        if isinstance(value, types):
            return write(value, tensors, name)
    raise CannotKeep(f"{name} is a {type(value).__name__}")


def decode(
    saved: object,  # what `encode` returned
    tensors: dict[str, Tensor],  # the tensors of it
    current: object = None,  # the present value; an object with a state is changed in place
) -> object:
    "Read a value back."
    if isinstance(saved, list):
        return [decode(item, tensors, _item(current, i)) for i, item in enumerate(saved)]
    if not isinstance(saved, dict):
        return saved
    kind = next(iter(saved), "")
    if kind.startswith("$"):
        return READERS[kind](saved, tensors, current)
    return {key: decode(item, tensors, _item(current, key)) for key, item in saved.items()}


def _item(current, key):
    "The item of the present value that belongs to a saved item, if there is one."
    if isinstance(current, dict):
        return current.get(key)
    if isinstance(current, (list, tuple, L)) and key < len(current):
        return current[key]
    return None


# Tensors and arrays


def keep_tensor(x, tensors, name):
    x = x.detach().as_subclass(Tensor)
    tensors[name] = x
    return {"$tensor": name, "device": x.device.type}


def _read_tensor(saved, tensors, current):
    x = tensors[saved["$tensor"]]
    return x.to(saved["device"]).clone() if _available(saved["device"]) else x.clone()


def _available(device):
    return device == "cpu" or (device == "cuda" and torch.cuda.is_available())


def _keep_array(a, tensors, name):
    if a.dtype.kind not in "biuf" or a.dtype.itemsize > 8:
        raise CannotKeep(f"{name} is an array of {a.dtype}")
    is_unsigned = a.dtype.kind == "u" and a.dtype.itemsize > 1
    plain = a.view(a.dtype.str.replace("u", "i")) if is_unsigned else a
    tensors[name] = torch.from_numpy(np.ascontiguousarray(plain).reshape(a.shape)).clone()
    return {"$array": name, "dtype": a.dtype.str}


def _read_array(saved, tensors, current):
    a = tensors[saved["$array"]].numpy().copy()
    return a.view(np.dtype(saved["dtype"]))


def _keep_number(x, tensors, name):
    return {"$number": encode(x.item(), tensors, name), "dtype": x.dtype.str}


def _read_number(saved, tensors, current):
    return np.dtype(saved["dtype"]).type(decode(saved["$number"], tensors))


# Containers


def _keep_list(values, tensors, name):
    packed = _packed(values, tensors, name) or _columns(values, tensors, name) or _runs(values, tensors, name)
    return packed or [encode(v, tensors, f"{name}/{i}") for i, v in enumerate(values)]


def _runs(values, tensors, name):
    "A long list that changes its type a few times, such as losses of past epochs and of this one; None for others."
    runs = [list(run) for _, run in groupby(values, type)]
    if len(values) < _LONG or not 1 < len(runs) <= _MANY_RUNS:
        return None
    return {"$runs": [_keep_list(run, tensors, f"{name}/run {i}") for i, run in enumerate(runs)]}


def _read_runs(saved, tensors, current):
    return list(chain.from_iterable(decode(run, tensors) for run in saved["$runs"]))


def _columns(rows, tensors, name):
    "A long list of rows of equal length, such as the numbers of each epoch, as columns; None for other lists."
    types = set(map(type, rows))
    if len(rows) < _LONG or len(types) > 1 or not types <= {list, L, dict}:
        return None
    (cls,) = types
    keys = list(rows[0]) if cls is dict else list(range(len(rows[0])))
    if not keys or any((list(row) if cls is dict else list(range(len(row)))) != keys for row in rows):
        return None
    columns = [_keep_list([row[key] for row in rows], tensors, f"{name}/{key}") for key in keys]
    return {"$columns": columns, "type": cls.__name__, "keys": keys if cls is dict else []}


def _read_columns(saved, tensors, current):
    rows = zip(*decode(saved["$columns"], tensors))
    if saved["type"] == "dict":
        return [dict(zip(saved["keys"], row)) for row in rows]
    return [L(*row) if saved["type"] == "L" else list(row) for row in rows]


def _packed(values, tensors, name):
    "A long list of numbers of one type as a tensor; None for other lists."
    types = set(map(type, values))
    if len(values) < _LONG or len(types) > 1:
        return None
    (cls,) = types
    if cls in _PACKED and (cls is not int or all(abs(v) < 2**63 for v in values)):
        tensors[name] = torch.tensor(values, dtype=_PACKED[cls])
        return {"$numbers": name, "type": cls.__name__}
    if issubclass(cls, Tensor) and all(v.dim() == 0 and v.dtype == values[0].dtype for v in values):
        return {"$scalars": keep_tensor(torch.stack([v.detach() for v in values]), tensors, name)}
    return None


_PACKED = {float: torch.float64, np.float64: torch.float64, int: torch.int64}
_NUMBERS = {cls.__name__: cls for cls in _PACKED}


def _read_numbers(saved, tensors, current):
    cls = _NUMBERS[saved["type"]]
    return [cls(v) for v in tensors[saved["$numbers"]].tolist()]


def _read_scalars(saved, tensors, current):
    return list(decode(saved["$scalars"], tensors).unbind())


def _keep_dict(d, tensors, name):
    if all(type(key) is str and not key.startswith("$") for key in d):
        return {key: encode(value, tensors, f"{name}/{key}") for key, value in d.items()}
    keys = [encode(key, tensors, f"{name}/key {i}") for i, key in enumerate(d)]
    values = [encode(value, tensors, f"{name}/{i}") for i, value in enumerate(d.values())]
    return {"$dict": [[key, value] for key, value in zip(keys, values)]}


def _read_dict(saved, tensors, current):
    items = [(decode(key, tensors), value) for key, value in saved["$dict"]]
    return {key: decode(value, tensors, _item(current, key)) for key, value in items}


def _keep_tuple(t, tensors, name):
    if type(t) is not tuple:
        raise CannotKeep(f"{name} is a {type(t).__name__}")
    return {"$tuple": _keep_list(t, tensors, name)}


def _keep_ufunc(f, tensors, name):
    if getattr(np, f.__name__, None) is not f:
        raise CannotKeep(f"{name} is a function")
    return {"$ufunc": f.__name__}


def _read_ufunc(saved, tensors, current):
    f = getattr(np, saved["$ufunc"], None)
    return f if isinstance(f, np.ufunc) else current


def _read_slice(saved, tensors, current):
    return slice(*decode(saved["$slice"], tensors))


# the first type that fits counts
WRITERS = [
    (Tensor, keep_tensor),
    (np.ndarray, _keep_array),
    (np.generic, _keep_number),
    (L, lambda v, tensors, name: {"$L": _keep_list(list(v), tensors, name)}),
    (list, _keep_list),
    (tuple, _keep_tuple),
    (set, lambda v, tensors, name: {"$set": _keep_list(list(v), tensors, name)}),
    (dict, _keep_dict),
    (Path, lambda v, tensors, name: {"$path": str(v)}),
    (slice, lambda v, tensors, name: {"$slice": _keep_list([v.start, v.stop, v.step], tensors, name)}),
    (np.ufunc, _keep_ufunc),
]

READERS = {
    "$float": lambda saved, tensors, current: float(saved["$float"]),
    "$tensor": _read_tensor,
    "$array": _read_array,
    "$number": _read_number,
    "$L": lambda saved, tensors, current: L(decode(saved["$L"], tensors, current)),
    "$tuple": lambda saved, tensors, current: tuple(decode(saved["$tuple"], tensors, current)),
    "$set": lambda saved, tensors, current: set(decode(saved["$set"], tensors)),
    "$dict": _read_dict,
    "$numbers": _read_numbers,
    "$scalars": _read_scalars,
    "$columns": _read_columns,
    "$runs": _read_runs,
    "$path": lambda saved, tensors, current: Path(saved["$path"]),
    "$slice": _read_slice,
    "$ufunc": _read_ufunc,
}
