"""Save and load the weights of a learner, also of a compiled or parallel model: `save`, `load` and `export`.

    learn.model = torch.compile(learn.model)
    learn.save("half"); learn.load("half")

Files hold the names of the model itself, so a plain learner can load them, and a compiled one those of a plain one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from fastai.basics import Learner, rank_distrib
from torch import nn

from .._checks import check_path, shown
from .._files import atomic_path, write_errors
from .._utils import plain_names, unwrap_model
from ..data.collectives import barrier
from ..errors import ModelFileError
from .opt_groups import one_group_accepted
from .sharded_trainer import ShardedTrainer

__all__ = ["save", "load", "export", "check_file", "weight_file"]

_write_signs = ("inline_container", "PytorchStreamWriter")  # in PyTorch's messages


def save(
    self,
    file: str | Path,  # name of the file in `learn.path/learn.model_dir`, without .pth
    **kwargs,  # as fastai's `save_model`: with_opt, pickle_protocol
) -> Path:  # the file written
    """Save weights, and the state of the optimizer, as fastai does.

    An existing file is replaced only by a complete one. Raises `ModelFileError` if the file cannot be written."""
    check_file(file)
    path = self.path / self.model_dir / f"{file}.pth" if isinstance(file, (str, Path)) else file
    if not rank_distrib():
        with weight_file(path) as f, _unwrapped(self):
            Learner.save(self, f, **kwargs)
    return path


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

    An existing file is replaced only by a complete one. Raises `ModelFileError` if the file cannot be written. The
    learner then keeps its texts and its optimizer."""
    check_file(fname, "fname")
    if rank_distrib():
        return
    dls, opt = self.dls, self.opt
    try:
        with weight_file(self.path / fname) as f, _unwrapped(self):
            Learner.export(self, f.name, **kwargs)
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
def weight_file(
    path: Path | BinaryIO,  # the file to write, or an open file
) -> Iterator[BinaryIO]:  # what to write to
    "Open a temporary file that becomes `path` at the end. Raises `ModelFileError` if it cannot be written."
    with write_errors(path, ModelFileError), _torch_errors():
        if not isinstance(path, Path):
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part, part.open("wb") as f:
            yield f


@contextmanager
def _torch_errors():
    "Turn a `RuntimeError` of PyTorch's writer into the `OSError` behind it. PyTorch does not always say the reason."
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        if any(sign in str(error) for sign in _write_signs):
            raise OSError("the disk is full or has failed") from None
        raise


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
