"""LSTM over a sequence, with gradients computed by hand (`lstm_steps`). The GRU is in `gru`.

Forward and backward take one matrix product a step. Each weight's gradient is one product over all steps at the end.
The caller computes `inp`, everything that does not depend on the state, for all steps at once. Rows of a batch that
begin alike can be packed (see `beginnings`).

In float64 and float32, values and gradients equal those of PyTorch's layers to rounding. If `inp` is bfloat16, then
products, pre-activations and outputs are bfloat16, while gates, cells and sums stay float32. On a CPU with AVX512-BF16
these products are 4-5 times as fast.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .beginnings import Beginnings, Level, from_parent, sum_to_parent
from .cuda_lstm import cuda_lstm_steps, has_cuda_cell
from .kernels import fast_tanh_
from .recurrent_products import WeightGrad, add_product, product_plus, product_to, split_rows, sum_of, wide_dtype

__all__ = ["lstm_steps", "lstm_rows", "lstm_cell"]

_sigmoid_grad = torch.ops.aten.sigmoid_backward.grad_input
_tanh_grad = torch.ops.aten.tanh_backward.grad_input


def lstm_steps(
    inp: Tensor,  # (n, bs, 4H) pre-activations of the gates i, f, g, o, biases included
    weight_hh: Tensor,  # (4H, H) hidden to gates
    h0: Tensor,  # (bs, H)
    c0: Tensor,  # (bs, H)
    mul: Tensor | None = None,  # (n, bs, H) factors of h before each product; None: no factors
) -> tuple[Tensor, Tensor, Tensor]:  # outs (n, bs, H), h (bs, H), c (bs, H)
    """`c = σ(f) c + σ(i) tanh(g); h = σ(o) tanh(c)`, with `(i, f, g, o) = inp + weight_hh (mul h)`.

    Without `mul`, this is `torch.nn.LSTM`."""
    if has_cuda_cell(inp):
        return cuda_lstm_steps(inp, weight_hh, h0, c0, mul)
    n, bs, _ = inp.shape
    mul = None if mul is None else mul.flatten(0, 1)
    outs, h, c = _run(inp.flatten(0, 1), weight_hh, h0, c0, mul, [Level(bs, None)] * n)
    return outs.unflatten(0, (n, bs)), h, c


def lstm_rows(
    inp: Tensor,  # (rows, 4H) pre-activations after each beginning
    beginnings: Beginnings,  # of the windows of a batch
    weight_hh: Tensor,  # (4H, H) hidden to gates
) -> tuple[Tensor, Tensor, Tensor]:  # outs (rows, H), h (bs, H), c (bs, H)
    "`lstm_steps` for all beginnings of windows, starting with zeros."
    outs, h, c = _run(inp, weight_hh, None, None, None, beginnings.levels)
    return outs, beginnings.last(h), beginnings.last(c)


def _run(inp, w, h0, c0, mul, levels):
    "Choose the dtype of the products."
    h0, mul = (None if o is None else o.to(inp.dtype) for o in (h0, mul))
    c0 = None if c0 is None else c0.to(wide_dtype(inp.dtype))
    outs, h, c = _Lstm.apply(inp, w.to(inp.dtype), h0, c0, mul, levels)
    return outs, h, c


def lstm_cell(
    gates: Tensor,  # (bs, 4H) pre-activations of the gates i, f, g, o
    c: Tensor,  # (bs, H)
) -> tuple[Tensor, Tensor]:  # h, c
    "One step of an LSTM, with autograd's gradients."
    i, f = gates.chunk(4, -1)[:2]
    g, o = gates.chunk(4, -1)[2:]
    # for the few rows of a generated text, one call of tanh is faster than the four of `fast_tanh_`
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


class _Step(NamedTuple):
    "The rows of one step, as views of the rows of all steps."

    parent: Tensor | None  # (rows,) int64, see `beginnings`
    gates: Tensor  # (rows, 4H)
    i_f: Tensor  # (rows, 2H)
    i: Tensor  # (rows, H), input gate
    f: Tensor  # forget gate
    g: Tensor  # new content
    o: Tensor  # output gate
    c: Tensor
    tanh_c: Tensor
    h: Tensor
    mul: Tensor | None
    scaled: Tensor | None  # mul * the h before

    @classmethod
    def list_of(cls, levels, gates, *others):
        sizes = [level.size for level in levels]
        rows = (gates, gates.chunk(2, -1)[0], *gates.chunk(4, -1), *others)
        views = zip(*(split_rows(o, sizes) for o in rows))
        return [cls(level.parent, *view) for level, view in zip(levels, views)]


class _Lstm(torch.autograd.Function):
    "Returns the h of all steps, and h and c of the last one. `h0` and `c0` are None if they are zeros."

    @staticmethod
    def forward(ctx, inp, w, h0, c0, mul, levels):
        ctx.set_materialize_grads(False)
        wide = wide_dtype(w.dtype)
        gates = inp.new_empty(inp.shape, dtype=wide)
        cs = inp.new_empty(len(inp), w.shape[1], dtype=wide)
        tanh_cs = torch.empty_like(cs)
        hs = torch.empty_like(cs, dtype=w.dtype)
        scaled = None if mul is None else torch.empty_like(hs)
        saved = gates, cs, tanh_cs, hs, mul, scaled
        steps = _Step.list_of(levels, *saved)
        weight_t = w.t().contiguous()
        h, c = h0, c0
        for step, x in zip(steps, split_rows(inp, [level.size for level in levels])):
            _pre_activations(step, x, h, weight_t)
            h, c = _cell(step, c)
        # An output must be saved as itself. If it were a view, the node would keep itself alive.
        ctx.save_for_backward(w, h0, c0, *saved)
        ctx.levels = levels
        return hs, h.clone(), c.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, dhs, dh, dc):
        w, h0, c0 = ctx.saved_tensors[:3]
        saved = ctx.saved_tensors[3:]
        sizes = [level.size for level in ctx.levels]
        steps = _Step.list_of(ctx.levels, *saved)
        hs, mul, scaled = saved[3:]
        dinp = torch.empty_like(saved[0], dtype=w.dtype)
        dmul = None if mul is None else torch.zeros_like(mul)
        dhs, dmuls = split_rows(dhs, sizes), split_rows(dmul, sizes)
        dw = WeightGrad(ctx.levels, dinp, hs, h0, scaled)
        dh = sum_of(dh, dhs[-1], steps[-1].c)
        dc = sum_of(dc, None, steps[-1].c)
        for t, dz in reversed(list(enumerate(dinp.split(sizes)))):
            h_prev, c_prev = (steps[t - 1].h, steps[t - 1].c) if t else (h0, c0)
            dc = _cell_grad(steps[t], c_prev, dh, dc, dz)
            if h_prev is None:
                dh = None
                break
            if mul is None:
                dz = sum_to_parent(dz, steps[t].parent, len(h_prev))
                dh = product_plus(dz, w, dhs[t - 1] if t else None, dc.dtype)
            else:
                dh = _factor_grad(steps[t], h_prev, dz @ w, dmuls[t])
                dh = sum_of(dh, dhs[t - 1] if t else None, dc)
            dw.add(t, dz)
        return dinp, dw.total, dh, dc, dmul, None


def _pre_activations(step, x, h, weight_t):
    parent = step.parent
    if step.mul is not None and h is not None:
        h = torch.mul(from_parent(h, parent), step.mul, out=step.scaled)
        parent = None
    add_product(x, h, weight_t, parent, out=step.gates)


def _cell(step, c):
    "Activate the gates in place. Returns the next h and c."
    step.i_f.sigmoid_()
    fast_tanh_(step.g)
    step.o.sigmoid_()
    if c is None:
        torch.mul(step.i, step.g, out=step.c)
    else:
        torch.mul(step.f, from_parent(c, step.parent), out=step.c).addcmul_(step.i, step.g)
    tanh_c = fast_tanh_(step.tanh_c.copy_(step.c))
    return product_to(step.o, tanh_c, out=step.h), step.c


def _cell_grad(step, c_prev, dh, dc, dinp):
    "Gradients of the pre-activations, in `dinp`, and of the c before. May overwrite `dc`."
    dz = dinp if dinp.dtype == dc.dtype else torch.empty_like(dinp, dtype=dc.dtype)
    di, df, dg = dz.chunk(4, -1)[:3]
    _sigmoid_grad(dh * step.tanh_c, step.o, grad_input=dz[:, -step.o.shape[1] :])
    dc.add_(torch.ops.aten.tanh_backward(dh * step.o, step.tanh_c))
    _sigmoid_grad(dc * step.g, step.i, grad_input=di)
    _tanh_grad(dc * step.i, step.g, grad_input=dg)
    if c_prev is None:
        df.zero_()
        dc = None
    else:
        _sigmoid_grad(dc * from_parent(c_prev, step.parent), step.f, grad_input=df)
        dc = sum_to_parent(dc.mul_(step.f), step.parent, len(c_prev))
    if dz is not dinp:
        dinp.copy_(dz)
    return dc


def _factor_grad(step, h_prev, dscaled, dmul):
    "Gradients of mul, in `dmul`, and of the h before."
    torch.mul(dscaled, from_parent(h_prev, step.parent), out=dmul)
    return sum_to_parent(dscaled.mul_(step.mul), step.parent, len(h_prev))
