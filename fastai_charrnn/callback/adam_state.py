"""The state of Adam in one form, whether fastai's, PyTorch's or `FusedAdam` keeps it: `adam_of`."""

from typing import NamedTuple

import torch
from fastai import optimizer as fastai_optimizer
from fastai.optimizer import Optimizer, OptimWrapper
from torch import Tensor

from ..optimizer import FusedAdam

__all__ = ["AdamState", "Moments", "Rates", "adam_of"]

_ADAM_STEPS = ["average_grad", "average_sqr_grad", "step_stat", "adam_step"]


class Rates(NamedTuple):
    "The hyper-parameters of a group of weights."

    lr: float
    mom: float
    sqr_mom: float
    eps: float
    wd: float
    decoupled: bool  # whether weights decay by themselves (AdamW), or by their gradients (L2)


class Moments(NamedTuple):
    "The averages that Adam keeps for a weight, of its shape."

    avg: Tensor  # of its gradients
    sqr_avg: Tensor  # of their squares


class AdamState:
    """The state of `FusedAdam` and of fastai's `Adam`.

    Numbers of steps that are tensors are read once, and counted here too, so that no step waits for the device."""

    names = ("grad_avg", "sqr_avg")

    def __init__(self, opt: Optimizer):
        self.opt = opt
        self.keeps_grads = not isinstance(opt, FusedAdam)  # whether `zero_grad` leaves gradients of zeros
        # all weights, with the numbers of their groups
        self.weights = [(p, i) for i, group in enumerate(opt.param_lists) for p in group]
        self.forget()

    def rates(self) -> list[Rates]:
        "Return the hyper-parameters of the groups."
        names = ("lr", "mom", "sqr_mom", "eps", "wd")
        decoupled = _name(self.opt.cbs[0]) == "weight_decay"
        return [Rates(*(float(hyper[name]) for name in names), decoupled) for hyper in self.opt.hypers]

    def decays(self, p: Tensor) -> bool:
        "Whether a weight decays. Biases and norms do not."
        return self.opt.state[p].get("do_wd", True)

    def moments(self, p: Tensor) -> Moments | None:  # None before the first step
        "Return the averages of a weight."
        state = self.opt.state[p]
        avg, sqr_avg = self.names
        return Moments(state[avg], state[sqr_avg]) if "step" in state else None

    def steps(self, weights: list[Tensor]) -> list[int]:
        "Return the number of steps of each weight."
        if self.counts is None:
            self.counts = [int(self.opt.state[p]["step"]) for p in weights]
        return self.counts

    def forget(self):
        "Read the numbers of steps again, because a step was made elsewhere."
        self.counts: list[int] | None = None

    def advance(self, weights: list[Tensor]):
        "Count a step that was done, in numbers and in tensors on the CPU."
        self.counts = [n + 1 for n in self.steps(weights)]
        tensors = []
        for p, n in zip(weights, self.counts):
            step = self.opt.state[p]["step"]
            if not isinstance(step, Tensor):
                self.opt.state[p]["step"] = n
            elif step.device != p.device:
                tensors.append(step)
        if tensors:
            torch._foreach_add_(tensors, 1)

    def count_on_device(self, weights: list[Tensor]):
        "Count a step in tensors on the device of the weights, where fused and capturable steps have them."
        steps = [(p, self.opt.state[p]["step"]) for p in weights]
        tensors = [step for p, step in steps if isinstance(step, Tensor) and step.device == p.device]
        if tensors:
            torch._foreach_add_(tensors, 1)


class TorchAdamState(AdamState):
    "The state of PyTorch's `Adam` and `AdamW` in an `OptimWrapper`."

    names = ("exp_avg", "exp_avg_sq")

    def __init__(self, opt: OptimWrapper):
        self.opt = opt.opt
        self.keeps_grads = False
        self.weights = [(p, i) for i, group in enumerate(self.opt.param_groups) for p in group["params"]]
        self.forget()

    def rates(self):
        return [self._rates(group) for group in self.opt.param_groups]

    def _rates(self, group):
        mom, sqr_mom = map(float, group["betas"])
        decoupled = group.get("decoupled_weight_decay", isinstance(self.opt, torch.optim.AdamW))
        return Rates(float(group["lr"]), mom, sqr_mom, float(group["eps"]), float(group["weight_decay"]), decoupled)

    def decays(self, p):
        return True


def adam_of(
    opt: Optimizer | OptimWrapper,  # the optimizer of a learner
) -> AdamState | None:
    "Return the state of an optimizer, or None if it is not Adam, or of a variant with another formula."
    if isinstance(opt, OptimWrapper):
        is_adam = type(opt.opt) in (torch.optim.Adam, torch.optim.AdamW)
        return TorchAdamState(opt) if is_adam and not any(map(_is_variant, opt.opt.param_groups)) else None
    if type(opt) not in (Optimizer, FusedAdam):
        return None
    names = [_name(cb) for cb in opt.cbs]
    is_adam = names[:1] in (["weight_decay"], ["l2_reg"]) and names[1:] == _ADAM_STEPS
    return AdamState(opt) if is_adam and opt.cbs[1].keywords == dict(dampening=True) else None


def _is_variant(group):
    return any(group.get(name) for name in ("amsgrad", "maximize", "differentiable"))


def _name(cb):
    "The name of a function of fastai's optimizers; an empty one for others."
    func = getattr(cb, "func", cb)
    name = getattr(func, "__name__", "")
    return name if getattr(fastai_optimizer, name, None) is func else ""
