"""Validate within a given time: `validation_seconds` tells how long it takes, `validate_until` ends in time.

What is validated if the time is short is spread over the validation part: streams read the beginning of each of their
rows, which are stretches of equal length; windows and chunks are taken batch by batch from all over the text.
"""

from collections.abc import Iterator

import numpy as np
import torch
from fastai.basics import GetAttr, Learner, num_distrib, to_device
from torch import Tensor

from .._deadline import Deadline
from ..data.chunks import CharChunks
from ..data.streams import CharStreams
from ..data.window_dl import WindowDL

__all__ = ["TimedBatches", "validation_seconds", "validate_until", "validation_row"]

_golden = 0.6180339887498949  # multiples of it are spread evenly between 0 and 1, wherever they end
_measured_part = 0.01  # of the time, to measure the speed in
_min_measured, _max_measured = 0.05, 1.0  # seconds


class TimedBatches(GetAttr):
    "The batches of a validation loader until a deadline, at least `n_min`. It has all other attributes of the loader."

    _default = "dl"

    def __init__(
        self,
        dl: object,  # a loader of fastai or PyTorch
        deadline: Deadline,  # no further batch begins after it
        n_min: int = 1,  # batches that are read in any case
    ):
        self.dl = dl
        self.deadline = deadline
        self.n_min = n_min
        self.times: list[float] = []  # when each batch was done
        self.n_targets = 0  # of these batches

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for batch in _spread_batches(self.dl):
            yield batch
            y = batch[-1]
            if y.is_cuda:
                # the host is ahead of the device
                torch.cuda.synchronize(y.device)
            self.times.append(self.deadline.clock())
            self.n_targets += y.numel()
            if self.deadline.left <= 0 and len(self.times) >= self.n_min:
                return

    def __len__(self) -> int:
        return len(self.dl)

    @property
    def part(self) -> float:
        "How much of the validation part was read, from 0 to 1."
        total = getattr(getattr(self.dl, "dataset", None), "n_targets", None)
        return self.n_targets / total if total else len(self.times) / max(len(self), 1)


def _spread_batches(dl):
    "Batches whose first ones are spread over the text, where batches do not depend on each other."
    depends = not isinstance(dl, WindowDL) or _is_streams(dl.dataset)
    return iter(dl) if depends else _in_spread_order(dl)


def _is_streams(ds):
    return isinstance(ds, CharStreams) and not isinstance(ds, CharChunks)


def _in_spread_order(dl):
    n_items = len(dl.dataset)
    dl.before_iter()
    for k in spread_order(-(-n_items // dl.bs)):
        items = torch.arange(k * dl.bs, min((k + 1) * dl.bs, n_items))
        for batch in dl.create_batches(items):
            yield dl.after_batch(to_device(batch, dl.device))


def spread_order(
    n: int,  # how many numbers
) -> list[int]:  # 0 to n-1
    "An order of which any beginning is spread evenly over all numbers."
    return np.argsort(np.arange(n) * _golden % 1).tolist()


def validation_seconds(
    learn: Learner,  # a `CharLearner` in a fit
    deadline: Deadline,  # of the fit; a hundredth of the time is used for measuring
) -> float:  # 0 without a validation part
    "Estimate how long a whole validation takes, by the speed of its first batches. Several processes do not: 0."
    dl = _valid_loader(learn)
    if dl is None or num_distrib() > 1:
        return 0.0
    seconds = min(max(_measured_part * deadline.left, _min_measured), _max_measured)
    start = deadline.clock()
    batches = TimedBatches(dl, Deadline.after(seconds, deadline.clock), n_min=3)
    learn.validate(dl=batches)
    times = batches.times
    if len(times) < 3:
        return deadline.clock() - start
    # the first batch loads libraries and chooses kernels
    return (times[-1] - times[0]) / (len(times) - 1) * len(dl)


def _valid_loader(learn):
    "The validation loader, or None if there is nothing to validate on."
    loaders = learn.dls.loaders
    return loaders[1] if len(loaders) > 1 and len(loaders[1]) else None


def validate_until(
    learn: Learner,  # a `CharLearner`
    deadline: Deadline,  # when to end
) -> tuple[list[float], float]:  # loss and metrics, and the part of the validation characters that was read
    "Validate, on a part if the time is short. With several processes, which must read the same batches, on all."
    dl = _valid_loader(learn)
    if dl is None or num_distrib() > 1:
        return learn.validate(), 1.0
    batches = TimedBatches(dl, deadline)
    values = learn.validate(dl=batches)
    return values, batches.part


def validation_row(
    learn: Learner,  # a `CharLearner` after a fit
    deadline: Deadline,  # when to end
) -> dict[str, float]:  # `valid_loss` and the metrics by name, and `valid_part` if a part was validated
    "Validate after a fit without output. Keep the record of the fit, which a validation clears."
    recorder = learn.recorder
    record = {name: getattr(recorder, name) for name in ("lrs", "losses", "iters", "values")}
    with learn.no_bar(), learn.no_logging():
        values, part = validate_until(learn, deadline)
    vars(recorder).update(record)
    names = ["valid_loss", *learn.metrics.attrgot("name")]
    return dict(zip(names, map(float, values))) | ({"valid_part": part} if part < 1 else {})
