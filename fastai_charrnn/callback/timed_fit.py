"""Train for a given number of minutes: `learn.fit_minutes`.

    learn = char_learner(dls, "gru")
    learn.fit_minutes(5, 7e-3)

Epochs are validated only for callbacks that need it: `learn.fit_minutes(5, 7e-3, cbs=SaveModelCallback())` keeps the
best epoch, the last and shorter one included. The time of validations counts.
"""

from collections.abc import Callable
from contextlib import nullcontext

from fastai.basics import Callback, L, Recorder
from fastai.callback.fp16 import AMPMode
from fastai.callback.training import GradientClip

from .._checks import check_number
from .._deadline import Deadline
from .._utils import renamed
from .arguments import check_callbacks, check_timed_callbacks
from .checkpoint import CheckpointCallback
from .core import TrainEpochCallback
from .dispatch import may_handle
from .fp16 import DeviceMixedPrecision, fast_bf16
from .progress import ClockProgress
from .signals import StopOnSignal
from .time_budget import TimeBudget
from .timed_validation import validation_row
from .trackers import reads_epochs

__all__ = ["fit_minutes"]


@renamed(lr="lr_max", warm="warmup_pct")
def fit_minutes(
    self,  # a `CharLearner`
    minutes: float,  # how long to train and validate
    lr_max: float | slice,  # highest learning rate; a slice spreads it over parameter groups, as in `fit`
    warmup_pct: float = 0.05,  # part of the time in which the rate rises
    clip: float = 1.0,  # largest norm of the gradients
    bf16: bool | None = None,  # whether to train in bfloat16; None: on a CPU where `fast_bf16()`
    schedule: Callable[[float], float] | None = None,  # another schedule, see `TimeBudget`
    cbs: Callback | list | None = None,  # further callbacks
    deadline: Deadline | None = None,  # when to be done, if other work shares the minutes; None: `minutes` from now
) -> dict[str, float]:  # the row it adds to `learn.training_log.rows`
    """Train and validate for `minutes` in all. The learning rate follows `TimeBudget`.

    The final validation gets at most 15% of the time, or a second. If it needs more, a part of the validation
    characters is read: stretches spread over them. The row then has that part as `valid_part`, from 0 to 1.
    Callbacks that read the numbers of epochs, such as `SaveModelCallback`, have every epoch validated, within the time.
    Several processes validate everything, after the time of training.
    The result depends on the speed of the machine. The row holds the losses, the metrics, `lr`, `minutes` as asked for,
    `epochs` and `bf16`. Ctrl-C ends the fit after the batch, or in the final validation: the weights stay, and the row
    has the minutes that passed.
    Raises `DataError` if `minutes` is not a positive number, for rates that are negative, NaN or infinite, and for
    callbacks that set the learning rate or draw on fastai's bar."""
    check_number("clip", clip, inside=True, hint="1 is usual")
    check_callbacks(cbs)
    if bf16 is None:
        bf16 = self.dls.device.type == "cpu" and fast_bf16()
    cbs = L(cbs)
    check_timed_callbacks(self.cbs + cbs)
    budget = TimeBudget(minutes, lr_max, warmup_pct, any(map(_needs_validation, self.cbs + cbs)), deadline, schedule)
    bars = [ClockProgress(budget)] if hasattr(self, "progress") else []
    mixed = [DeviceMixedPrecision(AMPMode.BF16, training_only=True)] if bf16 else []
    # fastai's table would have a line for each epoch
    no_table = self.no_logging() if bars else nullcontext()
    stopping = [] if any(isinstance(cb, StopOnSignal) for cb in self.cbs + cbs) else [StopOnSignal()]
    try:
        with self.no_bar(), no_table:
            self.fit(10**6, budget.lr_max, cbs=[budget, GradientClip(clip), *mixed, *bars, *stopping, *cbs])
        if self.saved_fit is not None:
            # finished before the checkpoint, and followed by other fits
            return self.saved_fit.row_after(len(self.fits) - 1)
        validation = validation_row(self, budget.validation_deadline)
    except (KeyboardInterrupt, SystemExit):
        if budget.n_targets:
            _add_row(self, budget, bf16, budget.elapsed / 60, {})
        raise
    row = _add_row(self, budget, bf16, budget.minutes, validation)
    for bar in bars:
        bar.write_row(row)
    return row


def _needs_validation(cb):
    "Whether `cb` reads what an epoch has recorded: fastai's trackers and loggers, and your own `after_epoch`."
    is_ours = isinstance(cb, (Recorder, TrainEpochCallback, CheckpointCallback))
    return reads_epochs(cb) or (may_handle(cb, "after_epoch") and not is_ours)


def _add_row(learn, budget, bf16, minutes, validation):
    "Add the numbers of a fit to the training log."
    row = {"train_loss": float(learn.recorder.smooth_loss.value)}
    row |= validation
    row |= {"lr": budget.top_rates[-1], "minutes": minutes, "epochs": budget.epochs, "bf16": float(bf16)}
    learn.training_log.rows.append(row)
    return row
