"""`eval_mode`: a model in evaluation mode and without gradients within a `with` block.

    with eval_mode(learn.model) as model:
        model(dls.one_batch()[0])

Several threads may be in such blocks at once.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import nn

__all__ = ["eval_mode"]


@dataclass
class _Users:
    "The blocks of `eval_mode` that a model is in, and its modules that were in training mode before the first of them."

    count: int = 0
    in_training: list[nn.Module] = field(default_factory=list)


_lock = threading.Lock()
_users: WeakKeyDictionary[nn.Module, _Users] = WeakKeyDictionary()


@contextmanager
def eval_mode(
    model: nn.Module,  # any
) -> Iterator[nn.Module]:  # the model
    """Put a model into evaluation mode, without gradients. Restores the mode of each module at the end of the block.

    Several threads may do so at once. The first switches the mode, the last restores it."""
    entered = False
    try:
        with _lock:
            users = _users.setdefault(model, _Users())
            users.count += 1
            entered = True
            if users.count == 1:
                users.in_training = [m for m in model.modules() if m.training]
                if users.in_training:
                    model.eval()
        with torch.inference_mode():
            yield model
    finally:
        if entered:
            with _lock:
                _leave(model, users)


def _leave(model, users):
    users.count -= 1
    if users.count:
        return
    # the entry refers to the model, and would keep it alive
    del _users[model]
    for m in users.in_training:
        m.training = True
