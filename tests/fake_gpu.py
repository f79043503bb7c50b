"""A stand-in for a GPU: results without numbers, for which the code takes its paths for CUDA.

Whatever needs a number on the host, where a GPU would make it wait, raises an error. Values are not computed, so only
the tests marked `gpu` can compare them.
"""

from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

# what is raised where the host waits for a number
WAITS = (DataDependentOutputException, DynamicOutputShapeException, RuntimeError)

# A build of PyTorch without CUDA has no autograd for fake tensors on "cuda". So these are on "cpu" and say otherwise.
_true = property(lambda tensor: True)
_false = property(lambda tensor: False)


_to = torch.Tensor.to


def _no_copy(tensor, *args, **kwargs):
    raise RuntimeError("the host copies a tensor, and waits for the device")


def _to_others(tensor, *args, **kwargs):
    "`Tensor.to`, except to the host by its name, as fastai's `to_cpu` has it."
    if "cpu" in (*args, *kwargs.values()):
        _no_copy(tensor)
    return _to(tensor, *args, **kwargs)


@contextmanager
def fake_gpu():
    "Within the block, results have no numbers, `is_cuda` is true, and nothing can be copied to the host."
    on_cuda = patch.multiple(torch.Tensor, is_cuda=_true, is_cpu=_false, cpu=_no_copy, to=_to_others)
    no_capture = patch.object(torch.cuda, "is_current_stream_capturing", lambda: False)
    with on_cuda, no_capture, FakeTensorMode(allow_non_fake_inputs=True):
        yield
