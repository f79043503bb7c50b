"""LSTM over a sequence, with gradients computed by hand (`lstm_steps`). The GRU is in `gru`.

Forward and backward take one matrix product a step. The gradient of the weights is added for groups of steps, while
their rows are in the cache. The caller computes `inp`, everything that does not depend on the state, for all steps at
once. Rows of a batch that begin alike can be packed (see `beginnings`).

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
from .kernels import fast_tanh_, product_dtype
from .recurrent_products import (
    InputGrads,
    Inputs,
    add_product_,
    find_groups,
    product_plus,
    product_to,
    split_rows,
    sum_of,
    weight_grad,
    wide_dtype,
)

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
    outs, h, c = _run(inp.flatten(0, 1), None, weight_hh, h0, c0, mul, [Level(bs, None)] * n)
    return outs.unflatten(0, (n, bs)), h, c


def lstm_rows(
    inp: Tensor,  # (rows, 4H) pre-activations after each beginning, or a table (V, 4H)
    beginnings: Beginnings,  # of the windows or rows of a batch
    weight_hh: Tensor,  # (4H, H) hidden to gates
    h0: Tensor | None = None,  # (bs, H), if beginnings are not shared; None: zeros
    c0: Tensor | None = None,  # (bs, H); None: zeros
    reads_table: bool = False,  # whether `inp` is a table, whose rows `beginnings.chars` names
) -> tuple[Tensor, Tensor, Tensor]:  # outs (rows, H), h (bs, H), c (bs, H)
    "`lstm_steps` for all beginnings of windows."
    chars = beginnings.chars if reads_table else None
    outs, h, c = _run(inp, chars, weight_hh, h0, c0, None, beginnings.levels)
    return outs, beginnings.last(h), beginnings.last(c)


def _run(inp, chars, w, h0, c0, mul, levels):
    "Choose the dtypes. Autocast would round some products, and not others."
    dtype = product_dtype(inp)
    round_to = None if dtype == inp.dtype else inp.dtype
    h0, mul, w = (None if o is None else o.to(inp.dtype).to(dtype) for o in (h0, mul, w))
    c0 = None if c0 is None else c0.to(wide_dtype(dtype))
    with torch.autocast(inp.device.type, enabled=False):
        table = inp if chars is None else inp.to(dtype)
        outs, h, c = _Lstm.apply(table, chars, w, h0, c0, mul, levels, round_to)
    return outs.to(inp.dtype), h.to(inp.dtype), c


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
    def forward(ctx, inp, chars, w, h0, c0, mul, levels, round_to):
        ctx.set_materialize_grads(False)
        n_rows = sum(level.size for level in levels)
        gates = inp.new_empty(n_rows, len(w), dtype=wide_dtype(w.dtype))
        cs = gates.new_empty(n_rows, w.shape[1])
        tanh_cs = torch.empty_like(cs)
        hs = torch.empty_like(cs, dtype=w.dtype)
        scaled = None if mul is None else torch.empty_like(hs)
        saved = gates, cs, tanh_cs, hs, mul, scaled
        inputs = Inputs(inp, chars, [level.size for level in levels])
        weight_t = w.t().contiguous()
        h, c = h0, c0
        for t, step in enumerate(_Step.list_of(levels, *saved)):
            inputs.copy_to(t, step.gates)
            if h is not None:
                _add_recurrent(step, h, weight_t)
            h, c = _cell(step, c)
            if round_to is not None:
                h.copy_(h.to(round_to))
        # An output must be saved as itself. If it were a view, the node would keep itself alive.
        ctx.save_for_backward(chars, w, h0, c0, *saved)
        ctx.levels = levels
        ctx.n_inputs = len(inp)
        return hs, h.clone(), c.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, dhs, dh, dc):
        chars, w = ctx.saved_tensors[:2]
        h0, c0 = ctx.saved_tensors[2:4]
        saved = ctx.saved_tensors[4:]
        hs, mul, scaled = saved[3:]
        sizes = [level.size for level in ctx.levels]
        steps = _Step.list_of(ctx.levels, *saved)
        groups = find_groups(ctx.levels, h0 is not None, w.dtype)
        dinp = InputGrads(chars, (ctx.n_inputs, len(w)), w, groups)
        dw = None
        dmul = None if mul is None else torch.zeros_like(mul)
        dhs, dmuls = split_rows(dhs, sizes), split_rows(dmul, sizes)
        dh = sum_of(dh, dhs[-1], steps[-1].c)
        dc = sum_of(dc, None, steps[-1].c)
        for group in reversed(groups):
            rows = dinp.of(group)
            for t, dz in reversed(list(zip(group.steps, rows.split(sizes[group.steps[0]])))):
                h_prev, c_prev = (steps[t - 1].h, steps[t - 1].c) if t else (h0, c0)
                dc = _cell_grad(steps[t], c_prev, dh, dc, dz)
                dout = dhs[t - 1] if t else None
                dh, dz = _product_grad(steps[t], h_prev, w, dz, dout, dmuls[t])
            if h_prev is not None:
                before = group.states_before(h0, hs) if scaled is None else scaled[group.rows]
                dw = weight_grad(dw, dz if len(group.steps) == 1 else rows, before)
            dinp.add(group, rows)
        dw = torch.zeros_like(w) if dw is None else dw
        return dinp.total, None, dw, dh, dc, dmul, None, None


def _add_recurrent(step, h, weight_t):
    if step.mul is None:
        return add_product_(step.gates, h, weight_t, step.parent)
    scaled = torch.mul(from_parent(h, step.parent), step.mul, out=step.scaled)
    return add_product_(step.gates, scaled, weight_t, None)


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


def _cell_grad(step, c_prev, dh, dc, out):
    "Gradients of the pre-activations, in `out`, and of the c before. May overwrite `dc`."
    dz = out if out.dtype == dc.dtype else torch.empty_like(out, dtype=dc.dtype)
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
    if dz is not out:
        out.copy_(dz)
    return dc


def _product_grad(step, h_prev, w, dz, dout, dmul):
    "The gradient of the h before, and the gradients of the pre-activations for each row of the product."
    if h_prev is None:
        return None, dz
    if step.mul is None:
        dz = sum_to_parent(dz, step.parent, len(h_prev))
        return product_plus(dz, w, dout, step.c.dtype), dz
    dscaled = torch.mm(dz, w)
    torch.mul(dscaled, from_parent(h_prev, step.parent), out=dmul)
    dh = sum_to_parent(dscaled.mul_(step.mul), step.parent, len(h_prev))
    return sum_of(dh, dout, h_prev.to(step.c.dtype)), dz
