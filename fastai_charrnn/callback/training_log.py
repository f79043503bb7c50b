"""Keep the numbers of every trained epoch: `TrainingLog`, which model files store.

Every `CharLearner` has one:

    learn.fit(2)
    learn.training_log.rows[-1]["valid_loss"]
"""

import math
import warnings

from fastai.basics import Recorder, Tensor, torch

from .._html import as_table
from ..data.protocol import data_info
from ..errors import CharRnnWarning
from .core import TrainEpochCallback, check_has_text
from .trackers import keep_trained_weights, prepare_trackers

__all__ = ["TrainingLog"]


class TrainingLog(TrainEpochCallback):
    """Keep the losses and metrics of each epoch of every fit in `rows`, by name.

    Also warns once about a random split, prepares fastai's trackers (`callback.trackers`), and stores an epoch's
    smoothed losses as fastai does, without its costs."""

    order = Recorder.order + 1

    def __init__(self):
        self.rows = []
        # whether the warning about a random split was given
        self.warned = False

    def before_fit(self):
        prepare_trackers(self.learn)

    def before_train(self):
        "Raise `DataError` if there is no text. Warn once if a random split makes the validation loss too low."
        check_has_text(self.dls)
        is_random = data_info(self.dls).get("split", "").startswith("random")
        if self.warned or not is_random or hasattr(self.learn, "lr_finder"):
            return
        self.warned = True
        warnings.warn(
            'validation shares characters with training (valid="random", the split of lesson 6), '
            'so its loss is too low; for an honest loss make dls with valid="tail"',
            CharRnnWarning,
            stacklevel=2,
        )

    def trained_epoch(self):
        "Store the epoch's numbers, and the last learning rate as `lr`."
        named = zip(self.learn.recorder.metric_names[1:], self.learn.final_record) if hasattr(self, "recorder") else []
        row = {name: float(value) for name, value in named if isinstance(value, (int, float))}
        row["lr"] = float(self.opt.hypers[-1]["lr"])
        self.rows.append(row)
        self._restore_tensors()

    def after_batch(self):
        """On the CPU, replace the batch's smoothed loss in `recorder.losses` by a float until the epoch ends.

        A small tensor that outlives its batch fragments the heap: `rnn` on 64 streams of 64 characters then takes
        35 MB more after 570 steps, and grows further."""
        losses = self._losses() if self.training else []
        if losses and isinstance(losses[-1], Tensor) and losses[-1].is_cpu:
            losses[-1] = float(losses[-1])

    def after_fit(self):
        "Restore the losses of an epoch that was cancelled."
        self._restore_tensors()
        keep_trained_weights(self.learn)

    def after_error(self):
        "Restore the losses of an epoch that was interrupted."
        self._restore_tensors()

    def _repr_html_(self) -> str:
        "A table with a row for each epoch. The smallest validation loss is bold."
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        rows = [(str(k), *(_number(row.get(name)) for name in names)) for k, row in enumerate(self.rows)]
        losses = [row.get("valid_loss", math.nan) for row in self.rows]
        finite = [loss for loss in losses if math.isfinite(loss)]
        best = losses.index(min(finite)) if finite else None
        return as_table(["epoch", *names], rows, left=(), marked=best) if rows else "no epoch was trained"

    def _losses(self):
        "The smoothed loss of each batch; empty without a recorder and before its first fit."
        return getattr(getattr(self.learn, "recorder", None), "losses", [])

    def _restore_tensors(self):
        "Replace floats, and tensors on a GPU, by tensors on the CPU, which fastai's plots expect."
        losses = self._losses()
        n_restored = sum(isinstance(loss, Tensor) and loss.device.type == "cpu" for loss in losses)
        new = losses[n_restored:]
        if new:
            dtype = self.learn.recorder.smooth_loss.val.dtype
            tensors = torch.tensor(new, dtype=dtype) if isinstance(new[0], float) else torch.stack(new).cpu()
            losses[n_restored:] = tensors.unbind()


def _number(value):
    "A number of a row; nothing where an epoch has none."
    if value is None:
        return ""
    return f"{value:.6f}" if abs(value) >= 1e-3 or not value else f"{value:.2e}"
