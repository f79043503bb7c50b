"""The state of Adam in one form, whether it is that of fastai or of PyTorch: `adam_of`."""

from typing import NamedTuple

import torch
from fastai import optimizer as fastai_optimizer
from fastai.optimizer import Optimizer, OptimWrapper
from torch import Tensor

__all__ = ["AdamState", "Moments", "Rates", "adam_of"]

_ADAM_STEPS = ("average_grad", "average_sqr_grad", "step_stat", "adam_step")


class Rates(NamedTuple):
    "The hyper-parameters of a weight."

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


class FastaiAdam:
    "The state of fastai's `Adam`."

    keeps_grads = True  # whether `zero_grad` leaves gradients of zeros

    def __init__(self, opt: Optimizer):
        self.opt = opt
        self.decoupled = _name(opt.cbs[0]) == "weight_decay"

    def weights(self) -> list[tuple[Tensor, int]]:  # with the numbers of their groups
        "The weights of all groups."
        return [(p, i) for i, group in enumerate(self.opt.param_lists) for p in group]

    def rates(self) -> list[Rates]:
        "The hyper-parameters of the groups."
        names = ("lr", "mom", "sqr_mom", "eps", "wd")
        return [Rates(*(float(hyper[name]) for name in names), self.decoupled) for hyper in self.opt.hypers]

    def moments(self, p: Tensor) -> Moments | None:  # None before the first step
        "The averages of a weight."
        state = self.opt.state[p]
        return Moments(state["grad_avg"], state["sqr_avg"]) if "step" in state else None

    def decays(self, p: Tensor) -> bool:
        "Whether a weight decays. Biases and norms do not."
        return self.opt.state[p].get("do_wd", True)

    def steps(self, weights: list[Tensor]) -> list[int]:
        "The number of steps of each weight."
        return [self.opt.state[p]["step"] for p in weights]

    def advance(self, weights: list[Tensor]):
        "Count a step that was done."
        for p in weights:
            self.opt.state[p]["step"] += 1

    def count_on_device(self, weights: list[Tensor]):
        "Count a step in tensors on the device of the weights. There are none."

    def forget(self):
        "Read the numbers of steps again."


class TorchAdam:
    "The state of PyTorch's `Adam` and `AdamW` in an `OptimWrapper`."

    keeps_grads = False

    def __init__(self, opt: OptimWrapper):
        self.opt = opt.opt
        self.default_decoupled = isinstance(self.opt, torch.optim.AdamW)
        self.counts: list[int] = []

    def weights(self) -> list[tuple[Tensor, int]]:  # with the numbers of their groups
        "The weights of all groups."
        return [(p, i) for i, group in enumerate(self.opt.param_groups) for p in group["params"]]

    def rates(self) -> list[Rates]:
        "The hyper-parameters of the groups."
        return [self._rates(group) for group in self.opt.param_groups]

    def _rates(self, group):
        mom, sqr_mom = map(float, group["betas"])
        decoupled = group.get("decoupled_weight_decay", self.default_decoupled)
        return Rates(float(group["lr"]), mom, sqr_mom, float(group["eps"]), float(group["weight_decay"]), decoupled)

    def moments(self, p: Tensor) -> Moments | None:  # None before the first step
        "The averages of a weight."
        state = self.opt.state[p]
        return Moments(state["exp_avg"], state["exp_avg_sq"]) if "step" in state else None

    def decays(self, p: Tensor) -> bool:
        "Whether a weight decays, if its group does."
        return True

    def steps(self, weights: list[Tensor]) -> list[int]:
        "The number of steps of each weight. Those that are counted on a GPU are read once."
        if not self.counts:
            self.counts = [int(self.opt.state[p]["step"]) for p in weights]
        return self.counts

    def advance(self, weights: list[Tensor]):
        "Count a step that was done."
        self.counts = [n + 1 for n in self.counts]
        own = [step for p, step in self._step_tensors(weights) if step.device != p.device]
        if own:
            torch._foreach_add_(own, 1)

    def count_on_device(self, weights: list[Tensor]):
        "Count a step in tensors on the device of the weights, where PyTorch's fused and capturable Adam has them."
        own = [step for p, step in self._step_tensors(weights) if step.device == p.device]
        if own:
            torch._foreach_add_(own, 1)

    def _step_tensors(self, weights):
        return [(p, self.opt.state[p]["step"]) for p in weights]

    def forget(self):
        "Read the numbers of steps again."
        self.counts = []


AdamState = FastaiAdam | TorchAdam


def adam_of(
    opt: Optimizer | OptimWrapper,  # the optimizer of a learner
) -> AdamState | None:
    "Return the state of an optimizer, or None if it is not Adam, or a variant that `AdamStep` does not compute."
    if isinstance(opt, OptimWrapper):
        is_adam = type(opt.opt) in (torch.optim.Adam, torch.optim.AdamW)
        return TorchAdam(opt) if is_adam and not any(_is_variant(group) for group in opt.opt.param_groups) else None
    if not isinstance(opt, Optimizer) or type(opt).zero_grad is not Optimizer.zero_grad:
        return None
    names = [_name(cb) for cb in opt.cbs]
    is_adam = names[:1] in (["weight_decay"], ["l2_reg"]) and tuple(names[1:]) == _ADAM_STEPS
    return FastaiAdam(opt) if is_adam and opt.cbs[1].keywords == dict(dampening=True) else None


def _is_variant(group):
    return any(group.get(name) for name in ("amsgrad", "maximize", "differentiable"))


def _name(cb):
    "The name of a function of fastai's optimizers; an empty one for others."
    func = getattr(cb, "func", cb)
    name = getattr(func, "__name__", "")
    return name if getattr(fastai_optimizer, name, None) is func else ""
