"""How fast a device trains, relative to a reference machine: `measured_speed`, by which `best_recipe` chooses."""

import time
from statistics import median

import torch
import torch.nn.functional as F
from fastai.basics import default_device
from torch import Tensor

from ..callback.fp16 import fast_bf16, time_product
from ..data.base_loaders import usable_device
from ..models.build import build_model
from ..models.registry import get_arch
from .optimizer import adamw, decay_groups

__all__ = ["measured_speed", "step_seconds"]

# The reference machine is two cores of an EPYC with AVX512-BF16. It computes the recurrent product of 512 units in
# this time …
_reference_product = 1.3e-4
# … and trains an epoch of `mullstm` with 768 units, 528 steps, in 18 seconds (results/LEADERBOARD.md).
_reference_step = 0.034


def measured_speed(
    device: str | torch.device | None = None,  # the device that trains; None: fastai's default
    seconds: float = 0.5,  # how long to measure, about
) -> float:
    """Return how fast a device trains; 1 is two cores of an EPYC with AVX512-BF16.

    A CPU spends its time in matrix products, so one product is timed, again and again, and the shortest time counts:
    other programs that run for a moment do not matter. A GPU is limited by the start of its kernels, and no single
    operation predicts that, so whole training steps are timed and the median counts.
    Raises `DataError` for a device that cannot be used."""
    device = usable_device(default_device() if device is None else device)
    if device.type == "cuda":
        return _reference_step / step_seconds(device, seconds=seconds)
    dtype = torch.bfloat16 if fast_bf16() else torch.float32
    return _reference_product / time_product(dtype, 32, 50, seconds=seconds)


def step_seconds(
    device: torch.device,  # any that PyTorch can use
    n_hid: int = 768,  # hidden units
    seconds: float = 0.5,  # how long to measure, at least three groups of steps
) -> float:
    """Return the median time of a training step of the recipes' network: `mullstm`, 32 streams of 32 characters.

    A step is forward, backward and optimizer. Steps are timed in groups of four, and the host waits for the device
    only after each group. PyTorch's random numbers are restored."""
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(gpus):
        step = _TrainingStep(device, n_hid)
        times = []
        # the first group warms up: libraries are loaded, memory is reserved
        step.group()
        end = time.perf_counter() + seconds
        while len(times) < 3 or time.perf_counter() < end:
            start = time.perf_counter()
            step.group()
            times.append((time.perf_counter() - start) / step.n_steps)
    return median(times)


class _TrainingStep:
    "Training steps on random characters, without a loader or callbacks."

    n_steps = 4  # in a group

    def __init__(self, device, n_hid):
        vocab_sz = 85
        dropouts = dict(output_p=0.15, hidden_p=0.05)
        config = dict(emb_sz=128, n_hid=n_hid, **dropouts)
        model = build_model(get_arch("mullstm").cls, vocab_sz, config, seq_len=None, target="every")
        self.model = model.to(device).train()
        self.opt = adamw(decay_groups(self.model), lr=1e-3)
        self.x = torch.randint(1, vocab_sz, (32, 32), device=device)
        self.y = self.x.roll(-1, 1).flatten()

    def group(self):
        "Train a few steps, and wait for the device."
        for _ in range(self.n_steps):
            self._step()
        _wait_for(self.x)

    def _step(self):
        loss = F.nll_loss(self.model(self.x).flatten(0, 1), self.y)
        loss.backward()
        self.opt.step()
        self.opt.zero_grad()


def _wait_for(tensor: Tensor):
    "Wait until the device of a tensor has computed all that it was given."
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
