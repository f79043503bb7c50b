"""`cuda_lstm_steps` equals `lstm_steps`, on a GPU, and on a CPU with the kernels of the cell written in PyTorch."""

from typing import NamedTuple

import pytest
import torch
from fake_gpu import fake_gpu
from torch._subclasses.fake_tensor import FakeTensorMode

from fastai_charrnn.models import cuda_lstm
from fastai_charrnn.models.cuda_lstm import cuda_lstm_steps, has_cuda_cell
from fastai_charrnn.models.gated import lstm_steps

DTYPES = {torch.float64: 1e-10, torch.float32: 2e-5, torch.bfloat16: 6e-2}


class Gates(NamedTuple):
    i: torch.Tensor
    f: torch.Tensor
    g: torch.Tensor
    o: torch.Tensor


def cell(gates, more, c, bias, other_bias):
    "What `_thnn_fused_lstm_cell` computes."
    z = Gates(*(gates + more + bias + other_bias).chunk(4, -1))
    gate = Gates(z.i.sigmoid(), z.f.sigmoid(), z.g.tanh(), z.o.sigmoid())
    next_c = gate.f * c + gate.i * gate.g
    return gate.o * next_c.tanh(), next_c, torch.cat(gate, -1)


def cell_grad(dh, dc, c, next_c, activated, has_bias):
    "What `_thnn_fused_lstm_cell_backward_impl` computes."
    assert not has_bias
    gate = Gates(*activated.chunk(4, -1))
    tanh_c = next_c.tanh()
    dc = dc + dh * gate.o * (1 - tanh_c**2)
    grads = Gates(
        i=dc * gate.g * gate.i * (1 - gate.i),
        f=dc * c * gate.f * (1 - gate.f),
        g=dc * gate.i * (1 - gate.g**2),
        o=dh * tanh_c * gate.o * (1 - gate.o),
    )
    return torch.cat(grads, -1), dc * gate.f, None


def inputs(dtype, with_mul, device="cpu"):
    generator = torch.Generator().manual_seed(0)

    def some(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.double).to(device, dtype).requires_grad_()

    n, bs, n_hid = 5, 3, 4
    args = [some(n, bs, 4 * n_hid), some(4 * n_hid, n_hid), some(bs, n_hid), some(bs, n_hid)]
    return args + [some(n, bs, n_hid)] if with_mul else args


def outs_and_grads(steps, args):
    outs, h, c = steps(*args)
    loss = (outs.double() ** 2).sum() + (h.double() * 3).sum() + (c.double() ** 3).sum()
    return [outs, h, c, *torch.autograd.grad(loss, args)]


def assert_equal_steps(dtype, with_mul, device):
    args = inputs(dtype, with_mul, device)
    on_cpu = [o.detach().cpu().requires_grad_() for o in args]
    got = outs_and_grads(cuda_lstm_steps, args)
    expected = outs_and_grads(lstm_steps, on_cpu)
    for a, b in zip(got, expected):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a.double().cpu(), b.double(), rtol=DTYPES[dtype], atol=DTYPES[dtype])


@pytest.mark.parametrize("with_mul", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_gradients_are_those_of_lstm_steps(dtype, with_mul, monkeypatch):
    monkeypatch.setattr(cuda_lstm, "_cell", cell)
    monkeypatch.setattr(cuda_lstm, "_cell_grad", cell_grad)
    assert_equal_steps(dtype, with_mul, "cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("with_mul", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_gradients_of_the_kernels_are_those_of_lstm_steps(dtype, with_mul):
    args = inputs(dtype, with_mul, "cuda")
    assert has_cuda_cell(args[0])
    assert_equal_steps(dtype, with_mul, "cuda")


def test_a_lost_kernel_is_noticed(monkeypatch):
    x = torch.zeros(1, 1, 4)
    assert not has_cuda_cell(x)
    with fake_gpu():
        assert has_cuda_cell(x)
        monkeypatch.setattr(cuda_lstm, "_cell_grad", None)
        assert not has_cuda_cell(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernels_take_and_return_what_their_stand_ins_do(dtype):
    gates, c = torch.zeros(3, 16, dtype=dtype), torch.zeros(3, 4, dtype=dtype)
    bias = torch.zeros(16, dtype=dtype)
    h, next_c, activated = cell(gates, gates, c, bias, bias)
    dgates, dc, _ = cell_grad(h, c, c, next_c, activated, False)
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = torch.ops.aten._thnn_fused_lstm_cell(gates, gates, c, bias, bias)
        fake_grads = torch.ops.aten._thnn_fused_lstm_cell_backward_impl(h, c, c, next_c, activated, False)
    for a, b in zip((*fake, *fake_grads[:2]), (h, next_c, activated, dgates, dc)):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
