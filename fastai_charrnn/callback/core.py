"""Base class and standard callbacks: every `CharLearner` has a `StateResetter`.

    TrainEpochCallback    base class: calls `trained_epoch` after each trained epoch
    FirstOutput           uses the first of several outputs of a model
    StateResetter         resets the state of a stateful model

fastai calls `after_epoch` under `validate`, `get_preds` and `lr_find` too, and `trained_epoch` is not called there.
"""

from fastai.basics import Callback, DataLoaders
from fastai.callback.rnn import RNNCallback

from .._utils import unwrap_model
from ..errors import DataError

__all__ = ["TrainEpochCallback", "FirstOutput", "StateResetter"]


def check_has_text(
    dls: DataLoaders,  # those of a learner
):
    "Raise `DataError` if `dls` hold no training data, as those of a loaded model."
    if not len(dls.train):
        raise DataError(
            "these dls hold no text to train on; set learn.dls, or pass load_model(path, dls=…), "
            "made with vocab=learn.dls.vocab"
        )


class TrainEpochCallback(Callback):
    "Calls `trained_epoch` after every epoch of a fit, and not under `validate`, `get_preds` and `lr_find`."

    trained = False

    def before_epoch(self):
        self.trained = False

    def after_train(self):
        self.trained = not hasattr(self.learn, "lr_finder")

    def after_epoch(self):
        if self.trained:
            self.trained_epoch()

    def trained_epoch(self):
        "Act after a trained epoch. Subclasses define it."
        raise NotImplementedError(f"{type(self).__name__} needs a method trained_epoch()")


class FirstOutput(Callback):
    "Use the first output of a model that returns several, as the language models of fastai do. After `RNNCallback`."

    order = RNNCallback.order + 1

    def after_pred(self):
        if isinstance(self.pred, (tuple, list)):
            self.learn.pred = self.pred[0]


# fastai's `ModelResetter` needs a model with a method `reset`, and does not look inside `DistributedDataParallel`.
class StateResetter(Callback):
    "Call `model.reset()`, if there is one, before training, validation and prediction, and after a fit."

    order = -8  # before all callbacks that use the model

    def _reset(self):
        model = unwrap_model(self.model)
        if hasattr(model, "reset"):
            model.reset()

    def before_train(self):
        self._reset()

    def before_validate(self):
        self._reset()

    def after_fit(self):
        self._reset()

    def after_error(self):
        "Drop the state that an interrupted fit carried."
        self._reset()
