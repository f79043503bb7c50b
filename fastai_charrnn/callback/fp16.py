"""Mixed precision on every device: matrix products in 16 bits, weights, sums and losses in 32.

    learn.to_bf16().fit_one_cycle(4, 5e-3)
    learn.to_fp32()     # back to 32 bits

`fast_bf16` measures whether bfloat16 pays on this machine's CPU.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from fastai.basics import L
from fastai.callback.fp16 import AMPMode, MixedPrecision
from torch.amp import GradScaler, autocast

from ..errors import DataError

__all__ = ["to_bf16", "to_fp16", "DeviceMixedPrecision", "fast_bf16", "autocast_restored"]

_fast_bf16: bool | None = None


# fastai's `MixedPrecision` asks for CUDA whatever the device of the data is; on a CPU PyTorch then warns and computes
# in 32 bits.
class DeviceMixedPrecision(MixedPrecision):
    """fastai's `MixedPrecision`, which also works in bf16 on CPUs. Raises `DataError` for fp16 on a CPU.

    Autocast is also off after a batch that a callback cancels, where fastai leaves it on."""

    name = "mixed_precision"
    autocast = None
    # whether autocast is on for the current batch
    entered = False

    def __init__(
        self,
        amp_mode: AMPMode = AMPMode.FP16,
        training_only: bool = False,  # whether to validate in 32 bits, as it is done after the fit
        **kwargs,  # as `torch.amp.GradScaler`
    ):
        super().__init__(amp_mode, **kwargs)
        self.training_only = training_only

    def before_fit(self):
        device = self.dls.device.type
        if device == "cuda":
            return super().before_fit()
        if self.amp_mode is AMPMode.FP16:
            _raise_needs_cuda(device)
        self.autocast = autocast(device, dtype=torch.bfloat16)
        self.learn.scaler = GradScaler(device, enabled=False)
        self.scales = L()

    def before_batch(self):
        self._leave()
        if self.training or not self.training_only:
            self.autocast.__enter__()
            self.entered = True

    def after_loss(self):
        self._leave()

    def after_cancel_batch(self):
        self._leave()

    def after_cancel_train(self):
        self._leave()

    def after_cancel_validate(self):
        self._leave()

    def after_cancel_epoch(self):
        self._leave()

    def after_fit(self):
        self._leave()
        super().after_fit()

    def after_error(self):
        "Turn autocast off after an error in a batch."
        self.after_fit()

    def _leave(self):
        if self.entered:
            self.entered = False
            self.autocast.__exit__(None, None, None)


@contextmanager
def autocast_restored() -> Iterator[None]:
    """Restore autocast of this thread at the end of the block, however it ends.

    An interrupt may arrive within PyTorch's own `autocast.__enter__`, so nobody would call `__exit__`."""
    before = [(o, torch.is_autocast_enabled(o), torch.get_autocast_dtype(o)) for o in ("cpu", "cuda")]
    cached = torch.is_autocast_cache_enabled()
    depth = _autocast_depth()
    try:
        yield
    finally:
        for device, enabled, dtype in before:
            torch.set_autocast_enabled(device, enabled)
            torch.set_autocast_dtype(device, dtype)
        torch.set_autocast_cache_enabled(cached)
        while _autocast_depth() > depth:
            torch.autocast_decrement_nesting()
        if not depth:
            # it holds the weights in 16 bits, and would outlive their next step
            torch.clear_autocast_cache()


def _autocast_depth() -> int:
    "How many blocks of autocast this thread is in. PyTorch tells it only when it changes."
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()


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
        _fast_bf16 = 1.5 * _time_product(torch.bfloat16) < _time_product(torch.float32)
    return _fast_bf16


def _time_product(dtype):
    "The shortest time of a recurrent product of 512 units and 64 rows on the CPU, in seconds."
    a = torch.ones(64, 512, dtype=dtype)
    b = torch.ones(512, 2048, dtype=dtype)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return min(times)
