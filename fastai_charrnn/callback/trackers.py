"""What fastai's trackers and loggers need on a `CharLearner`: the direction of a metric, and epochs to read.

    learn.fit(9, cbs=SaveModelCallback(monitor="bits_per_char"))     # keeps the weights of the lowest

fastai takes a monitored value for better when it is higher, unless its name contains "loss" or "error".
"""

import warnings
from contextlib import redirect_stdout

import numpy as np
from fastai.basics import Callback, Learner, rank_distrib
from fastai.callback.progress import CSVLogger
from fastai.callback.tracker import SaveModelCallback, TrackerCallback
from fastai.metrics import Perplexity

from ..errors import CharRnnWarning, DataError

__all__ = ["prepare_trackers", "keep_trained_weights", "reads_epochs", "silence_trackers", "let_trackers_print"]


def reads_epochs(
    cb: Callback,  # a callback of a learner
) -> bool:
    "Whether `cb` is one of fastai's callbacks, or derived from one, that reads the numbers of each epoch."
    in_fastai = [base for base in type(cb).__mro__ if base.__module__.startswith("fastai.callback.")]
    return isinstance(cb, CSVLogger) or any("after_epoch" in vars(base) for base in in_fastai)


def prepare_trackers(
    learn: Learner,  # a `CharLearner`
):
    """Set the direction of trackers in a fit, and let them and loggers rest outside of one.

    A metric with `lower_is_better = True` and fastai's `perplexity` improve downwards: there `np.greater`, fastai's
    default, becomes `np.less`. Another `comp` is used as it is. fastai's trackers run under `validate` too, where they
    read the accuracy as the validation loss. Raises `DataError` if a tracker monitors what is not recorded."""
    rests = not learn.training_now or hasattr(learn, "gather_preds")
    for cb in filter(reads_epochs, learn.cbs):
        cb.run = not rests and not (rank_distrib() and isinstance(cb, CSVLogger))
        if isinstance(cb, TrackerCallback) and not rests:
            _set_direction(cb, learn)


def _set_direction(cb, learn):
    recorded = learn.recorder.metric_names[1:]
    if cb.monitor not in recorded:
        raise DataError(f"{cb} monitors {cb.monitor!r}, which is not recorded; choose one of {', '.join(recorded)}")
    # a default and a `np.greater` of yours cannot be told apart
    if cb.comp is np.greater and _lower_is_better(cb.monitor, learn.metrics):
        cb.comp = np.less
        cb.min_delta = -cb.min_delta
    if isinstance(cb, SaveModelCallback) and cb.reset_on_fit:
        cb.last_saved_path = None


def _lower_is_better(monitor, metrics):
    for metric in metrics:
        if monitor in (metric.name, f"train_{metric.name}", f"valid_{metric.name}"):
            return getattr(metric, "lower_is_better", isinstance(metric, Perplexity))
    return False


def keep_trained_weights(
    learn: Learner,  # a `CharLearner` at the end of a fit
):
    """Keep `SaveModelCallback` from loading a file if it has saved none, because no epoch was complete.

    fastai's then loads an older file of that name, or raises `FileNotFoundError`."""
    for cb in learn.cbs:
        loads_best = isinstance(cb, SaveModelCallback) and cb.run and not (cb.every_epoch or cb.at_end)
        if loads_best and cb.last_saved_path is None:
            # only until the end of this event: fastai then sets it to True
            cb.run = False
            warnings.warn(
                "SaveModelCallback saved nothing, because no epoch was complete; the model keeps its last weights",
                CharRnnWarning,
                stacklevel=2,
            )


class _Silent:
    "The `after_epoch` of a tracker, without what it prints."

    def __init__(self, cb):
        self.cb = cb

    def __call__(self):
        with redirect_stdout(None):
            type(self.cb).after_epoch(self.cb)


def silence_trackers(
    learn: Learner,  # a learner on a rank above 0
):
    "Let trackers decide without printing, until `let_trackers_print`."
    for cb in learn.cbs:
        if isinstance(cb, TrackerCallback):
            cb.after_epoch = _Silent(cb)


def let_trackers_print(
    learn: Learner,  # the same learner
):
    "Undo `silence_trackers`."
    for cb in learn.cbs:
        if isinstance(vars(cb).get("after_epoch"), _Silent):
            del cb.after_epoch
