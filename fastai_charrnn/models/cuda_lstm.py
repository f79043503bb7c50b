"""LSTM over a sequence on a GPU, with PyTorch's kernels for one cell: `cuda_lstm_steps`, where cuDNN cannot be used.

A step is a product and a kernel, forward as backward, instead of a product and ten kernels. The kernels belong to
`torch.nn.LSTMCell` and are private. In a PyTorch without them `gated` computes the same.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["has_cuda_cell", "cuda_lstm_steps"]

# (gates, more gates, c, bias, bias) -> h, the next c, the activated gates
_cell: Callable | None = getattr(torch.ops.aten, "_thnn_fused_lstm_cell", None)
# (dh, dc, c, the next c, the activated gates, whether there are biases) -> dgates, dc, dbias
_cell_grad: Callable | None = getattr(torch.ops.aten, "_thnn_fused_lstm_cell_backward_impl", None)


def has_cuda_cell(
    x: Tensor,  # pre-activations
) -> bool:
    "Whether the kernels can be used."
    return x.is_cuda and _cell is not None and _cell_grad is not None


def cuda_lstm_steps(
    inp: Tensor,  # (n, bs, 4H) pre-activations of the gates i, f, g, o
    weight_hh: Tensor,  # (4H, H) hidden to gates
    h0: Tensor,  # (bs, H)
    c0: Tensor,  # (bs, H)
    mul: Tensor | None = None,  # (n, bs, H) factors of h before each product; None: no factors
) -> tuple[Tensor, Tensor, Tensor]:  # outs (n, bs, H), h (bs, H), c (bs, H)
    "As `gated.lstm_steps`. Products have the dtype of `inp`, gates and cells have at least 32 bits."
    dtype = inp.dtype
    wide = torch.promote_types(dtype, torch.float32) if dtype.itemsize < 4 else dtype
    mul = None if mul is None else mul.to(dtype)
    outs, c = _CudaLstm.apply(inp.to(wide), weight_hh.to(dtype), h0.to(dtype), c0.to(wide), mul)
    return outs, outs[-1], c


class _CudaLstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inp, w, h0, c0, mul):
        factors, hs = [], [h0]
        cs, gates = [c0], []
        weight_t = w.t()
        # PyTorch's check of fake tensors refuses calls without biases
        zeros = inp.new_zeros(len(w))
        for t, x in enumerate(inp):
            factors.append(hs[-1] if mul is None else hs[-1] * mul[t])
            product = (factors[-1] @ weight_t).to(x.dtype)
            h, c, activated = _cell(x, product, cs[-1], zeros, zeros)
            hs.append(h.to(w.dtype))
            cs.append(c)
            gates.append(activated)
        ctx.n = len(inp)
        ctx.save_for_backward(w, mul, torch.stack(factors), h0, *cs, *gates, *([] if mul is None else hs[1:-1]))
        # copies: the node would keep itself alive by an output that it saves
        return torch.stack(hs[1:]), cs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, douts, dc):
        n = ctx.n
        w, mul, factors = ctx.saved_tensors[:3]
        h0 = ctx.saved_tensors[3]
        saved = ctx.saved_tensors[4:]
        cs = saved[: n + 1]
        gates = saved[n + 1 : 2 * n + 1]
        hs = (h0, *saved[2 * n + 1 :])
        douts = douts.to(dc.dtype)
        dinp = factors.new_empty(n, *gates[0].shape)
        dmul = None if mul is None else torch.empty_like(mul)
        dh = douts[-1]
        for t in reversed(range(n)):
            dgates, dc, _ = _cell_grad(dh, dc, cs[t], cs[t + 1], gates[t], False)
            dscaled = dinp[t].copy_(dgates) @ w
            if mul is not None:
                torch.mul(dscaled, hs[t], out=dmul[t])
                dscaled = dscaled * mul[t]
            dh = torch.add(douts[t - 1], dscaled) if t else dscaled
        dw = dinp.flatten(0, 1).t() @ factors.flatten(0, 1)
        return dinp.to(dc.dtype), dw, dh, dc, dmul
