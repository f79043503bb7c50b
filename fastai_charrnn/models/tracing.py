"""Whether PyTorch records or transforms a forward pass (`is_traced`). Hand-written gradients cannot be recorded."""

import torch
from torch.autograd import forward_ad
from torch.compiler import is_compiling

__all__ = ["is_traced", "is_recorded"]


def is_recorded() -> bool:
    "Whether `torch.jit.trace`, the ONNX export that uses it, or a transform of `torch.func` calls the model."
    return torch.jit.is_tracing() or torch._C._are_functorch_transforms_active()


def is_traced() -> bool:
    """Whether the plain loop must be taken, because the fast recurrences would be lost or refused.

    So it is under `torch.compile`, `torch.export`, `torch.jit.trace`, `torch.onnx.export`, the transforms of
    `torch.func`, and forward-mode differentiation. The ONNX export by tracing drops a `torch.autograd.Function`."""
    return is_compiling() or is_recorded() or forward_ad._current_level >= 0
