"""Validate in the middle of a fit, and after it: restore what a validation changes of the learner or its recorder."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

from fastai.basics import Learner, TrainEvalCallback, torch

from .._utils import modes_restored, unwrap_model
from .fit_context import check_thread

__all__ = ["validating_in_fit", "record_kept"]

# set here and by the recorder
_RECORD_FIELDS = ("cbs", "recorder", "_metrics", "final_record", "training_now")
# set by `TrainEvalCallback`
_PROGRESS_FIELDS = ("training", "epoch", "train_iter", "pct_train")
# set by `Learner.validate` for every batch
_BATCH_FIELDS = ("dl", "iter", "n_iter", "xb", "yb", "pred", "loss", "loss_grad")
# what `Recorder.before_fit` empties
_FIT_FIELDS = ("lrs", "iters", "losses", "values", "metric_names", "smooth_loss")
LEARNER_FIELDS = _RECORD_FIELDS + _PROGRESS_FIELDS + _BATCH_FIELDS


@contextmanager
def validating_in_fit(
    learn: Learner,  # a learner whose fit is under way
) -> Iterator[None]:
    """Restore the learner, the model's mode and state, and the random numbers at the end of the block.

    Within it, only `TrainEvalCallback` and a copy of the recorder receive events, and metrics are copies. Raises
    `TrainingError` in another thread than that of the fit."""
    check_thread(learn)
    model = unwrap_model(learn.model)
    state = getattr(model, "state", None)
    with _fields_restored(learn), modes_restored(learn.model):
        learn.training_now = False
        learn.cbs = learn.cbs.filter(lambda cb: isinstance(cb, TrainEvalCallback))
        learn.metrics = learn.metrics.map(copy)
        if hasattr(learn, "recorder"):
            learn.add_cb(_own_recorder(learn.recorder))
        if hasattr(model, "reset"):
            model.reset()
        # every pass over a DataLoader draws from the global random state
        with learn.no_logging(), torch.random.fork_rng(), _orders_kept(learn.dls):
            try:
                yield
            finally:
                if state is not None:
                    model.state = state


@contextmanager
def _orders_kept(dls):
    "Restore the generators of the loaders, so that a pass over the training part keeps the order of training."
    generators = [(dl, dl.rng, dl.rng.getstate()) for dl in dls if hasattr(dl, "rng")]
    try:
        yield
    finally:
        for dl, rng, state in generators:
            rng.setstate(state)
            dl.rng = rng


@contextmanager
def record_kept(
    learn: Learner,  # a learner whose fit is over
) -> Iterator[None]:
    "Keep the recorder's losses, learning rates and values of the last fit, which fastai empties at every validation."
    recorder = getattr(learn, "recorder", None)
    fields = {} if recorder is None else vars(recorder)
    before = {name: fields[name] for name in _FIT_FIELDS if name in fields}
    if "losses" not in before:
        # there was no fit
        yield
        return
    # `setattr` on a callback warns about names that the learner has too
    fields["smooth_loss"] = copy(before["smooth_loss"])
    try:
        yield
    finally:
        fields.update(before)


@contextmanager
def _fields_restored(learn):
    "Restore the fields of the learner, and delete those that were not set."
    fields = vars(learn)
    before = {name: fields[name] for name in LEARNER_FIELDS if name in fields}
    try:
        yield
    finally:
        for name in LEARNER_FIELDS:
            fields.pop(name, None)
        fields.update(before)


def _own_recorder(recorder):
    "A copy that shares no metrics with the recorder of the fit."
    recorder = copy(recorder)
    # `setattr` on a callback warns about names that the learner has too
    vars(recorder).update(loss=copy(recorder.loss), smooth_loss=copy(recorder.smooth_loss))
    return recorder
