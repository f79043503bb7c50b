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
    decays: bool
    decoupled: bool


class _Changing(NamedTuple):
    "The numbers that differ at every step: floats, or tensors () on the device."

    mom: float | Tensor
    rest: float | Tensor  # 1 - mom
    decay: float | Tensor  # the factor of the weights, or for L2 the part of them that is added to the gradients
    sqr_scale: float | Tensor  # corrects the average of squares for its start at 0
    size: float | Tensor  # the negative learning rate, with the same correction for the average


class _Part(NamedTuple):
    "Weights that take equal steps."

    places: list[int]  # in the list of weights
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
        group_of = {p: i for p, i in adam.weights()}
        self.keys = [(group_of[p], adam.decays(p)) for p in self.weights]
        alike: dict[tuple, list[int]] = {}
        for i, numbers in enumerate(self._numbers()):
            alike.setdefault(numbers, []).append(i)
        first = self.weights[0]
        self.values = first.new_zeros(len(alike), 5)
        self.parts = []
        for row, (numbers, places) in zip(self.values, alike.items()):
            moments = [adam.moments(self.weights[i]) for i in places]
            self.parts.append(_Part(places, _fixed(numbers), moments, _Changing(*row.unbind())))

    def _numbers(self):
        "The hyper-parameters and the number of steps of each weight."
        rates = [(r, r._replace(wd=0.0)) for r in self.adam.rates()]
        steps = self.adam.steps(self.weights)
        return [(rates[group][not decays], n) for (group, decays), n in zip(self.keys, steps)]

    def load(self) -> bool:
        "Write the numbers of the next step to the device. False: constants differ, or weights are no longer alike."
        numbers = self._numbers()
        rows = []
        for part in self.parts:
            first = numbers[part.places[0]]
            if _fixed(first) != part.fixed or any(numbers[i] != first for i in part.places):
                return False
            rows.append(_changing(*first))
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
        for part in self.parts:
            weights = [self.weights[i] for i in part.places]
            _step(weights, [grads[i] for i in part.places], part)
        self.adam.count_on_device(self.weights)


def _fixed(numbers):
    rates, _ = numbers
    return _Fixed(rates.sqr_mom, rates.eps, rates.wd != 0, rates.decoupled)


def _changing(rates, n_steps):
    "The numbers of the step after `n_steps` ones."
    n = n_steps + 1
    decay = 1 - rates.lr * rates.wd if rates.decoupled else rates.wd
    sqr_scale = 1 / (1 - rates.sqr_mom**n)
    return _Changing(rates.mom, 1 - rates.mom, decay, sqr_scale, -rates.lr / (1 - rates.mom**n))


def _step(weights, grads, part):
    "The formula of fastai's and PyTorch's Adam, a line for one kernel over all weights."
    fixed, values = part.fixed, part.values
    avgs = [moments.avg for moments in part.moments]
    sqr_avgs = [moments.sqr_avg for moments in part.moments]
    if fixed.decays and fixed.decoupled:
        torch._foreach_mul_(weights, values.decay)
    elif fixed.decays:
        grads = torch._foreach_add(grads, torch._foreach_mul(weights, values.decay))
    torch._foreach_mul_(avgs, values.mom)
    torch._foreach_add_(avgs, torch._foreach_mul(grads, values.rest))
    torch._foreach_mul_(sqr_avgs, fixed.sqr_mom)
    torch._foreach_addcmul_(sqr_avgs, grads, grads, 1 - fixed.sqr_mom)
    roots = torch._foreach_mul(sqr_avgs, values.sqr_scale)
    torch._foreach_sqrt_(roots)
    torch._foreach_add_(roots, fixed.eps)
    torch._foreach_addcdiv_(weights, torch._foreach_mul(avgs, values.size), roots)
