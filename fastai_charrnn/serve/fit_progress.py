"""How far a fit is: `FitProgress`, by epochs or by the clock of `fit_minutes`."""

import time

from fastai.basics import Learner

__all__ = ["FitProgress"]


class FitProgress:
    "Counts from the first batch that it sees, which is not the first of the fit if the training was resumed."

    def __init__(
        self,
        learn: Learner,  # in a fit
        epochs_before: float,  # that were trained so far
    ):
        self.learn = learn
        self.budget = getattr(learn, "time_budget", None)
        self.base = epochs_before - (0 if self.budget else learn.epoch)
        self.start = time.monotonic()
        self.start_part = self.part()

    def epochs(self) -> float:
        "Epochs so far, of all fits."
        return self.base + (self.budget.epochs if self.budget else self._epochs())

    def part(self) -> float:
        "The part of the fit that is done, from 0 to 1."
        return min(self.budget.elapsed_pct, 1.0) if self.budget else self._epochs() / self.learn.n_epoch

    def _epochs(self):
        return self.learn.epoch + (self.learn.iter + 1) / self.learn.n_iter

    def as_json(self) -> dict:
        "For the page: part, epochs so far and in all, seconds so far and until the end. None is not known."
        seconds = time.monotonic() - self.start
        part = self.part()
        done = part - self.start_part
        return dict(
            part=part,
            epochs=self.epochs(),
            n_epochs=None if self.budget else self.base + self.learn.n_epoch,
            seconds=seconds,
            remaining=seconds / done * (1 - part) if done > 0 else None,
        )
