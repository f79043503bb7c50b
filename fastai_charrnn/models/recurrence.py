"""The tanh recurrences over windows and sequences, with gradients computed by hand.

States of a window are computed once for equal beginnings (`beginnings`).
Values and gradients equal those of the loop in `CharModel.forward_seq` to rounding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .beginnings import add_rows_, find_beginnings, from_parent, sum_to_parent
from .tracing import is_traced

__all__ = ["tanh_steps", "concat_steps", "tanh_sequence", "fast_tanh_", "table_lookup"]

_tanh_grad = torch.ops.aten.tanh_backward
_relu_grad = torch.ops.aten.threshold_backward


def tanh_steps(
    table: Tensor,  # (V, n_hid) what each character contributes
    x: Tensor,  # (n, bs) int64 characters, time first
    w: Tensor,  # (n_hid, n_hid) hidden to hidden
) -> Tensor:  # (bs, n_hid) the last state
    "`h = tanh(table[c] + w h)` over a window, starting with zeros."
    return _Steps.apply(table, x, w.to(table.dtype), None, None)


def concat_steps(
    table: Tensor,  # (V, n_hid) what each character contributes to the inner layer
    x: Tensor,  # (n, bs) int64 characters, time first
    w: Tensor,  # (n_hid, n_hid) hidden to inner layer
    w2: Tensor,  # (n_hid, n_hid) inner layer to hidden
    b2: Tensor,  # (n_hid,)
) -> Tensor:  # (bs, n_hid) the last state
    "`h = tanh(w2 relu(table[c] + w h) + b2)` over a window, starting with zeros."
    dtype = table.dtype
    return _Steps.apply(table, x, w.to(dtype), w2.to(dtype), b2.to(dtype))


def tanh_sequence(
    inp: Tensor,  # (n, bs, n_hid) what each character contributes
    w: Tensor,  # (n_hid, n_hid) hidden to hidden
    h: Tensor,  # (bs, n_hid) the state before the first character
) -> Tensor:  # (n, bs, n_hid) every state
    "`h = tanh(inp + w h)` over a sequence."
    return _Sequence.apply(inp, w.to(inp.dtype), h.to(inp.dtype))


def table_lookup(
    table: Tensor,  # (V, k) what each character contributes
    x: Tensor,  # (…) int64 characters
) -> Tensor:  # (…, k)
    """Return rows of a small table.

    The gradient adds in a fixed order: on a CPU row by row, on a GPU by a product with one-hot rows."""
    return F.embedding(x, table) if is_traced() else _LookUp.apply(table, x)


def fast_tanh_(
    x: Tensor,  # any shape, floating
) -> Tensor:  # of the same shape
    """Return tanh(x). May overwrite `x` if it needs no gradient.

    On a CPU tanh(x) is computed as 2σ(2x) - 1. PyTorch's σ was eight times as fast as its tanh on an AMD EPYC; on an
    Intel Xeon tanh is the faster one. In 16 bits this form would be too coarse."""
    # PyTorch checks a trace by a second one without gradients, which must be the same
    if x.requires_grad or torch.jit.is_tracing():
        return x.tanh()
    if not x.is_cuda and x.dtype in (torch.float32, torch.float64):
        return x.mul_(2).sigmoid_().mul_(2).sub_(1)
    return x.tanh_()


class _Steps(torch.autograd.Function):
    "z = table[c] + w h. Then h = tanh(z), or h = tanh(w2 relu(z) + b2) with an inner layer."

    @staticmethod
    def forward(ctx, table, x, w, w2, b2):
        beginnings = find_beginnings(x, len(table))
        zs = table.index_select(0, beginnings.chars)
        hs = zs if w2 is None else torch.empty_like(zs)
        h = None
        for level, z, out in zip(beginnings.levels, beginnings.split(zs), beginnings.split(hs)):
            if h is not None:
                _add_recurrent(z, h, w, level.parent)
            if w2 is not None:
                torch.addmm(b2, z.relu_(), w2.t(), out=out)
            h = fast_tanh_(out)
        ctx.save_for_backward(w, w2, zs, hs)
        ctx.beginnings = beginnings
        ctx.vocab_sz = len(table)
        last_rows = beginnings.row_of[-1]
        return h.clone() if last_rows is None else h.index_select(0, last_rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, dh):
        w, w2 = ctx.saved_tensors[:2]
        beginnings = ctx.beginnings
        levels = beginnings.levels
        zs, hs, chars = (beginnings.split(rows) for rows in (*ctx.saved_tensors[2:], beginnings.chars))
        # Sums over rows and steps are wide: in 16 bits small terms would be lost.
        wide = torch.promote_types(dh.dtype, torch.float32)
        dtable = dh.new_zeros(ctx.vocab_sz, dh.shape[1], dtype=wide)
        dw = torch.zeros_like(w, dtype=wide)
        dw2 = db2 = None
        if w2 is not None:
            dw2 = torch.zeros_like(w2, dtype=wide)
            db2 = dh.new_zeros(dh.shape[1], dtype=wide)
        dh = sum_to_parent(dh, beginnings.row_of[-1], len(hs[-1]))
        for t in reversed(range(len(levels))):
            dz = _tanh_grad(dh, hs[t])
            if w2 is not None:
                _add_product(dw2, dz.t(), zs[t])
                db2 += dz.sum(0, dtype=wide)
                dz = _relu_grad(dz @ w2, zs[t], 0)
            add_rows_(dtable, chars[t], dz)
            if t:
                h_prev = hs[t - 1]
                dz = sum_to_parent(dz, levels[t].parent, len(h_prev))
                _add_product(dw, dz.t(), h_prev)
                dh = dz @ w
        return dtable, None, dw, dw2, db2


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table, x):
        ctx.save_for_backward(x)
        ctx.vocab_sz = len(table)
        return F.embedding(x, table)

    @staticmethod
    @once_differentiable
    def backward(ctx, dout):
        (x,) = ctx.saved_tensors
        rows = dout.flatten(0, -2)
        if rows.is_cuda:
            return F.one_hot(x.flatten(), ctx.vocab_sz).to(dout.dtype).t() @ rows, None
        return sum_to_parent(rows, x.flatten(), ctx.vocab_sz), None


class _Sequence(torch.autograd.Function):
    "h = tanh(inp + w h), every h. The gradient of `w` is one product over all steps."

    @staticmethod
    def forward(ctx, inp, w, h0):
        outs = inp.clone()
        h = h0
        for out in outs:
            h = fast_tanh_(out.addmm_(h, w.t()))
        ctx.save_for_backward(outs, w, h0)
        return outs

    @staticmethod
    @once_differentiable
    def backward(ctx, douts):
        outs, w, h0 = ctx.saved_tensors
        dz = torch.empty_like(outs)
        dh = torch.zeros_like(h0)
        for t in reversed(range(len(outs))):
            dz[t] = _tanh_grad(douts[t] + dh, outs[t])
            dh = dz[t] @ w
        h_prevs = torch.cat([h0[None], outs[:-1]])
        dw = dz.flatten(0, 1).t() @ h_prevs.flatten(0, 1)
        return dz, dw, dh


def _add_recurrent(z, h, w, parent):
    "Add w h to `z` in place. The rows of `h` are those of the level before."
    if parent is None:
        z.addmm_(h, w.t())
    else:
        z.add_(from_parent(h @ w.t(), parent))


def _add_product(out, a, b):
    return out.addmm_(a, b) if a.dtype == out.dtype else out.add_(a @ b)
