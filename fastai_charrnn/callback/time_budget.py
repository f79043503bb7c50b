"""Training for a given time: `fit_minutes`, whose learning rate follows the clock, so that it has come down when the time is up.

learn = char_learner(dls, "gru")
learn.fit_minutes(5, 7e-3)
"""

import math
import time
from contextlib import nullcontext

import torch
from fastai.basics import Callback, CancelFitException, CancelValidException
from fastai.callback.fp16 import AMPMode, MixedPrecision
from fastai.callback.progress import ProgressCallback
from fastai.callback.training import GradientClip
from fastprogress.fastprogress import master_bar, progress_bar

from ..errors import DataError
from .fp16 import DeviceMixedPrecision

__all__ = ["fit_minutes", "TimeBudget", "fast_bf16"]


class TimeBudget(Callback):
    "The learning rate by the time that has passed: up to `lr` within `warm` of it, then down to 0; there the fit ends. No epoch is validated."

    order = (
        MixedPrecision.order - 1
    )  # which turns autocast on before a batch and off after it: a fit that ends in between would leave it on

    def __init__(
        self,
        minutes: float,  # how long to train
        lr: float,  # highest learning rate
        warm: float = 0.05,  # the part of the time in which the rate rises
    ):
        self.minutes = minutes
        self.top = lr
        self.warm = warm

    def before_fit(self):
        self.began = time.perf_counter()
        self.seen = 0

    @property
    def gone(self) -> float:
        "Seconds since the fit began."
        return time.perf_counter() - self.began

    def before_batch(self):
        "Set the rate, or end the fit."
        if not self.training:
            return
        gone = self.gone / (60 * self.minutes)
        if gone >= 1:
            raise CancelFitException
        self.opt.set_hypers(lr=self.top * min(1, (gone + 1e-3) / self.warm, 1 - gone))
        self.seen += self.y.numel()

    def before_validate(self):
        raise CancelValidException


class ClockProgress(ProgressCallback):
    "fastai's bar and table for a fit by the clock: one line, whose bar counts seconds. (Its own would count a million epochs.)"

    def __init__(
        self,
        clock: TimeBudget,  # whose time is shown
    ):
        self.clock = clock

    def before_fit(self):
        self.mbar = master_bar(range(1))
        self.mbar.update(0)
        self.pbar = progress_bar(range(math.ceil(60 * self.clock.minutes)), parent=self.mbar, leave=False)
        self.pbar.update(0)
        self.second = 0
        self.pbar.prefix = ""

    def after_batch(self):
        if int(self.clock.gone) > self.second:
            self._show(int(self.clock.gone))

    def after_fit(self):
        if self.second < self.pbar.total:
            self._show(math.ceil(self.clock.gone))

    def _show(self, second):
        self.second = min(second, self.pbar.total)
        self.pbar.comment = f"epoch {self.clock.seen / self.dls.train_ds.n_targets:.1f}, {float(self.smooth_loss):.4f}"
        self.pbar.update(self.second)

    def finish(
        self,
        row: dict[str, float],  # what the fit came to
    ):
        "The table."
        names = [k for k in row if k not in ("lr", "minutes", "bf16")]
        for line in (names, [f"{row[k]:.6f}" if k != "epochs" else f"{row[k]:.1f}" for k in names]):
            self.mbar.write(line, table=True)
        self.mbar.on_iter_end()

    def before_epoch(self):
        "Nothing begins."

    before_train = before_validate = after_train = after_validate = before_epoch


def fit_minutes(
    self,  # a `CharLearner`
    minutes: float,  # how long to train
    lr: float,  # highest learning rate
    warm: float = 0.05,  # the part of the time in which the rate rises
    clip: float = 1.0,  # the norm that gradients are cut to
    bf16: bool
    | None = None,  # whether products are taken in bfloat16; None: where that is faster on a CPU, see `fast_bf16`
    cbs: list | None = None,  # further callbacks
) -> dict[str, float]:  # what was measured at the end, by name, as a row of `training_log`
    """Train for `minutes`, then validate once. The rate follows the clock, so that a faster machine trains more and none trains too long.

    What a fit by the clock learns depends on the machine's speed. Raises `DataError` for a time that is none."""
    if not (isinstance(minutes, (int, float)) and 0 < minutes < math.inf):
        raise DataError(f"minutes={minutes!r} is not a time above 0")
    clock = TimeBudget(minutes, lr, warm)
    on_cpu = self.dls.device.type == "cpu"
    low = (on_cpu and fast_bf16()) if bf16 is None else bf16
    bars = [ClockProgress(clock)] if hasattr(self, "progress") else []
    mixed = [DeviceMixedPrecision(AMPMode.BF16)] if low else []
    with self.no_bar(), self.no_logging() if bars else nullcontext():
        self.fit(10**6, lr, cbs=[clock, GradientClip(clip), *mixed, *bars, *(cbs or [])])
    record = {k: getattr(self.recorder, k) for k in ("lrs", "losses", "iters", "values")}
    train = float(self.recorder.smooth_loss.value)
    with self.no_bar(), self.no_logging():
        values = self.validate()
    vars(self.recorder).update(record)  # a validation begins a new one
    row = dict(zip(["valid_loss", *self.metrics.attrgot("name")], map(float, values)))
    self.training_log.rows.append(
        {"train_loss": train}
        | row
        | {"lr": lr, "minutes": float(minutes), "epochs": clock.seen / self.dls.train_ds.n_targets, "bf16": float(low)}
    )
    for o in bars:
        o.finish(self.training_log.rows[-1])
    return self.training_log.rows[-1]


_bf16: bool | None = None


def fast_bf16() -> bool:
    "Whether this processor takes products in bfloat16 at least 1.5 times as fast as in float32: measured once, in some milliseconds."
    global _bf16
    if _bf16 is None:
        _bf16 = 1.5 * time_product(torch.bfloat16) < time_product(torch.float32)
    return _bf16


def time_product(
    dtype: torch.dtype,  # of its numbers
    rows: int = 64,  # rows of a batch
    turns: int = 12,  # of which the fastest counts
) -> float:  # seconds
    "How long a recurrent product of 512 units takes on the CPU."
    a = torch.ones(rows, 512, dtype=dtype)
    b = torch.ones(512, 2048, dtype=dtype)
    times = []
    for _ in range(turns):
        t = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - t)
    return min(times)
