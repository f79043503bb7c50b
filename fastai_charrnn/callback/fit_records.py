"""What describes a fit, so that a resumed training can be compared with the one of the checkpoint: `fit_record`.

`check_same_fit` raises `ResumeError` and names each difference.
"""

import hashlib

import numpy as np
import torch
from fastai.basics import Callback, L, Learner
from fastai.callback.schedule import LRFinder, ParamScheduler

from .._printable import printable
from .._utils import unwrap_model
from ..data.protocol import batch_size, data_info
from ..errors import ResumeError
from ..state.callbacks import constructor_values, only_shows
from ..state.objects import encode_attributes
from .arguments import check_callbacks

__all__ = ["fit_record", "check_same_fit", "finds_rate"]

# parts of a fit at which schedules are compared
_PARTS = (0.0, 0.1, 0.5, 0.9)


def finds_rate(
    cbs: Callback | list | None,  # the callbacks that were passed to a fit
) -> bool:
    "Whether a fit is the mock training of `lr_find`."
    return any(isinstance(cb, LRFinder) for cb in L(cbs))


def fit_record(
    learn: Learner,  # a learner that is about to fit
    n_epoch: int,  # epochs of the fit
    lr: object,  # learning rate as passed to the fit
    wd: object,  # weight decay as passed to the fit
    cbs: Callback | list | None,  # the callbacks that were passed to the fit
) -> dict:  # of the types of JSON
    "Describe a fit by everything that its result depends on, except for the weights."
    cbs = check_callbacks(cbs)
    own = [cb for cb in cbs if not only_shows(cb)]
    return {
        "epochs": int(n_epoch),
        "batches in an epoch": len(learn.dls.train),
        "batch size": batch_size(learn.dls.train),
        "vocabulary": _digest("".join(map(str, learn.dls.vocab)).encode("utf-8", "surrogatepass")),
        "text": _text(learn.dls),
        "model": _model(learn),
        "loss": type(learn.loss_func).__name__,
        "optimizer": _optimizer(learn.opt_func),
        "learning rate": _numbers(learn.lr if lr is None else lr),
        "weight decay": _numbers(learn.wd if wd is None else wd),
        "callbacks": sorted(cb.name for cb in learn.cbs + cbs if not only_shows(cb)),
        "arguments of callbacks": {cb.name: _arguments(cb) for cb in own},
        "schedule": {cb.name: _schedule(cb) for cb in own if isinstance(cb, ParamScheduler)},
    }


def check_same_fit(
    number: int,  # of the fit among those of the learner, from 1
    saved: dict,  # its record in the checkpoint
    now: dict,  # its record in this program
):
    "Raise `ResumeError` if two records differ, and name the differences."
    details = "; ".join(_differences(saved, now))
    if not details:
        return
    raise ResumeError(
        f"fit {number} differs from fit {number} of the checkpoint ({details}); call the fits with the same data, "
        "model and arguments as before, or train without learn.resume"
    )


def _digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def _text(dls):
    "How the training data was made, with a checksum of the text or of a sample of it."
    info = {key: _numbers(value) for key, value in data_info(dls).items()}
    ids = getattr(getattr(dls.train, "dataset", None), "ids", None)
    # datasets of other libraries may call tensors so
    if "digest" not in info and hasattr(ids, "index_device"):
        info["sample"] = _sample(ids)
    return info | {"seq_len": dls.seq_len, "mode": dls.mode}


def _sample(ids):
    "A checksum of some stretches of a text on disk, which is too long to read as a whole."
    k = min(64, len(ids))
    starts = torch.linspace(0, len(ids) - k, 64, dtype=torch.float64).long().to(ids.index_device)
    stretches = [stretch.cpu().to(torch.int32) for stretch in ids.gather(starts, k, 64)]
    return _digest(torch.cat(stretches).numpy().tobytes())


def _model(learn):
    model = unwrap_model(learn.model)
    shapes = {name: list(p.shape) for name, p in model.named_parameters()}
    config = encode_attributes(dict(learn.arch_config), {}, "config")
    return {"class": type(model).__name__, "config": config, "weights": shapes}


def _optimizer(opt_func):
    func = getattr(opt_func, "func", opt_func)
    return getattr(func, "__name__", type(func).__name__)


def _arguments(cb):
    "The arguments of a callback that are plain values."
    values = {k: v for k, v in constructor_values(cb).items() if isinstance(v, (bool, int, float, str, np.number))}
    return {k: _numbers(v) for k, v in sorted(values.items())}


def _schedule(cb):
    "The values of a schedule at some parts of the fit."
    return {name: [_numbers(f(part)) for part in _PARTS] for name, f in cb.scheds.items() if callable(f)}


def _numbers(value):
    "A value with plain numbers and lists only, as JSON returns it."
    if isinstance(value, slice):
        return {"slice": [_numbers(value.start), _numbers(value.stop)]}
    if isinstance(value, dict):
        return {str(key): _numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, L)):
        return [_numbers(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
        return value.tolist()
    return value if value is None or isinstance(value, (bool, int, float, str)) else type(value).__name__


def _differences(saved, now, name=""):
    "Describe in what two values differ, part by part."
    if isinstance(saved, dict) and isinstance(now, dict):
        for key in [key for key in now if key in saved]:
            yield from _differences(saved[key], now[key], f"{name} {key}".strip())
    elif isinstance(saved, list) and isinstance(now, list) and all(isinstance(v, str) for v in saved + now):
        yield from (f"{name}: {v} is missing" for v in saved if v not in now)
        yield from (f"{name}: {v} was not there" for v in now if v not in saved)
    elif saved != now:
        yield f"{name}: {_shown(saved)} then, {_shown(now)} now"


def _shown(value):
    return printable(str(value), max_len=60)
