"""Which form of a computation is the fastest on this CPU: rules by vendor and instructions.

Nothing is timed, so that equal seeds give equal losses in every process of a machine.

- `has_fast_tanh`: PyTorch's tanh is that of Intel's MKL. On a Xeon it takes a third of the time of 2σ(2x) - 1. On an
  AMD EPYC it takes eight times as long as a sigmoid.
- `product_dtype`: on a CPU without fast bfloat16 products, such as a Xeon without AMX, they take twice as long as
  products of float32. There float32 products of values rounded to bfloat16 give the same results to rounding.
- `prefers_onednn`: its LSTM of 512 units took 31 ms for 32 rows of 32 characters with two threads, ours 43. A training
  step with two layers of 256 units, 64 rows of 64 characters, took 113 ms with it, and 125 with ours.
"""

import platform
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_compiling

from .tracing import is_traced

__all__ = [
    "has_fast_tanh",
    "has_fast_bf16",
    "product_dtype",
    "fast_tanh_",
    "cpu_linear",
    "autocast_of",
    "prefers_onednn",
]


@cache
def has_fast_tanh() -> bool:
    "Whether one call of PyTorch's tanh is faster on this CPU than its sigmoid and three products and sums."
    return torch.backends.mkl.is_available() and "GenuineIntel" in _cpu_info()


@cache
def has_fast_bf16() -> bool:
    "Whether products of bfloat16 are faster on this CPU than those of float32. Assumed of CPUs that are not x86."
    if platform.machine() not in ("x86_64", "AMD64"):
        return True
    info = _cpu_info()
    return "amx_bf16" in info or ("AuthenticAMD" in info and "avx512_bf16" in info)


def product_dtype(
    x: Tensor,  # a factor, floating
) -> torch.dtype:
    "Return the dtype in which products are computed: float32 for bfloat16 on a CPU where that is faster."
    is_slow = x.dtype == torch.bfloat16 and x.device.type == "cpu" and not has_fast_bf16()
    return torch.float32 if is_slow else x.dtype


def prefers_onednn(
    weight: Tensor,  # of the model
    n_hid: int,
    n_layers: int,
) -> bool:
    """Whether oneDNN's LSTM, which `torch.nn.LSTM` runs on a CPU in float32, reads sequences faster than `gated`.

    It does all work of a step in parallel. Ours is faster for one layer of 256 units with one thread."""
    is_float32 = weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if not is_float32 or weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return n_hid >= 512 or n_layers > 1 or torch.get_num_threads() > 1


def autocast_of(
    x: Tensor,  # floating
) -> Tensor:  # of the same shape
    "Return `x` in the dtype that autocast, if it is on, gives a product of `x`."
    device = x.device.type
    is_cast = x.dtype != torch.float64 and torch.is_autocast_enabled(device)
    return x.to(torch.get_autocast_dtype(device)) if is_cast else x


def fast_tanh_(
    x: Tensor,  # any shape, floating
) -> Tensor:  # of the same shape
    """Return tanh(x). May overwrite `x` if it needs no gradient.

    On a CPU without a fast tanh it is 2σ(2x) - 1 (`has_fast_tanh`). In 16 bits this form would be too coarse."""
    # PyTorch checks a trace by a second one without gradients, which must be the same; a compiler cannot follow `cache`
    if x.requires_grad or is_compiling() or torch.jit.is_tracing():
        return x.tanh()
    if x.device.type != "cpu" or has_fast_tanh() or x.dtype not in (torch.float32, torch.float64):
        return x.tanh_()
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def cpu_linear(
    x: Tensor,  # (…, k)
    weight: Tensor,  # (m, k)
    bias: Tensor | None,  # (m,)
) -> Tensor:  # (…, m)
    "`F.linear`. Where autocast would compute slow products of bfloat16, of float32 values rounded to it."
    is_16_bits = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    if not is_16_bits or is_traced() or torch.get_autocast_dtype("cpu") != torch.bfloat16 or has_fast_bf16():
        return F.linear(x, weight, bias)
    factors = (None if o is None else o.to(torch.bfloat16).float() for o in (x, weight, bias))
    with torch.autocast("cpu", enabled=False):
        return F.linear(*factors).to(torch.bfloat16)


@cache
def _cpu_info():
    "Vendor and, on Linux, instructions of this CPU."
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else platform.processor()
