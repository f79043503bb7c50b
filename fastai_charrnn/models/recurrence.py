"""The tanh recurrences over windows and sequences, with gradients computed by hand.

Many windows of a batch begin with the same characters: 512 windows of a novel have about 40 different first characters,
225 different first pairs and 400 different first triples. On a CPU the states after equal beginnings are computed once.
A `Level` has one row for each different beginning. Once almost all beginnings differ, a level is the batch itself.

On a GPU, finding equal beginnings would make the host wait. There the first level has a row for every character of the
vocabulary, and the other levels are the batch.

Values and gradients equal those of the loop in `CharModel.forward_seq` to rounding.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .tracing import is_traced

__all__ = ["tanh_steps", "concat_steps", "tanh_sequence", "fast_tanh_", "table_lookup"]

# With more different beginnings than this part of the batch, sharing costs more than it saves.
_max_unique_frac = 0.9

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

    The gradient is a product with one-hot rows, which is faster than adding row by row, and adds in a fixed order."""
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


class Level(NamedTuple):
    "The different beginnings of one length among a batch's windows."

    chars: Tensor  # (rows,) int64: the last character of each beginning
    # (rows,) int64: the row of the level before that each beginning continues; None: the row with its own number
    parent: Tensor | None


def _levels(x, vocab_sz):
    """The levels of the windows `x` (n, bs), one for each length.

    Also returns `last_rows` (bs,), the row of the last level of each window. None: the row with its own number."""
    share = not x.is_cuda
    if share:
        chars, last_rows = x[0].unique(return_inverse=True)
    else:
        chars, last_rows = torch.arange(vocab_sz, device=x.device), x[0]
    levels = [Level(chars, None)]
    for chars in x[1:]:
        level, next_rows = Level(chars, last_rows), None
        if share:
            # one number for each pair of beginning and next character
            pairs, inverse = (last_rows * vocab_sz + chars).unique(return_inverse=True)
            share = len(pairs) <= _max_unique_frac * len(chars)
            if share:
                level, next_rows = Level(pairs % vocab_sz, pairs // vocab_sz), inverse
        levels.append(level)
        last_rows = next_rows
    return levels, last_rows


class _Steps(torch.autograd.Function):
    "z = table[c] + w h. Then h = tanh(z), or h = tanh(w2 relu(z) + b2) with an inner layer."

    @staticmethod
    def forward(ctx, table, x, w, w2, b2):
        levels, last_rows = _levels(x, len(table))
        # the rows of all levels, one after another
        zs = table.index_select(0, torch.cat([level.chars for level in levels]))
        hs = zs if w2 is None else torch.empty_like(zs)
        h = None
        for level, z, out in zip(levels, _by_level(zs, levels), _by_level(hs, levels)):
            if h is not None:
                _add_recurrent(z, h, w, level.parent)
            if w2 is not None:
                torch.addmm(b2, z.relu_(), w2.t(), out=out)
            h = fast_tanh_(out)
        ctx.save_for_backward(w, w2, zs, hs)
        ctx.levels = levels
        ctx.last_rows = last_rows
        ctx.vocab_sz = len(table)
        return h.clone() if last_rows is None else h.index_select(0, last_rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, dh):
        w, w2 = ctx.saved_tensors[:2]
        levels = ctx.levels
        zs, hs = (_by_level(rows, levels) for rows in ctx.saved_tensors[2:])
        # Sums over rows and steps are wide: in 16 bits small terms would be lost.
        wide = torch.promote_types(dh.dtype, torch.float32)
        dtable = dh.new_zeros(ctx.vocab_sz, dh.shape[1], dtype=wide)
        dw = torch.zeros_like(w, dtype=wide)
        dw2 = db2 = None
        if w2 is not None:
            dw2 = torch.zeros_like(w2, dtype=wide)
            db2 = dh.new_zeros(dh.shape[1], dtype=wide)
        dh = _sum_rows(dh, ctx.last_rows, hs[-1], wide)
        for t in reversed(range(len(levels))):
            dz = _tanh_grad(dh, hs[t])
            if w2 is not None:
                _add_product(dw2, dz.t(), zs[t])
                db2 += dz.sum(0, dtype=wide)
                dz = _relu_grad(dz @ w2, zs[t], 0)
            _add_rows(dtable, levels[t].chars, dz)
            if t:
                h_prev = hs[t - 1]
                dz = _sum_rows(dz, levels[t].parent, h_prev, wide)
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
        one_hot = F.one_hot(x.flatten(), ctx.vocab_sz).to(dout.dtype)
        return one_hot.t() @ dout.flatten(0, -2), None


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


def _by_level(rows, levels):
    "The rows of each level, as views."
    return rows.split([len(level.chars) for level in levels])


def _add_recurrent(z, h, w, parent):
    "Add w h to `z` in place. The rows of `h` are those of the level before."
    if parent is None:
        z.addmm_(h, w.t())
    else:
        z.add_((h @ w.t()).index_select(0, parent))


def _sum_rows(grad, index, like, wide):
    "For each row of `like`, the sum of the rows of `grad` whose `index` names it. None: the row with its own number."
    if index is None:
        return grad
    return _add_rows(torch.zeros_like(like, dtype=wide), index, grad).to(grad.dtype)


def _add_product(out, a, b):
    return out.addmm_(a, b) if a.dtype == out.dtype else out.add_(a @ b)


def _add_rows(out, index, rows):
    """Add each of `rows` to the row of `out` that `index` names.

    On a GPU this is a product, because `index_add_` adds in any order there."""
    rows = rows.to(out.dtype)
    if not rows.is_cuda:
        return out.index_add_(0, index, rows)
    one_hot = index == torch.arange(len(out), device=rows.device)[:, None]
    return out.addmm_(one_hot.to(rows.dtype), rows)
