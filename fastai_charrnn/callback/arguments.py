"""Checks of what `char_learner` and the methods of a learner get, before anything is computed.

fastai accepts any value and fails later, often after an epoch. Errors are `DataError`s.
"""

from collections.abc import Sequence
from numbers import Real

import numpy as np
from fastai.basics import Callback, L, Learner, Metric, Tensor
from fastai.callback.mixup import MixHandler
from fastai.callback.progress import ShowGraphCallback
from fastai.callback.schedule import ParamScheduler
from fastai.callback.tracker import ReduceLROnPlateau

from .._checks import MAX_COUNT, check_count, check_hyper, check_number, check_path, check_seed, shown
from ..errors import DataError

__all__ = [
    "checked_learner_args",
    "checked_fit_args",
    "checked_rates",
    "checked_lr_max",
    "check_callbacks",
    "check_timed_callbacks",
    "check_what_to_predict",
]

_usual_lr = "1e-3 is usual"


def checked_learner_args(
    lr: object,  # as in `char_learner`
    seed: object,
    metrics: object,
    loss_func: object,
    opt_func: object,
    splitter: object,
    rest: dict,  # further arguments of fastai's `Learner`
) -> tuple:  # lr, seed
    "Check the arguments of `char_learner` that fastai uses in a fit, and return its numbers."
    for name, function in dict(loss_func=loss_func, opt_func=opt_func, splitter=splitter).items():
        if function is not None and not callable(function):
            raise DataError(f"{name}={shown(function)} is not a function")
    for metric in L(metrics):
        if not (isinstance(metric, Metric) or callable(metric)):
            raise DataError(f"metrics={shown(metrics)}: {shown(metric)} is neither a function nor a Metric")
    if rest.get("path") is not None:
        check_path("path", rest["path"])
    if rest.get("wd") is not None:
        check_hyper("wd", rest["wd"])
    if rest.get("moms") is not None:
        _check_moms(rest["moms"])
    check_callbacks(rest.get("cbs"))
    return check_hyper("lr", lr, _usual_lr), None if seed is None else check_seed("seed", seed, 64)


def checked_fit_args(
    learn: Learner,  # a `CharLearner`
    n_epoch: object,  # as in `fit`
    lr: object,
    wd: object,
    cbs: object,
    start_epoch: object,
) -> tuple:  # n_epoch, lr, wd
    "Check the arguments of a fit, and return its numbers."
    n_epoch = check_count("n_epoch", n_epoch, 0, MAX_COUNT)
    check_count("start_epoch", start_epoch, 0, n_epoch)
    cbs = check_callbacks(cbs)
    # set on the learner since it was made
    checked_rates(learn, "lr", learn.lr)
    if learn.wd is not None:
        checked_rates(learn, "wd", learn.wd)
    for cb in learn.cbs + cbs:
        for name, value in _scheduled(cb) if isinstance(cb, ParamScheduler) else ():
            check_hyper(name, value)
    lr = None if lr is None else checked_rates(learn, "lr", lr)
    return n_epoch, lr, None if wd is None else checked_rates(learn, "wd", wd)


def _scheduled(cb):
    "Some values of a schedule's learning rate and weight decay. A class of your own may have no `scheds`."
    scheds = vars(cb).get("scheds", {})
    for name in ("lr", "wd"):
        for f in L(scheds.get(name)):
            yield from ((name, f(pos)) for pos in (0.0, 0.5, 1.0))


def checked_rates(
    learn: Learner,  # a `CharLearner`
    name: str,  # of the argument
    value: object,  # a number, a slice, or a list with a number for each parameter group
) -> float | slice | list:
    "Return a learning rate or weight decay, as the optimizer of the learner takes it."
    value = check_hyper(name, value, "" if name == "wd" else _usual_lr)
    n_groups = _n_groups(learn)
    if isinstance(value, list) and len(value) not in (1, n_groups):
        raise DataError(f"{name} has {len(value)} numbers, and the optimizer has {n_groups} parameter groups")
    return value


def _n_groups(learn):
    if learn.opt is not None:
        return len(learn.opt.hypers)
    groups = L(learn.splitter(learn.model))
    return len(groups) if groups and isinstance(groups[0], (list, L)) else 1


def checked_lr_max(
    learn: Learner,  # a `CharLearner`
    lr_max: object,  # as in `fit_one_cycle`
    div: object,
    div_final: object,
    pct_start: object,
    moms: object,
) -> float | slice | list | None:
    "Check the arguments of the schedule of `fit_one_cycle`, and return its highest rate."
    check_number("div", div, inside=True)
    check_number("div_final", div_final, inside=True)
    check_number("pct_start", pct_start, 0, 1)
    if moms is not None:
        _check_moms(moms)
    checked_rates(learn, "lr", learn.lr)
    return None if lr_max is None else checked_rates(learn, "lr_max", lr_max)


def _check_moms(moms):
    is_triple = isinstance(moms, Sequence) and len(moms) == 3
    if not (is_triple and all(isinstance(mom, Real) and 0 <= mom < 1 for mom in moms)):
        raise DataError(f"moms={shown(moms)} are not three numbers from 0 to below 1, such as (.95, .85, .95)")


def check_callbacks(
    cbs: Callback | list | None,  # callbacks of a learner or a fit, objects or classes
) -> L:  # objects
    "Return the callbacks. Raises `DataError` for what is none, and for callbacks that cannot work with characters."
    for cb in L(cbs):
        is_callback = isinstance(cb, Callback) or (isinstance(cb, type) and issubclass(cb, Callback))
        if not is_callback:
            raise DataError(f"cbs={shown(cbs)}: {shown(cb)} is not a Callback")
        if isinstance(cb, MixHandler):
            raise DataError(f"{cb} mixes inputs as numbers, and characters are indices; leave it out")
    # as fastai does
    return L(cbs).map(lambda cb: cb() if isinstance(cb, type) else cb)


def check_timed_callbacks(
    cbs: list,  # of a fit
):
    "Raise `DataError` for callbacks that cannot work under a time budget."
    for cb in cbs:
        if isinstance(cb, (ReduceLROnPlateau, ParamScheduler)):
            raise DataError(f"{cb} sets the learning rate, which follows the clock here; use learn.fit with {cb}")
        if isinstance(cb, ShowGraphCallback):
            raise DataError(f"{cb} draws on fastai's bar, which is one of seconds here; use learn.recorder.plot_loss()")


def check_what_to_predict(
    learn: Learner,  # a `CharLearner`
    ds_idx: object,  # as in `validate` and `get_preds`
    dl: object,
    cbs: object,
) -> int:  # `ds_idx`
    "Check which data is meant."
    ds_idx = check_count("ds_idx", ds_idx, 0, len(learn.dls.loaders) - 1, hint="0 is training data, 1 validation data")
    if dl is not None and not _gives_batches(dl):
        raise DataError(f"dl={shown(dl)} is not a loader; make one with learn.dls.test_dl(texts)")
    check_callbacks(cbs)
    return ds_idx


def _gives_batches(dl):
    "Whether it is a loader, or a list of batches."
    if isinstance(dl, (list, tuple)):
        return all(isinstance(batch, (list, tuple)) for batch in dl)
    return hasattr(dl, "__iter__") and not isinstance(dl, (str, bytes, np.ndarray, Tensor))
