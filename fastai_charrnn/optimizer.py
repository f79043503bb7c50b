"""`FusedAdam`: fastai's `Adam` with PyTorch's fused kernel. It is the default optimizer of `char_learner`.

    learn = char_learner(dls, opt_func=partial(FusedAdam, sqr_mom=0.999))

fastai's `Adam` makes six passes over each parameter, one parameter after another. The kernel makes one pass.
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

    CUDA graphs: on CUDA the `step` of each parameter and the learning rate of each group are tensors () on the device,
    and a step reads nothing back. After one step outside the graph, `step` can be captured. Before each replay, call
    `prepare`, which copies the learning rates to the device. A replay cannot change the numbers that `baked` returns:
    if they differ from those at the capture, capture again."""

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
        # by the number of the group
        self._device_lrs: dict[int, Tensor] = {}

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
        self.prepare()
        for k, (params, hyper) in enumerate(zip(self.param_lists, self.hypers)):
            lr = self._device_lrs[k] if k in self._device_lrs else float(hyper["lr"])
            for decays in (True, False):
                wd = float(hyper["wd"]) if decays else 0.0
                chosen = [p for p in params if p.grad is not None and self.state[p].get("do_wd", True) == decays]
                if chosen:
                    _update(kernel, chosen, [_started(p, self.state[p]) for p in chosen], hyper, lr, wd)

    def prepare(self):
        "Copy the learning rates to the device if it is a GPU. `step` calls this, except while it is captured."
        for k, (params, hyper) in enumerate(zip(self.param_lists, self.hypers)):
            if not len(params) or not params[0].is_cuda or torch.cuda.is_current_stream_capturing():
                continue
            if k not in self._device_lrs:
                self._device_lrs[k] = torch.empty((), device=params[0].device)
            self._device_lrs[k].fill_(float(hyper["lr"]))

    def baked(self) -> list[tuple]:  # one for each group
        "Return what the replay of a captured step cannot change: mom, sqr_mom, eps, wd, and which parameters train."
        return [
            (*(hyper[name] for name in ("mom", "sqr_mom", "eps", "wd")), *(p.requires_grad for p in params))
            for params, hyper in zip(self.param_lists, self.hypers)
        ]

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


def _update(kernel, params, states, hyper, lr, wd):
    "Make a step with parameters of one group that have the same weight decay."
    kernel(
        params,
        [p.grad.contiguous() for p in params],
        [state["grad_avg"] for state in states],
        [state["sqr_avg"] for state in states],
        [],
        _count(states),
        lr=lr,
        beta1=float(hyper["mom"]),
        beta2=float(hyper["sqr_mom"]),
        eps=float(hyper["eps"]),
        weight_decay=wd,
        amsgrad=False,
        maximize=False,
    )


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
