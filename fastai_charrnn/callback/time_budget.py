"""Learning-rate schedule by the clock: the callback `TimeBudget`, which `fit_minutes` uses.

The rate rises to its highest value in the first part of the time, falls to 0 at the end of it, and depends on the
elapsed time only. A faster machine trains on more batches in the same time.

The final validation is within the minutes: its speed is measured before training, and it gets at most 15% of the time.
If that is too short, a part of the validation characters is read (`callback.timed_validation`).
"""

from collections.abc import Callable
from functools import partial

from fastai.basics import Callback, CancelFitException, CancelTrainException, CancelValidException, num_distrib
from fastai.callback.fp16 import MixedPrecision

from .._checks import check_hyper, check_number, shown
from .._deadline import Deadline
from .._utils import renamed, warn_caller
from ..data.collectives import broadcast_object
from ..data.protocol import n_targets
from ..errors import CharRnnWarning, DataError
from .timed_validation import validation_seconds

__all__ = ["TimeBudget", "rise_and_fall"]

_max_validation = 0.15  # of the time: what the final validation gets at most
_min_validation = 1.0  # seconds that it gets in any case, so that a short fit has a whole one
_headroom = 1.2  # the time kept for it, by the time that its first batches predict
_min_training = 0.25  # of the minutes: what training gets even if the deadline is near
_ask_every = 16  # batches on GPUs, after which processes ask the first one for the time: asking makes the CPU wait


class TimeBudget(Callback):
    """Set the learning rate by t, the elapsed part of the training time from 0 to 1, and end the fit at t = 1.

    lr = lr_max · min(1, t / warmup_pct, 1 - t).
    The training time is what is left until the deadline, without the time that the final validation will take.
    Epochs are not validated unless `validate_epochs`. Then the last epoch is one too, although it is shorter."""

    # `MixedPrecision` turns autocast on before a batch and off after it: a fit that ends between would leave it on, and
    # what callbacks compute before a batch, such as a validation, would have products in 16 bits
    order = MixedPrecision.order - 2

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
        self.common_t = 0.0
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
        "Return the elapsed seconds, those left with the validation, and the targets used, for checkpoints."
        names = ("elapsed", "seconds", "n_targets", "targets_per_epoch", "top_rates")
        return {name: getattr(self, name) for name in names} | dict(left=self.limit.left)

    def load_state_dict(self, state: dict):
        "Continue the clock. The time between does not count."
        self.start = self.clock() - state["elapsed"]
        self.seconds = state["seconds"]
        self.limit = Deadline.after(state["left"], self.clock)
        self.n_targets = state["n_targets"]
        self.targets_per_epoch = state["targets_per_epoch"]
        self.top_rates = state["top_rates"]
        # a fit that was over is skipped
        if self.learn.training_now and self.elapsed_pct < 1:
            left = self.seconds - self.elapsed
            message = (
                f"the fit continues with {left:,.0f} of its {self.seconds:,.0f} seconds; its learning rates follow the "
                "clock, so the result is not exactly that of an uninterrupted fit"
            )
            warn_caller(message, CharRnnWarning)

    def before_epoch(self):
        "End the fit after the last epoch was validated."
        if self._is_over(self._t_of_all()):
            raise CancelFitException

    def _t_of_all(self):
        "The part of the time that has passed for the first process: all end at the same batch, with the same rates."
        if num_distrib() <= 1:
            return self.elapsed_pct
        is_asked = self.dls.device.type == "cpu" or not self.training or self.train_iter % _ask_every == 0
        if is_asked:
            self.common_t = broadcast_object(self.elapsed_pct)
        return self.common_t

    def _is_over(self, t):
        "Whether the time is over. At least one batch is trained."
        return t >= 1 and self.n_targets > 0

    def before_batch(self):
        "Set the learning rate, or end the fit."
        if not self.training:
            return
        t = self._t_of_all()
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
