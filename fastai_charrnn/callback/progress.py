"""A bar for a whole run: all epochs in one line, with the time left until the last."""

import shutil

from fastai.callback.progress import ProgressCallback
from fastprogress.fastprogress import progress_bar

__all__ = ["RunProgress"]


class RunProgress(ProgressCallback):
    """One bar over all steps of a fit; each epoch's numbers are printed above it.

    fastai's own bar counts the steps of an epoch, so that its time left is that of the epoch."""

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

    def _write(self, row):
        "Print a row of numbers in place of the bar, which the next batch draws anew."
        self._clear()
        self.old_logger(row)

    def _clear(self):
        print("\r" + " " * (shutil.get_terminal_size().columns - 1), end="\r", flush=True)

    # fastai's bar begins and ends a line at each of these
    def before_epoch(self):
        "Keep the one bar."

    before_train = before_validate = after_train = after_validate = before_epoch
