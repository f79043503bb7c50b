"""Save a model while it trains, after every epoch or every few seconds: `SaveModelFile`.

`check_place` and `check_room` make sure that a model can be trained and saved before an epoch is spent.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from fastai.basics import Recorder, rank_distrib

from .._files import only_writer
from ..callback.core import TrainEpochCallback
from ..callback.finite import check_finite
from ..callback.write_policy import errors_as_chosen
from ..errors import ModelFileError
from ..learner import CharLearner
from .format import with_suffix
from .model_file import save_model

__all__ = ["check_place", "check_room", "SaveModelFile"]


def check_place(
    path: str | Path,  # where a model file is to be written
    overwrite: bool = False,  # whether an existing file may be replaced
) -> Path:  # with ".safetensors" if it had no suffix
    """Make the folder of a model file.

    Raises `ModelFileError` if the file exists, has another suffix, or cannot be written."""
    if Path(path).is_dir():
        raise ModelFileError(f"cannot write {path}: it is a folder; pass --out with a file name")
    path = with_suffix(path)
    if path.suffix != ".safetensors":
        better = path.with_suffix(".safetensors")
        raise ModelFileError(f"a model file ends in .safetensors, and {path.name} does not; pass --out {better}")
    if path.exists() and not overwrite:
        raise ModelFileError(f"{path} exists; pass --overwrite to replace it, or another --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # root may write anywhere by permissions, so try to write
        with tempfile.TemporaryFile(dir=path.parent) as f:
            f.write(b"0")
    except FileExistsError:
        raise ModelFileError(f"cannot write {path}: {path.parent} is not a folder; pass another --out") from None
    except OSError as e:
        raise ModelFileError(f"cannot write {path}: {e.strerror}; pass another --out") from None
    return path


def check_room(
    path: Path,  # where a model file is to be written
    n_params: int,  # numbers that it will hold, of 4 bytes each
):
    "Raise `ModelFileError` if the disk has no room for the file."
    need = 4 * n_params + 2**16
    free = shutil.disk_usage(path.parent).free
    if free < need:
        raise ModelFileError(
            f"{path} needs {need / 2**20:,.1f} MiB and its disk has {free / 2**20:,.1f} MiB free; "
            "free disk space, or pass another --out"
        )


class SaveModelFile(TrainEpochCallback):
    """Save the model after every epoch of a fit, or with `seconds`, at the end of the batch in which they have passed.

    If a file cannot be written, the one before stays, a `CharRnnWarning` says so and training goes on. `finish` tries
    again after it. Raises `ModelFileError` before training if another training writes the same file. `saved` counts the
    files written. A model with weights that are not finite is not saved: `TrainingError`."""

    # after the epoch's numbers are logged
    order = Recorder.order + 2

    def __init__(
        self,
        path: Path,  # a model file
        seconds: float | None = None,  # between two files; None: one after every epoch
    ):
        self.path = path
        self.seconds = seconds
        self.saved = 0
        self.last_saved_path = None
        # whether the last file could not be written
        self.failed = False

    @contextmanager
    def during_fit(self) -> Iterator[None]:
        "Keep other trainings from writing the same file."
        with nullcontext() if rank_distrib() else only_writer(self.path, ModelFileError):
            yield

    def before_fit(self):
        self.last = time.monotonic()

    def after_batch(self):
        if self.seconds is None or not self.training or hasattr(self.learn, "lr_finder"):
            return
        if time.monotonic() - self.last >= self.seconds:
            self.save()

    def trained_epoch(self):
        "Save the model of this epoch, if files are written by epochs."
        if self.seconds is not None:
            return
        self.save()

    def on_stop(self):
        "Save what was trained when a signal stops the fit, if files are not written by epochs."
        if self.seconds is not None:
            self.save()

    def save(self):
        "Write the model, and start the clock again."
        check_finite(self.learn)
        self.failed = True
        with errors_as_chosen("warn"):
            self.last_saved_path = save_model(self.learn, self.path)
            self.saved += 1
            self.failed = False
        self.last = time.monotonic()

    def finish(
        self,
        learn: CharLearner,  # the learner after its fits
    ):
        "Write the model if that failed the last time, or if files are not written by epochs. Raises `ModelFileError`."
        if self.failed or self.seconds is not None:
            save_model(learn, self.path)
