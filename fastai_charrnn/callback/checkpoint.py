"""Save the whole state of a training, so that it can be continued exactly: `CheckpointCallback`.

    learn = char_learner(dls, "gru", seed=1, cbs=CheckpointCallback("run", minutes=5))
    learn.fit_one_cycle(4, 5e-3)

After a crash make the same `dls` and the same learner, and call `learn.resume("run")` before the same fits.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

from fastai.basics import Callback, num_distrib, rank_distrib

from .._checks import check_number, shown
from .._files import only_writer
from .._utils import is_count
from ..data.collectives import broadcast_object
from ..errors import DataError, ModelFileError
from ..state.checkpoint_file import checkpoint_path, write_checkpoint
from ..state.fit import Position, collect
from ..state.loaders import loader_state
from ..state.random_states import random_states
from .finite import check_finite, divergence
from .write_policy import check_on_error, errors_as_chosen

__all__ = ["CheckpointCallback"]

# batches after which processes ask the first one whether the time has passed
_ASK_EVERY = 16


class CheckpointCallback(Callback):
    """Write a checkpoint after every epoch or every so many batches, every so many minutes, and at the end of each fit.

    A checkpoint is written after a batch, before a validation or between epochs, when all other callbacks are done.
    `save` writes one at once. Only the first of several processes writes. Nothing is written under `lr_find`. Ctrl-C,
    SIGTERM and SIGHUP write one at the end of the batch, and then end the fit (`StopOnSignal`).

    If a checkpoint cannot be written, for example on a full disk, the ones before stay. By default a `CharRnnWarning`
    says so and training goes on: the next checkpoint may succeed, and to stop would lose what was trained since the
    last one. Raises `ModelFileError` before training if the folder cannot be written, or if another training has the
    same path; with `on_error="stop"` also when a checkpoint cannot be written."""

    # after all callbacks, so that their state is complete
    order = 10**6
    rows: list  # what the recorder has printed in this fit

    def __init__(
        self,
        path: str | Path,  # the file; `.safetensors` is added if it has no suffix
        every: str | int | None = "epoch",  # "epoch", a number of batches, or None: only by `minutes`
        minutes: float | None = None,  # write one also when so many minutes have passed since the last; None: never
        on_error: str = "warn",  # what to do if one cannot be written: "warn" and go on, or "stop"
    ):
        check_on_error(on_error)
        if not (every is None or is_count(every) or (isinstance(every, str) and every == "epoch")):
            raise DataError(f'every must be "epoch", None or a number of batches, at least 1, got {shown(every)}')
        if minutes is not None:
            minutes = check_number("minutes", minutes, inside=True)
        self.path = checkpoint_path(path)
        self.every = every
        self.n_batches = every if is_count(every) else None
        self.minutes = minutes
        self.on_error = on_error
        self.last_saved_path: Path | None = None
        self.warned: set[str] = set()
        self._begin()

    def _begin(self):
        self.rows = []
        self.epoch_start = {}
        self.before_validation = None
        self.now = SimpleNamespace(stage=None, batch=0, is_due=False, last=time.monotonic())

    @contextmanager
    def during_fit(self) -> Iterator[None]:
        "Keep other trainings from writing the same checkpoint."
        with nullcontext() if rank_distrib() else only_writer(self.path, ModelFileError):
            yield

    def before_fit(self):
        # `validate` and `get_preds` send this event too
        self.run = self.learn.training_now and not hasattr(self.learn, "lr_finder")
        if self.run:
            self._begin()

    def before_epoch(self):
        # what came before is between epochs, and written already
        self.now.stage = None

    def before_train(self):
        "Note the random states at the start of a pass over the training part. Its order follows from them."
        self.epoch_start = {"random": random_states(), "loader": loader_state(self.learn.dl)}
        self.before_validation = None

    def after_batch(self):
        learn = self.learn
        if learn.training:
            self.now.stage = "in training"
            self.now.batch = learn.iter + 1
        self.now.is_due = self._is_due(learn)
        # after the last batch, metrics of several processes are not yet complete
        if self.now.is_due and not (learn.training and learn.iter + 1 == learn.n_iter):
            check_finite(learn)
            self.save()

    def _is_due(self, learn):
        # `learn.training` and not `self.training`, which fastai looks up more slowly
        if self.n_batches is not None and learn.training and learn.train_iter % self.n_batches == 0:
            return True
        return self.minutes is not None and self._time_has_passed()

    def _time_has_passed(self):
        has_passed = time.monotonic() - self.now.last >= 60 * self.minutes
        if num_distrib() <= 1:
            return has_passed
        # the first process decides for all, now and then, because asking it takes time
        return self.training and self.train_iter % _ASK_EVERY == 0 and broadcast_object(has_passed)

    def after_train(self):
        "Keep the state at the start of a validation, which leaves weights and optimizer as they are."
        self.now.stage = "before validation"
        self.before_validation = self._collected()
        if self.now.is_due:
            self.save()

    def after_epoch(self):
        self.now.stage = "between epochs"
        self.before_validation = None
        if hasattr(self.learn, "recorder"):
            self.rows.append(list(self.learn.recorder.log))
        if self.every == "epoch":
            self.save()

    def after_fit(self):
        if divergence(self.learn) is None:
            self.now.stage = "finished"
            self.save()

    def on_stop(self):
        "Write a checkpoint before the fit ends on a signal."
        if self.run:
            self.save()

    def save(self) -> Path | None:  # the file written; None where nothing was trained yet, or if that failed
        "Write a checkpoint now: of this batch, or within a validation of its start."
        self.now.last = time.monotonic()
        self.now.is_due = False
        if self.now.stage is None:
            return None
        tensors, state = self.before_validation or self._collected()
        if rank_distrib():
            return None
        with errors_as_chosen(self.on_error):
            self.last_saved_path = write_checkpoint(self.path, tensors, state)
            return self.last_saved_path
        return None

    def _collected(self):
        stage = self.now.stage
        epoch = self.epoch + (stage == "between epochs")
        batch = self.now.batch if stage == "in training" else 0
        position = Position(len(self.learn.fits) - 1, stage, epoch, batch)
        return collect(self.learn, position, self.state_dict(), self.warned)

    def state_dict(self) -> dict:
        "What the checkpoint needs besides the state of the learner: the rows printed and the start of the epoch."
        return {"rows": self.rows, "epoch_start": self.epoch_start}

    def load_state_dict(self, state: dict):
        "Set what `state_dict` returned."
        self.rows = state["rows"]
        self.epoch_start = state["epoch_start"]
