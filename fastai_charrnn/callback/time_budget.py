"""Learning-rate schedule by the clock: `fit_minutes` trains for a given number of minutes.

    learn = char_learner(dls, "gru")
    learn.fit_minutes(5, 7e-3)

`TimeBudget` is the schedule, a callback. The rate rises to its highest value in the first part of the time, falls to 0
at the end of it, and depends on the elapsed time only. A faster machine trains on more batches in the same time.

The final validation is within the minutes: its speed is measured before training, and it gets at most 15% of the time.
If that is too short, a part of the validation characters is read (`callback.timed_validation`).

Epochs are validated only for callbacks that need it: `learn.fit_minutes(5, 7e-3, cbs=SaveModelCallback())` keeps the
best epoch, the last and shorter one included. The time of validations counts.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from fastai.basics import Callback, CancelFitException, CancelTrainException, CancelValidException, L, Recorder
from fastai.callback.fp16 import AMPMode, MixedPrecision
from fastai.callback.training import GradientClip

from .._checks import check_hyper, check_number, shown
from .._deadline import Deadline
from .._utils import renamed, warn_caller
from ..data.protocol import n_targets
from ..errors import CharRnnWarning, DataError
from .arguments import check_callbacks, check_timed_callbacks
from .checkpoint import CheckpointCallback
from .core import TrainEpochCallback
from .dispatch import may_handle
from .fp16 import DeviceMixedPrecision, fast_bf16
from .progress import ClockProgress
from .signals import StopOnSignal
from .timed_validation import validation_row, validation_seconds
from .trackers import reads_epochs

__all__ = ["fit_minutes", "TimeBudget"]

_max_validation = 0.15  # of the time: what the final validation gets at most
_min_validation = 1.0  # seconds that it gets in any case, so that a short fit has a whole one
_headroom = 1.2  # the time kept for it, by the time that its first batches predict
_min_training = 0.25  # of the minutes: what training gets even if the deadline is near


class TimeBudget(Callback):
    """Set the learning rate by t, the elapsed part of the training time from 0 to 1, and end the fit at t = 1.

    lr = lr_max · min(1, t / warmup_pct, 1 - t).
    The training time is what is left until the deadline, without the time that the final validation will take.
    Epochs are not validated unless `validate_epochs`. Then the last epoch is one too, although it is shorter."""

    # `MixedPrecision` turns autocast on before a batch and off after it: a fit that ends between would leave it on
    order = MixedPrecision.order - 1

    @renamed(lr="lr_max", warm="warmup_pct")
    def __init__(
        self,
        minutes: float,  # how long to train
        lr_max: float | slice,  # highest learning rate; a slice spreads it over parameter groups, as in `fit`
        warmup_pct: float = 0.05,  # part of the time in which the rate rises
        validate_epochs: bool = False,  # whether to validate after every epoch
        deadline: Deadline | None = None,  # when the fit and its validation must be over; None: after `minutes`
        schedule: Callable[[float], float] | None = None,  # t to the factor of lr_max; None: as above
    ):
        self.minutes = check_number("minutes", minutes, inside=True, hint="for five minutes pass 5")
        self.lr_max = check_hyper("lr_max", lr_max, "1e-3 is usual")
        self.warmup_pct = check_number("warmup_pct", warmup_pct, 0, 1, hint="it is a part of the time")
        self.validate_epochs = validate_epochs
        if not isinstance(deadline, Deadline | None):
            raise DataError(f"deadline={shown(deadline)} is not a Deadline; leave it out for `minutes` from now")
        # not named as the argument: a resumed fit must have equal arguments, and has a deadline of its own
        self.limit = deadline or Deadline.after(60 * self.minutes)
        self.is_given = deadline is not None
        self.clock = self.limit.clock
        self.seconds = 60 * self.minutes
        self.validation_time = 0.0
        self.schedule = schedule or partial(rise_and_fall, warmup_pct=self.warmup_pct)
        self.n_targets = 0

    def before_fit(self):
        if not self.is_given:
            self.limit = Deadline.after(60 * self.minutes)
        self._divide_time()
        self.start = self.clock()
        self.n_targets = 0
        self.targets_per_epoch = n_targets(self.dls)
        self.opt.set_hypers(lr=self.lr_max)
        # of each parameter group
        self.top_rates = [float(h["lr"]) for h in self.opt.hypers]

    def _divide_time(self):
        "Set the seconds of training, and those kept for the final validation."
        whole = _headroom * validation_seconds(self.learn, self.limit)
        # the last epoch is validated too, and as a whole
        last_epoch = whole if self.validate_epochs else 0
        left = self.limit.left
        self.validation_time = last_epoch + min(whole, max(_max_validation * left, _min_validation))
        self.seconds = max(left - self.validation_time, _min_training * 60 * self.minutes)

    @property
    def validation_deadline(self) -> Deadline:
        "When the final validation must be over."
        return self.limit.at_least(_min_validation)

    @property
    def elapsed(self) -> float:
        "Seconds since the fit began."
        return self.clock() - self.start

    @property
    def epochs(self) -> float:
        "How often the training targets were used, on average."
        return self.n_targets / self.targets_per_epoch

    @property
    def elapsed_pct(self) -> float:
        "The part of the training time that has passed, above 1 after its end."
        return self.elapsed / self.seconds

    def state_dict(self) -> dict:
        "Return the elapsed seconds and the targets used, for checkpoints."
        names = ("elapsed", "seconds", "n_targets", "targets_per_epoch", "top_rates")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict):
        "Continue the clock. The time between does not count."
        self.start = self.clock() - state["elapsed"]
        self.seconds = state["seconds"]
        self.limit = Deadline(self.start + self.seconds + self.validation_time, self.clock)
        self.n_targets = state["n_targets"]
        self.targets_per_epoch = state["targets_per_epoch"]
        self.top_rates = state["top_rates"]
        if self.elapsed_pct < 1:
            left = self.seconds - self.elapsed
            message = (
                f"the fit continues with {left:,.0f} of its {self.seconds:,.0f} seconds; its learning rates follow the "
                "clock, so the result is not exactly that of an uninterrupted fit"
            )
            warn_caller(message, CharRnnWarning)

    def before_epoch(self):
        "End the fit after the last epoch was validated."
        if self._is_over(self.elapsed_pct):
            raise CancelFitException

    def _is_over(self, t):
        "Whether the time is over. At least one batch is trained."
        return t >= 1 and self.n_targets > 0

    def before_batch(self):
        "Set the learning rate, or end the fit."
        if not self.training:
            return
        t = self.elapsed_pct
        if self._is_over(t):
            raise CancelTrainException if self.validate_epochs else CancelFitException
        factor = self.schedule(t)
        self.opt.set_hypers(lr=[lr * factor for lr in self.top_rates])
        self.n_targets += self.y.numel()

    def after_train(self):
        "Have the training loss of the last epoch recorded, which fastai leaves out of an epoch that ends early."
        if hasattr(self.learn, "recorder"):
            self.learn.recorder.cancel_train = False

    def before_validate(self):
        if not self.validate_epochs:
            raise CancelValidException


def rise_and_fall(
    t: float,  # the part of the time that has passed
    warmup_pct: float = 0.05,  # part of the time in which the rate rises
) -> float:  # the learning rate as a part of the highest
    "The usual schedule. The first and the last rate are above 0."
    rising = (t + 1e-3) / warmup_pct if warmup_pct else 1
    return min(1, rising, max(1 - t, 1e-3))


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
    The result depends on the speed of the machine. The row holds the losses, the metrics, `lr`, `minutes`, `epochs` and
    `bf16`. Raises `DataError` if `minutes` is not a positive number, for rates that are negative, NaN or infinite, and
    for callbacks that set the learning rate or draw on fastai's bar. Ctrl-C ends it after the batch: the weights stay,
    and the row has the minutes that passed."""
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
    except (KeyboardInterrupt, SystemExit):
        if budget.n_targets:
            _add_row(self, budget, bf16, budget.elapsed / 60, {})
        raise
    if self.saved_fit is not None:
        # finished before the checkpoint, and followed by other fits
        return self.saved_fit.row_after(len(self.fits) - 1)
    row = _add_row(self, budget, bf16, budget.minutes, validation_row(self, budget.validation_deadline))
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
