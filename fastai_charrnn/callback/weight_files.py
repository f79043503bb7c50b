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

from .._checks import check_path, shown
from .._utils import plain_names, unwrap_model
from ..data.collectives import barrier
from ..errors import ModelFileError
from .opt_groups import one_group_accepted
from .sharded_trainer import ShardedTrainer

__all__ = ["save", "load", "export", "check_file", "write_errors"]

_write_signs = ("inline_container", "Parent directory", "File ")  # in PyTorch's messages


def save(
    self,
    file: str | Path,  # name of the file in `learn.path/learn.model_dir`, without .pth
    **kwargs,  # as fastai's `save_model`: with_opt, pickle_protocol
) -> Path:  # the file written
    "Save weights, and the state of the optimizer, as fastai does. Raises `ModelFileError` if it cannot be written."
    check_file(file)
    with _unwrapped(self), write_errors(file):
        return Learner.save(self, file, **kwargs)


def load(
    self,
    file: str | Path,  # name of the file in `learn.path/learn.model_dir`, without .pth
    device: int | str | torch.device | None = None,  # where to load the weights; None: the device of the data
    **kwargs,  # as fastai's `load_model`
):
    """Load weights as fastai does. Raises `ModelFileError` for a file that is missing.

    Raises `DistribError` if a rank is lost: fastai waits for all ranks before it reads."""
    check_file(file)
    if hasattr(self, ShardedTrainer.name):
        # fastai's own wait comes next, and would not name a lost rank
        barrier()
    try:
        with _unwrapped(self) as model, _old_names_read(model), one_group_accepted(self):
            return Learner.load(self, file, device, **kwargs)
    except FileNotFoundError as e:
        raise ModelFileError(f"there are no weights {e.filename}; learn.save({str(file)!r}) writes them") from None


def export(
    self,
    fname: str | Path = "export.pkl",  # file in `learn.path`
    **kwargs,  # as fastai's `export`
):
    """Write the learner without its texts to a pickle, as fastai does. `load_learner` returns it with a plain model.

    Raises `ModelFileError` if it cannot be written. The learner then keeps its texts and its optimizer."""
    check_file(fname, "fname")
    dls, opt = self.dls, self.opt
    try:
        with _unwrapped(self), write_errors(fname):
            Learner.export(self, fname, **kwargs)
    except BaseException:
        # fastai has taken them away
        self.dls, self.opt = dls, opt
        raise


def check_file(
    file: object,  # what a user passed: a name, or an open file
    name: str = "file",  # of the argument
):
    "Raise `ModelFileError` for what is no name of a file. Open files are passed to PyTorch as they are."
    if hasattr(file, "write") or hasattr(file, "read"):
        return
    if not check_path(name, file, ModelFileError).name:
        raise ModelFileError(f"{name}={shown(file)} is not the name of a file")


@contextmanager
def write_errors(
    file: object,  # what is written
) -> Iterator[None]:
    "Turn errors of writing, of which PyTorch raises `RuntimeError`s, into `ModelFileError`."
    try:
        yield
    except (OSError, RuntimeError) as e:
        if isinstance(e, RuntimeError) and not any(sign in str(e) for sign in _write_signs):
            raise
        # without the place in PyTorch's sources
        reason = getattr(e, "strerror", None) or str(e).splitlines()[0].rpartition("] . ")[2]
        raise ModelFileError(f"cannot write {file}: {reason}; free disk space, or pass another name") from None


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
