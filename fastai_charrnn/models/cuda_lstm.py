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
        hs, cs = [h0], [c0]
        scaled, gates = [], []
        weight_t = w.t()
        # PyTorch's check of fake tensors refuses calls without biases
        zeros = inp.new_zeros(len(w))
        for t, x in enumerate(inp):
            h = hs[-1]
            if mul is not None:
                h = h * mul[t]
                scaled.append(h)
            h, c, activated = _cell(x, (h @ weight_t).to(x.dtype), cs[-1], zeros, zeros)
            hs.append(h.to(w.dtype))
            cs.append(c)
            gates.append(activated)
        all_hs = torch.stack(hs)
        ctx.save_for_backward(w, mul, all_hs, torch.stack(scaled) if scaled else None, *cs, *gates)
        # copies: the node would keep itself alive by an output that it saves
        return all_hs[1:].clone(), cs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, douts, dc):
        w, mul = ctx.saved_tensors[:2]
        h_prevs = ctx.saved_tensors[2][:-1]
        scaled = ctx.saved_tensors[3]
        n = len(h_prevs)
        cs = ctx.saved_tensors[4 : n + 5]
        gates = ctx.saved_tensors[n + 5 :]
        douts = douts.to(dc.dtype)
        dgates = []
        # gradients of what the products read
        dproducts = torch.empty_like(h_prevs)
        dh = douts[-1]
        for t in reversed(range(n)):
            dgate, dc, _ = _cell_grad(dh, dc, cs[t], cs[t + 1], gates[t], False)
            dgates.append(dgate.to(w.dtype))
            torch.mm(dgates[-1], w, out=dproducts[t])
            if t:
                dh = _next_dh(douts[t - 1], dproducts[t], None if mul is None else mul[t])
        dinp = torch.stack(dgates[::-1])
        dw = dinp.flatten(0, 1).t() @ (h_prevs if scaled is None else scaled).flatten(0, 1)
        if mul is None:
            return dinp.to(dc.dtype), dw, dproducts[0], dc, None
        return dinp.to(dc.dtype), dw, dproducts[0] * mul[0], dc, dproducts * h_prevs


def _next_dh(dout, dproduct, mul):
    "The gradient of the h before."
    return dout + dproduct if mul is None else torch.addcmul(dout, dproduct.to(dout.dtype), mul.to(dout.dtype))
