"""`eval_mode`: a model in evaluation mode within a `with` block, each module's own mode restored afterwards.

with eval_mode(learn.model) as model:
    model(dls.one_batch()[0])
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import nn

__all__ = ["eval_mode", "restore_modes"]


@contextmanager
def restore_modes(
    model: nn.Module,  # the model
) -> Iterator[nn.Module]:  # the same
    "Restore the training mode of each module at the end of the block."
    training = [m for m in model.modules() if m.training]
    try:
        yield model
    finally:
        for m in model.modules():
            m.training = False
        for m in training:
            m.training = True


@dataclass
class _Users:
    "How many blocks of `eval_mode` a model is in, and its modules that were in training mode before the first."

    count: int = 0
    training: list[nn.Module] = field(default_factory=list)


_lock = threading.Lock()
_users: WeakKeyDictionary[nn.Module, _Users] = WeakKeyDictionary()


@contextmanager
def eval_mode(
    model: nn.Module,  # the model
) -> Iterator[nn.Module]:  # the same
    """Put a model into evaluation mode, without gradients, and restore the mode of each module at the end of the block.

    Several threads may use this at once. The first switches the mode, the last restores it."""
    entered = False
    try:
        with _lock:
            users = _users.setdefault(model, _Users())
            users.count += 1
            entered = True
            if users.count == 1:
                users.training = [m for m in model.modules() if m.training]
                if users.training:
                    model.eval()
        with torch.inference_mode():
            yield model
    finally:
        if entered:
            with _lock:
                users.count -= 1
                if not users.count:
                    # Its list holds the model, which would keep the entry alive.
                    del _users[model]
                    for m in users.training:
                        m.training = True
