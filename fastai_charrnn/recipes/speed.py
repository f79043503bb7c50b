"""How fast a device trains, relative to a reference machine: `measured_speed`, by which `best_recipe` chooses."""

import time
from statistics import median

import torch
import torch.nn.functional as F
from fastai.basics import default_device
from torch import Tensor

from .._memory import kept_memory
from ..callback.fp16 import fast_bf16
from ..data.base_loaders import usable_device
from ..models.build import build_model
from ..models.registry import get_arch
from .optimizer import adamw, decay_groups

__all__ = ["measured_speed", "step_seconds", "reference_rates"]

# Characters a second in training that the reference machine reads, by hidden units. It is two cores of an EPYC with
# AVX512-BF16.
reference_rates = {256: 130_000, 384: 93_000, 512: 57_000, 768: 30_000, 1024: 17_500}
_bs, _seq_len = 128, 8  # of a training step
_n_hid = 512


def measured_speed(
    device: str | torch.device | None = None,  # the device that trains; None: fastai's default
    seconds: float = 0.5,  # how long to measure, at least three groups of steps
) -> float:
    """Return how fast a device trains; 1 is two cores of an EPYC with AVX512-BF16.

    Whole training steps are timed. Raises `DataError` for a device that cannot be used."""
    device = usable_device(default_device() if device is None else device)
    return _bs * _seq_len / step_seconds(device, seconds=seconds) / reference_rates[_n_hid]


def step_seconds(
    device: torch.device,  # any that PyTorch can use
    n_hid: int = _n_hid,  # hidden units
    seconds: float = 0.5,  # how long to measure, at least three groups of steps
) -> float:
    """Return the median time of a training step of the recipes' network: `mullstm`, 128 streams of 8 characters.

    A step is forward, backward and optimizer, in bfloat16 on a CPU where that is fast, with memory as in a fit. On a
    GPU, steps are timed in groups of four, and the host waits for the device only after each group. PyTorch's random
    numbers are restored."""
    gpus = [device] if device.type == "cuda" else []
    with kept_memory(), torch.random.fork_rng(gpus):
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

    def __init__(self, device, n_hid):
        vocab_sz = 85
        dropouts = dict(output_p=0.15, hidden_p=0.05)
        config = dict(emb_sz=128, n_hid=n_hid, **dropouts)
        model = build_model(get_arch("mullstm").cls, vocab_sz, config, seq_len=None, target="every")
        self.model = model.to(device).train()
        self.opt = adamw(decay_groups(self.model), lr=1e-3)
        self.x = torch.randint(1, vocab_sz, (_bs, _seq_len), device=device)
        self.y = self.x.roll(-1, 1).flatten()
        self.is_bf16 = device.type == "cpu" and fast_bf16()
        self.n_steps = 4 if device.type == "cuda" else 1  # in a group

    def group(self):
        "Train a few steps, and wait for the device."
        for _ in range(self.n_steps):
            self._step()
        _wait_for(self.x)

    def _step(self):
        with torch.autocast(self.x.device.type, torch.bfloat16, enabled=self.is_bf16):
            out = self.model(self.x)
        F.nll_loss(out.float().flatten(0, 1), self.y).backward()
        self.opt.step()
        self.opt.zero_grad()


def _wait_for(tensor: Tensor):
    "Wait until the device of a tensor has computed all that it was given."
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
