"""Stop training that diverges: `FiniteLoss`."""

import math

from fastai.basics import Callback, CancelFitException, Learner, Recorder
from fastai.callback.tracker import SaveModelCallback

from .._utils import unwrap_model
from ..errors import TrainingError
from ..generation.checks import non_finite, some_names

__all__ = ["FiniteLoss", "check_finite", "divergence"]


class FiniteLoss(Callback):
    """Stop training when a loss or a weight is NaN or infinite.

    The training loss is read before the optimizer uses it: at every step, on a GPU at every 50th, because reading it
    makes the CPU wait. Weights and validation loss are read after every epoch, and weights after a fit. It cancels the
    fit, and `CharLearner.fit` then raises `error`, a `TrainingError` with the step, the learning rate and the last file
    that was saved. Steps that fp16 skips do not stop training. It does nothing under `lr_find`, which has to reach
    rates that diverge."""

    order = Recorder.order + 10
    gpu_steps = 50
    error = None
    validates = False

    def before_fit(self):
        self.error = None
        self.validates = False

    def after_loss(self):
        if not self.training or self._rests():
            return
        if self.loss.is_cpu or self.train_iter % self.gpu_steps == 0:
            self._check_loss()

    def after_train(self):
        if self._rests():
            return
        if getattr(self.learn, "loss", None) is not None:
            self._check_loss()
        self.check_weights()

    def before_validate(self):
        self.validates = True

    def after_validate(self):
        metrics = getattr(getattr(self.learn, "recorder", None), "_valid_mets", [])
        # a callback may have cancelled the validation before it began
        if not metrics or not self.validates or self._rests():
            return
        self.validates = False
        loss = metrics[0].value
        if loss is not None and not math.isfinite(loss):
            self._stop(f"the validation loss is {float(loss)} after step {self.train_iter}")

    def after_cancel_fit(self):
        "Keep `SaveModelCallback(at_end=True)` from saving a model that has diverged."
        for cb in self.learn.cbs if self.error else ():
            if isinstance(cb, SaveModelCallback) and cb.at_end:
                # only until the end of `after_fit`: fastai then sets it to True
                cb.run = False

    def after_fit(self):
        "Note an error if the last step of the fit made weights infinite. It is too late to cancel the fit."
        if self.error is None and not self._rests():
            self.error = self._weight_error()

    def check_weights(self):
        "Cancel the fit if a weight is NaN or infinite."
        error = self._weight_error()
        if error is not None:
            self.error = error
            raise CancelFitException

    def _rests(self):
        # `hasattr` would search the model too, at every batch
        return not self.learn.training_now or "lr_finder" in vars(self.learn)

    def _check_loss(self):
        "Cancel the fit if the current loss is not a finite number."
        loss = self.learn.loss.detach()
        loss = float(loss if loss.dim() == 0 else loss.mean())
        if not math.isfinite(loss):
            self._stop(f"the loss is {loss} at step {self.train_iter + self.training}")

    def _stop(self, what):
        self.error = self._error(what)
        raise CancelFitException

    def _weight_error(self):
        names = non_finite(unwrap_model(self.model))
        if names:
            return self._error(f"weights are NaN or infinite after step {self.train_iter}, in {some_names(names)}")
        return None

    def _error(self, what):
        lr = self.opt.hypers[-1]["lr"]
        where = f"(epoch {self.epoch}, learning rate {lr:.3g})"
        return TrainingError(f"{what} {where}, so training stopped; {self._advice()}{_last_file(self.learn)}")

    def _advice(self):
        if self.train_iter == 0 and non_finite(unwrap_model(self.model)):
            return "the weights were NaN or infinite before training: make a new learner, or load a saved model"
        return "train with a lower learning rate, for example the one that lr_find suggests"


def check_finite(
    learn: Learner,  # a `CharLearner`, whose weights are to be saved in a fit
):
    "Cancel the fit with a `TrainingError` if a weight is NaN or infinite, so no good file is replaced."
    if hasattr(learn, "finite_loss"):
        learn.finite_loss.check_weights()


def _last_file(learn):
    "The last file that a callback saved, as the end of a sentence. Callbacks keep it as `last_saved_path`."
    paths = [vars(cb).get("last_saved_path") for cb in learn.cbs]
    paths = [path for path in paths if path is not None]
    return f". The last weights that were saved are in {paths[-1]}" if paths else ""


def divergence(
    learn: Learner,  # a learner in or after a fit
) -> TrainingError | None:  # None: the fit did not diverge, or nobody watched
    "Return the error that `FiniteLoss` found in the last fit."
    return learn.finite_loss.error if hasattr(learn, "finite_loss") else None
