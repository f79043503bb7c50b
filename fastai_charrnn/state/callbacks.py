"""The state of a learner's callbacks: `callback_states` collects it and `restore_callbacks` sets it.

A callback with `state_dict` and `load_state_dict` says itself what its state is. Of others, attributes are kept that
are plain values, tensors, or objects with a state. Callbacks that only show or write something have no state here.
"""

import inspect
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

from fastai.basics import Callback, DataLoader, DataLoaders, Learner, event
from torch import Tensor

from ..errors import CharRnnWarning
from .objects import decode_attributes, encode_attributes
from .values import decode, encode

__all__ = ["callback_states", "restore_callbacks", "only_shows", "constructor_values"]

# names in the learner of callbacks that show or write what others compute, or how it is computed
_SHOWING = {
    "cuda_graph",
    "checkpoint",
    "progress",
    "clock_progress",
    "clock_rows",
    "show_graph",
    "csv_logger",
    "stop_on_signal",
    "save_model_file",
    "tensor_board",
    "wandb",
    "watch",
}
# has its state from `attach`, and none between batches
_STATELESS = {"distributed_trainer"}
# a clock that starts again: the time of an epoch is that since the training was resumed
_CLOCKS = {"start_epoch"}
# values that belong to the program, not to its state
_CONSTANTS = (Callback, Learner, DataLoaders, DataLoader, type, types.FunctionType, types.MethodType, types.ModuleType)


def only_shows(
    cb: Callback,  # a callback of a learner
) -> bool:
    "Whether a callback shows or writes what others compute, so that training is the same without it."
    return cb.name in _SHOWING


def named_callbacks(
    learn: Learner,  # a learner in a fit
) -> Iterator[tuple[str, Callback]]:  # a name for each, and the callback
    "Name the callbacks that have a state. Further ones of the same name get a number."
    counts: dict[str, int] = {}
    for cb in learn.cbs:
        if only_shows(cb) or cb.name in _STATELESS:
            continue
        n = counts[cb.name] = counts.get(cb.name, 0) + 1
        yield (cb.name if n == 1 else f"{cb.name} {n}"), cb


def constructor_values(
    cb: Callback,  # a callback
) -> dict[str, object]:  # by name
    "The attributes that have the name of an argument of the callback's class."
    names = inspect.signature(type(cb).__init__).parameters
    return {name: value for name, value in vars(cb).items() if name in names}


def callback_states(
    learn: Learner,  # a learner in a fit
    tensors: dict[str, Tensor],  # gets the tensors
    warned: set[str],  # what was said to be lost; gets what is said now
) -> dict:  # by name of the callback, of the types of JSON
    "Collect the states of the callbacks. Warns once of each attribute of your own callback that cannot be kept."
    return {name: _state(cb, name, tensors, warned) for name, cb in named_callbacks(learn)}


def _state(cb, name, tensors, warned):
    # not `hasattr(cb, …)`, because a callback also has the attributes of its learner and model
    if _tells_state(cb):
        return {"state_dict": encode(cb.state_dict(), tensors, f"callbacks/{name}")}

    def lost(key, value):
        if not _is_known(cb) and not isinstance(value, _CONSTANTS) and f"{name}.{key}" not in warned:
            warned.add(f"{name}.{key}")
            _warn_lost(cb, key, value)

    kept = {key: value for key, value in vars(cb).items() if _is_state(cb, key, value)}
    return {"attributes": encode_attributes(kept, tensors, f"callbacks/{name}", lost)}


def _tells_state(cb):
    return hasattr(type(cb), "state_dict") and hasattr(type(cb), "load_state_dict")


def _is_known(cb):
    "Whether a callback is fastai's or this package's own: what it cannot keep, it makes again at the start of a fit."
    return type(cb).__module__.partition(".")[0] in ("fastai", __name__.partition(".")[0])


def _is_state(cb, key, value):
    "Whether an attribute may change in a fit. Names of files and other texts that you pass stay as you pass them."
    if key in ("learn", "run") or key in _CLOCKS or hasattr(event, key) or callable(getattr(type(cb), key, None)):
        return False
    is_text = isinstance(value, (str, Path))
    return not (is_text and key in inspect.signature(type(cb).__init__).parameters)


def _warn_lost(cb, key, value):
    warnings.warn(
        f"a checkpoint cannot keep {type(cb).__name__}.{key}, a {type(value).__name__}; "
        "after a resume it is what a new callback has; define state_dict and load_state_dict in the callback",
        CharRnnWarning,
        stacklevel=2,
    )


def restore_callbacks(
    learn: Learner,  # a learner in a fit, with the callbacks of the checkpoint
    states: dict,  # what `callback_states` returned
    tensors: dict[str, Tensor],  # the tensors of it
):
    "Set the states of the callbacks."
    for name, cb in named_callbacks(learn):
        state = states.get(name, {})
        if "state_dict" in state and _tells_state(cb):
            cb.load_state_dict(decode(state["state_dict"], tensors))
        elif "attributes" in state:
            present = vars(cb)
            saved = {key: v for key, v in state["attributes"].items() if _is_state(cb, key, present.get(key))}
            decode_attributes(cb, saved, tensors)
