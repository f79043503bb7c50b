"""`FusedAdam`: fastai's `Adam` with PyTorch's fused kernel. It is the default optimizer of `char_learner`.

    learn = char_learner(dls, opt_func=partial(FusedAdam, sqr_mom=0.999))

fastai's `Adam` makes six passes over each parameter, one parameter after another. The kernel makes one pass over all.
"""

from collections.abc import Callable

import torch
from fastai.optimizer import Adam, Optimizer, weight_decay
from torch import Tensor

__all__ = ["FusedAdam"]

# The kernels of `torch.optim.Adam(fused=True)` and of AdamW. None in a PyTorch without them.
_fused_adam: Callable | None = getattr(torch, "_fused_adam_", None)
_fused_adamw: Callable | None = getattr(torch, "_fused_adamw_", None)


class FusedAdam(Optimizer):
    """fastai's `Adam`, with the same hyper-parameters and state, and the same results to rounding.

    Each can load the `state_dict` of the other. There is one difference: as in PyTorch, `zero_grad` drops the
    gradients, and a parameter without a gradient does not move. fastai's keeps zeros, so a parameter that was frozen
    after training still decays and is moved by its momentum.

    fastai's own steps are taken if you change `cbs`, or if a parameter is not a dense tensor of float32 or float64 on
    a CPU or on CUDA.

    On CUDA the number of steps of each parameter is a tensor () on the device, so no step waits for the device."""

    def __init__(
        self,
        params,  # parameters, or a list of groups of parameters
        lr: float | slice,  # learning rate
        mom: float = 0.9,  # decay of the mean of gradients (β1)
        sqr_mom: float = 0.99,  # decay of the mean of squared gradients (β2)
        eps: float = 1e-5,  # added to the root of the mean of squares
        wd: float = 0.01,  # weight decay
        decouple_wd: bool = True,  # whether weights decay directly (AdamW), or by a part of their gradients
    ):
        params = list(params)
        cbs = Adam(params, lr, decouple_wd=decouple_wd).cbs
        super().__init__(params, cbs, lr=lr, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd)
        self._adam_cbs = list(cbs)

    def zero_grad(self):
        "Drop the gradients."
        for params in self.param_lists:
            for p in params:
                p.grad = None

    @torch.no_grad()
    def step(self, closure=None):
        kernel = _fused_adamw if self._adam_cbs[0] is weight_decay else _fused_adam
        if closure is not None or kernel is None or not self._can_fuse():
            super().step(closure)
            return
        for (lr, mom, sqr_mom, eps, wd, *_), batch in self._batches().items():
            params, states = zip(*batch)
            kernel(
                params,
                [p.grad.contiguous() for p in params],
                [state["grad_avg"] for state in states],
                [state["sqr_avg"] for state in states],
                [],
                _count(states),
                lr=lr,
                beta1=mom,
                beta2=sqr_mom,
                eps=eps,
                weight_decay=wd,
                amsgrad=False,
                maximize=False,
            )

    def _batches(self):
        "Parameters with gradients and their states, for each call of the kernel, by what it needs to be equal."
        batches: dict[tuple, list] = {}
        for params, hyper in zip(self.param_lists, self.hypers):
            hypers = tuple(float(hyper[name]) for name in ("lr", "mom", "sqr_mom", "eps"))
            wd = float(hyper["wd"])
            for p in params:
                if p.grad is not None:
                    state = self.state[p]
                    key = (*hypers, wd if state.get("do_wd", True) else 0.0, p.device, p.dtype)
                    batches.setdefault(key, []).append((p, _started(p, state)))
        return batches

    def _can_fuse(self):
        "Whether the steps are still those of `Adam`, and the kernel can take all parameters."
        if len(self.cbs) != len(self._adam_cbs) or any(a is not b for a, b in zip(self.cbs, self._adam_cbs)):
            return False
        return all(_fits(p) for params in self.param_lists for p in params if p.grad is not None)


def _fits(p):
    # the kernel for CPUs takes all tensors as if they were contiguous
    is_known = p.device.type in ("cpu", "cuda") and p.dtype in (torch.float32, torch.float64)
    return is_known and p.layout is torch.strided and p.is_contiguous() and p.grad.layout is torch.strided


def _started(p, state):
    "The state of a parameter. Before its first step: means of zero. `step` is a number on a CPU, a tensor on CUDA."
    step = state.get("step", 0)
    for name in ("grad_avg", "sqr_avg"):
        if name not in state:
            state[name] = torch.zeros_like(p)
        elif not state[name].is_contiguous():
            state[name] = state[name].contiguous()
    if p.is_cuda:
        is_tensor = isinstance(step, Tensor) and step.is_cuda
        state["step"] = step if is_tensor else torch.tensor(float(step), device=p.device)
    else:
        state["step"] = int(step)
    return state


def _count(states):
    "Count the step in all states. Returns the counts as tensors."
    steps = [state["step"] for state in states]
    if isinstance(steps[0], Tensor):
        torch._foreach_add_(steps, 1)
        return steps
    counts: dict[int, Tensor] = {}
    for state in states:
        state["step"] += 1
        counts.setdefault(state["step"], torch.tensor(float(state["step"])))
    return [counts[state["step"]] for state in states]
