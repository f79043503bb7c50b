"""A step of Adam whose learning rate and momentum are tensors, so a CUDA graph that holds it follows a schedule."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from .adam_state import AdamState, Moments

__all__ = ["AdamStep"]


class _Fixed(NamedTuple):
    "The numbers that are constants of a graph."

    sqr_mom: float
    eps: float
    has_wd: bool
    decoupled: bool  # whether weights decay by themselves, or by their gradients


class _Changing(NamedTuple):
    "The numbers that differ at every step: floats, or tensors () on the device."

    mom: float | Tensor
    rest: float | Tensor  # 1 - mom
    sqr_scale: float | Tensor  # corrects the average of squares for its start at 0
    size: float | Tensor  # the negative learning rate, with the same correction for the average
    decay: float | Tensor  # the factor of the weights, or with L2 the part of them that is added to the gradients


class _Part(NamedTuple):
    "Weights that take equal steps."

    places: list[int]  # in the list of weights
    decaying: list[int]  # those that decay
    fixed: _Fixed
    moments: list[Moments]
    values: _Changing


class AdamStep:
    """A step of Adam or AdamW (Kingma & Ba 2015; Loshchilov & Hutter 2019) for chosen weights.

    `load` writes the numbers of the next step into a tensor on the device, and `run` computes the step from it, without
    anything that the host has to wait for. Weights of equal numbers are computed together."""

    def __init__(
        self,
        adam: AdamState,  # the state
        weights: Iterable[Tensor],  # those with a gradient; each has made a step before
    ):
        self.adam = adam
        self.weights = list(weights)
        group_of = {p: i for p, i in adam.weights}
        self.groups = [group_of[p] for p in self.weights]
        self.decays = [adam.decays(p) for p in self.weights]
        alike: dict[tuple, list[int]] = {}
        for i, numbers in enumerate(self._numbers()):
            alike.setdefault(numbers, []).append(i)
        self.values = self.weights[0].new_zeros(len(alike), len(_Changing._fields))
        self.parts = [self._part(*numbers, i, row) for (numbers, i), row in zip(alike.items(), self.values)]

    def _part(self, rates, n_steps, places, row):
        decaying = [i for i in places if self.decays[i]] if rates.wd else []
        moments = [self.adam.moments(self.weights[i]) for i in places]
        return _Part(places, decaying, _fixed(rates), moments, _Changing(*row.unbind()))

    def _numbers(self):
        "The hyper-parameters and the number of steps of each weight."
        rates = self.adam.rates()
        return list(zip([rates[i] for i in self.groups], self.adam.steps(self.weights)))

    def load(self) -> bool:
        "Write the numbers of the next step to the device. False: constants differ, or weights are no longer alike."
        numbers = self._numbers()
        rows = []
        for part in self.parts:
            rates, n_steps = numbers[part.places[0]]
            if _fixed(rates) != part.fixed or any(numbers[i] != (rates, n_steps) for i in part.places):
                return False
            rows.append(_changing(rates, n_steps + 1))
        # pinned memory is copied without waiting, and is not used again before it is copied
        host = torch.tensor(rows, dtype=self.values.dtype, pin_memory=self.values.is_cuda)
        self.values.copy_(host, non_blocking=True)
        return True

    @torch.no_grad()
    def run(
        self,
        grads: list[Tensor],  # of the weights
    ):
        "Make the step."
        grads = list(grads)
        for part in self.parts:
            if part.decaying:
                self._decay(part, grads)
            _step([self.weights[i] for i in part.places], [grads[i] for i in part.places], part)
        self.adam.count_on_device(self.weights)

    def _decay(self, part, grads):
        weights = [self.weights[i] for i in part.decaying]
        if part.fixed.decoupled:
            torch._foreach_mul_(weights, part.values.decay)
            return
        sums = torch._foreach_add([grads[i] for i in part.decaying], torch._foreach_mul(weights, part.values.decay))
        for i, grad in zip(part.decaying, sums):
            grads[i] = grad


def _fixed(rates):
    return _Fixed(rates.sqr_mom, rates.eps, rates.wd != 0, rates.decoupled)


def _changing(rates, n):
    "The numbers of the `n`-th step, from 1."
    decay = 1 - rates.lr * rates.wd if rates.decoupled else rates.wd
    size = -rates.lr / (1 - rates.mom**n)
    return _Changing(rates.mom, 1 - rates.mom, 1 / (1 - rates.sqr_mom**n), size, decay)


def _step(weights, grads, part):
    "The formula of fastai's and PyTorch's Adam, a line for one or two kernels over all weights."
    fixed, values = part.fixed, part.values
    avgs = [moments.avg for moments in part.moments]
    sqr_avgs = [moments.sqr_avg for moments in part.moments]
    torch._foreach_mul_(avgs, values.mom)
    torch._foreach_add_(avgs, torch._foreach_mul(grads, values.rest))
    torch._foreach_mul_(sqr_avgs, fixed.sqr_mom)
    torch._foreach_addcmul_(sqr_avgs, grads, grads, 1 - fixed.sqr_mom)
    roots = torch._foreach_mul(sqr_avgs, values.sqr_scale)
    torch._foreach_sqrt_(roots)
    torch._foreach_add_(roots, fixed.eps)
    torch._foreach_addcdiv_(weights, torch._foreach_mul(avgs, values.size), roots)
