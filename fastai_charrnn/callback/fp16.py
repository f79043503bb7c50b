"""Mixed precision on whatever device the data are: bf16 on CPUs too, where fastai's own callback asks for CUDA and else computes in 32 bits.

learn.to_bf16().fit_one_cycle(4, 5e-3)     # `learn.to_fp32()` ends it
"""

import torch
from fastai.basics import L
from fastai.callback.fp16 import AMPMode, MixedPrecision
from torch.amp import GradScaler, autocast

from ..errors import DataError

__all__ = ["to_bf16", "to_fp16", "DeviceMixedPrecision"]


class DeviceMixedPrecision(MixedPrecision):
    "fastai's `MixedPrecision` on CUDA, and bf16 on CPUs. Raises `DataError` for fp16 on a CPU before training."

    name = "mixed_precision"

    def before_fit(self):
        device = self.dls.device.type
        if device == "cuda":
            return super().before_fit()
        if self.amp_mode is AMPMode.FP16:
            _only_on_cuda(device)
        self.autocast = autocast(device, dtype=torch.bfloat16)
        self.learn.scaler = GradScaler(device, enabled=False)
        self.scales = L()


def _only_on_cuda(device):
    raise DataError(f"fp16 needs a CUDA device and the data are on {device!r}; use learn.to_bf16(), or learn.to_fp32()")


def to_bf16(self):
    "Compute products in bfloat16 from now on, on any device; weights, sums and losses stay in 32 bits."
    return self.add_cb(DeviceMixedPrecision(AMPMode.BF16))


def to_fp16(
    self,
    **kwargs,  # as `torch.amp.GradScaler`
):
    "Compute products in float16 from now on, with scaled losses. CUDA only: elsewhere it raises `DataError`."
    if self.dls.device.type != "cuda":
        _only_on_cuda(self.dls.device.type)
    return self.add_cb(DeviceMixedPrecision(AMPMode.FP16, **kwargs))
