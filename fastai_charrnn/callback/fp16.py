"""Mixed precision on every device: matrix products in 16 bits, weights, sums and losses in 32.

    learn.to_bf16().fit_one_cycle(4, 5e-3)
    learn.to_fp32()     # back to 32 bits

`fast_bf16` measures whether bfloat16 pays on this machine's CPU.
"""

import time

import torch
from fastai.basics import L
from fastai.callback.fp16 import AMPMode, MixedPrecision
from torch.amp import GradScaler, autocast

from ..errors import DataError

__all__ = ["to_bf16", "to_fp16", "DeviceMixedPrecision", "fast_bf16"]

_fast_bf16: bool | None = None


# fastai's `MixedPrecision` asks for CUDA whatever the device of the data is; on a CPU PyTorch then warns and computes
# in 32 bits.
class DeviceMixedPrecision(MixedPrecision):
    "fastai's `MixedPrecision`, which also works in bf16 on CPUs. Raises `DataError` for fp16 on a CPU."

    name = "mixed_precision"

    def before_fit(self):
        device = self.dls.device.type
        if device == "cuda":
            return super().before_fit()
        if self.amp_mode is AMPMode.FP16:
            _raise_needs_cuda(device)
        self.autocast = autocast(device, dtype=torch.bfloat16)
        self.learn.scaler = GradScaler(device, enabled=False)
        self.scales = L()


def _raise_needs_cuda(device):
    raise DataError(f"fp16 needs a CUDA device and the data are on {device!r}; use learn.to_bf16(), or learn.to_fp32()")


def to_bf16(self):
    "Train with matrix products in bfloat16, on any device."
    return self.add_cb(DeviceMixedPrecision(AMPMode.BF16))


def to_fp16(
    self,
    **kwargs,  # as `torch.amp.GradScaler`
):
    "Train with matrix products in float16 and scaled losses. Raises `DataError` unless the data are on CUDA."
    if self.dls.device.type != "cuda":
        _raise_needs_cuda(self.dls.device.type)
    return self.add_cb(DeviceMixedPrecision(AMPMode.FP16, **kwargs))


def fast_bf16() -> bool:
    "Whether this CPU multiplies at least 1.5 times as fast in bfloat16 as in float32. Measured once, in milliseconds."
    global _fast_bf16
    if _fast_bf16 is None:
        _fast_bf16 = 1.5 * time_product(torch.bfloat16) < time_product(torch.float32)
    return _fast_bf16


def time_product(
    dtype: torch.dtype,  # of the factors
    rows: int = 64,  # rows of a batch
    turns: int = 12,  # how often to multiply
) -> float:  # seconds
    "The shortest time of a recurrent product of 512 units on the CPU."
    a = torch.ones(rows, 512, dtype=dtype)
    b = torch.ones(512, 2048, dtype=dtype)
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return min(times)
