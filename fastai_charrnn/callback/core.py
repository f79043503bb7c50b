"""Callbacks of every `CharLearner`, and what the package's callbacks share.

    TrainEpochCallback    calls `trained_epoch` after each epoch of a fit
    FiniteLoss          stops training where the loss is not a finite number
    StateResetter          resets the state of a stateful model

fastai calls `after_epoch` under `validate`, `get_preds` and `lr_find` too.
"""

import math

from fastai.basics import Callback, CancelFitException, DataLoaders, Recorder

from .._utils import unwrap_model
from ..errors import DataError, TrainingError

__all__ = ["TrainEpochCallback", "FiniteLoss", "StateResetter"]


def check_has_text(
    dls: DataLoaders,  # those of a learner
):
    "Raise `DataError` if `dls` hold nothing to train on, as those of a loaded model."
    if not len(dls.train):
        raise DataError(
            "these dls hold no text to train on; set learn.dls, or pass load_model(path, dls=…), "
            "made with vocab=learn.dls.vocab"
        )


class TrainEpochCallback(Callback):
    "Calls `trained_epoch` after every epoch of a fit, and after no other."

    trained = False

    def before_epoch(self):
        self.trained = False

    def after_train(self):
        self.trained = not hasattr(self.learn, "lr_finder")

    def after_epoch(self):
        if self.trained:
            self.trained_epoch()

    def trained_epoch(self):
        "What to do; for subclasses."
        raise NotImplementedError(f"{type(self).__name__} needs a method trained_epoch()")


class FiniteLoss(Callback):
    """Stop training at the first loss that is NaN or infinite, before the optimizer steps on it.

    The fit ends as if cancelled, and `CharLearner.fit` then raises `error`, a `TrainingError` with the step and its
    learning rate. On a GPU the loss is looked at every 50 steps, as reading it makes the host wait. Does nothing
    under `lr_find`, which looks for the rate where training diverges."""

    order = Recorder.order + 10
    gpu_steps = 50
    error = None

    def before_fit(self):
        self.error = None

    def after_loss(self):
        if not self.training or hasattr(self.learn, "lr_finder"):
            return
        if self.loss.device.type == "cpu" or self.train_iter % self.gpu_steps == 0:
            self._check()

    def before_validate(self):
        fits = self.learn.training_now and not hasattr(self.learn, "lr_finder")
        if fits and getattr(self.learn, "loss", None) is not None:
            self._check()

    def _check(self):
        "Cancel the fit if the loss at hand is not a finite number."
        loss = float(self.loss.detach().mean())
        if math.isfinite(loss):
            return
        rate = self.opt.hypers[-1]["lr"]
        way = "train with a lower learning rate, such as lr_find suggests"
        if self.train_iter == 0 and not all(p.isfinite().all() for p in self.model.parameters()):
            way = "the weights hold NaN or infinity from before: make a new learner, or load a saved model"
        self.error = TrainingError(
            f"the loss is {loss} at step {self.train_iter + 1} (epoch {self.epoch}, "
            f"learning rate {rate:.3g}), so training stopped; {way}"
        )
        raise CancelFitException


class StateResetter(Callback):
    """Reset the state of a stateful model before an epoch, validation or prediction; restore it after a validation.

    fastai's `ModelResetter` does the first part for its own models. Calls `model.reset()`, if there is one."""

    order = -8  # before whatever looks at the model

    def _model(self):
        return unwrap_model(self.model)

    def _reset(self):
        if hasattr(self._model(), "reset"):
            self._model().reset()

    def before_train(self):
        self._reset()

    def before_validate(self):
        self.kept = getattr(self._model(), "state", None)
        self._reset()

    def after_validate(self):
        self._reset()
        if self.kept is not None:
            self._model().state = self.kept
            self.kept = None

    def after_fit(self):
        self._reset()
