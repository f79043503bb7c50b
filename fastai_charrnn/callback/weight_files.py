"""Save and load the weights of a learner, also of a compiled or parallel model: `save`, `load` and `export`.

    learn.model = torch.compile(learn.model)
    learn.save("half"); learn.load("half")

Files hold the names of the model itself, so a plain learner can load them, and a compiled one those of a plain one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from fastai.basics import Learner
from torch import nn

from .._utils import plain_names, unwrap_model
from ..data.collectives import barrier
from .opt_groups import one_group_accepted
from .sharded_trainer import ShardedTrainer

__all__ = ["save", "load", "export"]


def save(
    self,
    file: str | Path,  # name of the file in `learn.path/learn.model_dir`, without .pth
    **kwargs,  # as fastai's `save_model`: with_opt, pickle_protocol
) -> Path:  # the file written
    "Save weights, and the state of the optimizer, as fastai does."
    with _unwrapped(self):
        return Learner.save(self, file, **kwargs)


def load(
    self,
    file: str | Path,  # name of the file in `learn.path/learn.model_dir`, without .pth
    device: int | str | torch.device | None = None,  # where to load the weights; None: the device of the data
    **kwargs,  # as fastai's `load_model`
):
    "Load weights as fastai does. Raises `DistribError` if a rank is lost: fastai waits for all ranks before it reads."
    if hasattr(self, ShardedTrainer.name):
        # fastai's own wait comes next, and would not name a lost rank
        barrier()
    with _unwrapped(self) as model, _old_names_read(model), one_group_accepted(self):
        return Learner.load(self, file, device, **kwargs)


def export(
    self,
    fname: str | Path = "export.pkl",  # file in `learn.path`
    **kwargs,  # as fastai's `export`
):
    "Write the learner without its texts to a pickle, as fastai does. `load_learner` returns it with a plain model."
    with _unwrapped(self):
        Learner.export(self, fname, **kwargs)


@contextmanager
def _unwrapped(learn) -> Iterator[nn.Module]:
    "The model inside its wrappers is `learn.model` within the block."
    wrapped = learn.model
    learn.model = unwrap_model(wrapped)
    try:
        yield learn.model
    finally:
        learn.model = wrapped


@contextmanager
def _old_names_read(model):
    "Files that fastai wrote of a compiled model, with prefixes before its names, load within the block."

    def rename(module, weights, *_):
        plain = plain_names(weights, module.state_dict())
        weights.clear()
        weights.update(plain)

    hook = model.register_load_state_dict_pre_hook(rename)
    try:
        yield
    finally:
        hook.remove()
