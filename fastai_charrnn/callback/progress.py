"""Progress bars: `RunProgress` for all epochs of a fit, `ClockProgress` for a fit with a time budget.

fastai's `ProgressCallback` has one bar for each epoch, which shows the time left until the end of the epoch.
"""

import math
import shutil

from fastai.basics import Callback
from fastai.callback.progress import ProgressCallback
from fastprogress.fastprogress import master_bar, progress_bar

__all__ = ["RunProgress"]


class _OneBar(ProgressCallback):
    "fastai's callback without the bar that it begins and ends with each pass over the data."

    def before_epoch(self):
        "Keep the bar."

    before_train = before_epoch
    before_validate = before_epoch
    after_train = before_epoch
    after_validate = before_epoch


class RunProgress(_OneBar):
    "One bar over all steps of a fit, with the time left until its end. The numbers of each epoch are printed above it."

    name = "progress"

    def before_fit(self):
        self.old_logger = self.learn.logger
        self.learn.logger = self._write
        self.pbar = progress_bar(range(self.n_epoch * len(self.dls.train)), leave=False)
        self._write(self.recorder.metric_names)
        self.pbar.update(0)

    def after_batch(self):
        if not self.training:
            return
        self.pbar.comment = f"epoch {self.epoch + 1} of {self.n_epoch}, loss {float(self.smooth_loss):.3f}"
        self.pbar.update(self.train_iter)

    def after_fit(self):
        self._clear()
        self.learn.logger = self.old_logger

    def after_error(self):
        "Remove the bar."
        self.after_fit()

    def _write(self, row):
        "Print a row of numbers over the bar, which the next batch draws again."
        self._clear()
        self.old_logger(row)

    def _clear(self):
        print("\r" + " " * (shutil.get_terminal_size().columns - 1), end="\r", flush=True)


class ClockProgress(_OneBar):
    "A bar of seconds for `fit_minutes`, and one row of results under it."

    def __init__(
        self,
        budget: Callback,  # the `TimeBudget` of the fit
    ):
        self.budget = budget

    def before_fit(self):
        self.mbar = master_bar(range(1))
        self.mbar.update(0)
        self.pbar = progress_bar(range(math.ceil(60 * self.budget.minutes)), parent=self.mbar, leave=False)
        self.pbar.update(0)
        self.second = 0
        self.pbar.prefix = ""

    def after_batch(self):
        second = int(self.budget.elapsed)
        if second > self.second:
            self._show(second)

    def after_fit(self):
        if self.second < self.pbar.total:
            self._show(math.ceil(self.budget.elapsed))

    def _show(self, second):
        self.second = min(second, self.pbar.total)
        self.pbar.comment = f"epoch {self.budget.epochs:.1f}, {float(self.smooth_loss):.4f}"
        self.pbar.update(self.second)

    def write_row(
        self,
        row: dict[str, float],  # what `fit_minutes` returns
    ):
        "Write the names and values as a table, and close the bar. A fit that is skipped after a resume has none."
        if "mbar" not in vars(self):
            return
        shown = {name: f"{value:.6f}" for name, value in row.items() if name not in ("lr", "minutes", "bf16")}
        shown["epochs"] = f"{row['epochs']:.1f}"
        for line in (list(shown), list(shown.values())):
            self.mbar.write(line, table=True)
        self.mbar.on_iter_end()
