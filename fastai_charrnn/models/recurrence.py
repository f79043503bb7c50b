"""The recurrences over whole windows, with their gradients by hand: no product is taken twice.

Windows of a batch begin alike: of 512 from a novel some 40 differ in their first character, 225 in the first two, 400 in
the first three. On a CPU the states after equal beginnings are computed once: level by level, one row for every distinct
beginning, which names its last character and the row of the level before that it goes on from. Where hardly any two are
alike any more, a level is the batch itself. (On a GPU finding them would make the host wait; there the first level has a
row for every character of the vocabulary, and the others are the batch.)

Same values and gradients as the loop in `models.CharModel.read`, to rounding; `tests/test_models.py` holds it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.compiler import is_compiling

__all__ = ["tanh_steps", "concat_steps", "tanh_sequence", "fast_tanh_", "table_lookup"]

_alike = 0.9  # of the batch: with more distinct beginnings than this, sharing costs more than it saves


def tanh_steps(
    table: Tensor,  # (V, n_hid) what each character contributes
    x: Tensor,  # (n, bs) int64 characters, time first
    w: Tensor,  # (n_hid, n_hid) hidden to hidden
) -> Tensor:  # (bs, n_hid) the last state
    "`h = tanh(table[c] + w h)` over a window, from zeros."
    return _Steps.apply(table, x, w.to(table.dtype), None, None)


def concat_steps(
    table: Tensor,  # (V, n_hid) what each character contributes to the inner layer
    x: Tensor,  # (n, bs) int64 characters, time first
    w: Tensor,  # (n_hid, n_hid) hidden to inner layer
    w2: Tensor,  # (n_hid, n_hid) inner layer to hidden
    b2: Tensor,  # (n_hid,)
) -> Tensor:  # (bs, n_hid) the last state
    "`h = tanh(w2 relu(table[c] + w h) + b2)` over a window, from zeros."
    return _Steps.apply(table, x, *(o.to(table.dtype) for o in (w, w2, b2)))


def tanh_sequence(
    inp: Tensor,  # (n, bs, n_hid) what each character contributes
    w: Tensor,  # (n_hid, n_hid) hidden to hidden
    h: Tensor,  # (bs, n_hid) the state to go on from
) -> Tensor:  # (n, bs, n_hid) every state
    "`h = tanh(inp + w h)` over a sequence, from a state."
    return _Sequence.apply(inp, w.to(inp.dtype), h.to(inp.dtype))


def table_lookup(
    table: Tensor,  # (V, k) what each character contributes
    x: Tensor,  # (…) int64 characters
) -> Tensor:  # (…, k)
    "Rows of a small table. Its gradient is a product with one-hots, which is faster than adding rows one by one, and adds them in one order on any device."
    return F.embedding(x, table) if is_compiling() else _LookUp.apply(table, x)


def fast_tanh_(
    x: Tensor,  # any shape, floating; may be overwritten
) -> Tensor:  # of the same shape
    "tanh; on a CPU, where no gradient is wanted, as 2σ(2x)-1: PyTorch computes σ there eight times as fast. (In 16 bits that would be coarse.)"
    if x.requires_grad:
        return x.tanh()
    if not x.is_cuda and x.dtype in (torch.float32, torch.float64):
        return x.mul_(2).sigmoid_().mul_(2).sub_(1)
    return x.tanh_()


def _levels(x, V):
    """The distinct beginnings of a batch's windows, one character longer from level to level, and which row of the last each window is.

    A level is (chars, before): the last character of every beginning, and which row of the level before it goes on from. None
    for the rows: the one of its own number."""
    share = not x.is_cuda
    c, at = x[0].unique(return_inverse=True) if share else (torch.arange(V, device=x.device), x[0])
    levels = [(c, None)]
    for c in x[1:]:
        before, ends = at, None
        if share:
            u, inv = (at * V + c).unique(return_inverse=True)
            share = len(u) <= _alike * len(c)
            if share:
                before = u // V
                c = u % V
                ends = inv
        levels.append((c, before))
        at = ends
    return levels, at


class _Steps(torch.autograd.Function):
    "z = table[c] + w h; then h = tanh(z), or with an inner layer h = tanh(w2 relu(z) + b2)."

    @staticmethod
    def forward(ctx, table, x, w, w2, b2):
        levels, ends = _levels(x, len(table))
        zs = table.index_select(0, torch.cat([c for c, _ in levels]))  # (rows of all levels, n_hid)
        hs = zs if w2 is None else torch.empty_like(zs)
        h = None
        for (_, before), z, out in zip(levels, _split(zs, levels), _split(hs, levels)):
            if h is not None:
                z.addmm_(h, w.t()) if before is None else z.add_((h @ w.t()).index_select(0, before))
            if w2 is not None:
                torch.addmm(b2, z.relu_(), w2.t(), out=out)
            h = fast_tanh_(out)
        ctx.save_for_backward(w, w2, zs, hs)
        ctx.levels = levels
        ctx.ends = ends
        ctx.V = len(table)
        return h.clone() if ends is None else h.index_select(0, ends)

    @staticmethod
    @once_differentiable
    def backward(ctx, dh):
        (w, w2, *both), levels = ctx.saved_tensors, ctx.levels
        zs, hs = (_split(o, levels) for o in both)
        wide = torch.promote_types(
            dh.dtype, torch.float32
        )  # what is summed over rows and steps: in 16 bits small terms would be lost
        dtable = dh.new_zeros(ctx.V, dh.shape[1], dtype=wide)
        dw = torch.zeros_like(w, dtype=wide)
        if w2 is not None:
            dw2 = torch.zeros_like(w2, dtype=wide)
            db2 = dh.new_zeros(dh.shape[1], dtype=wide)
        if ctx.ends is not None:
            dh = _add_rows(torch.zeros_like(hs[-1], dtype=wide), ctx.ends, dh).to(dh.dtype)
        for k in range(len(hs) - 1, -1, -1):
            c, before = levels[k]
            dz = _tanh_grad(dh, hs[k])
            if w2 is not None:
                _add_product(dw2, dz.t(), zs[k])
                db2 += dz.sum(0, dtype=wide)
                dz = _relu_grad(dz @ w2, zs[k], 0)
            _add_rows(dtable, c, dz)
            if k:
                if before is not None:
                    dz = _add_rows(torch.zeros_like(hs[k - 1], dtype=wide), before, dz).to(dz.dtype)
                _add_product(dw, dz.t(), hs[k - 1])
                dh = dz @ w
        return dtable, None, dw, None if w2 is None else dw2, None if w2 is None else db2


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table, x):
        ctx.save_for_backward(x)
        ctx.V = len(table)
        return F.embedding(x, table)

    @staticmethod
    @once_differentiable
    def backward(ctx, d):
        (x,) = ctx.saved_tensors
        return F.one_hot(x.flatten(), ctx.V).to(d.dtype).t() @ d.flatten(0, -2), None


class _Sequence(torch.autograd.Function):
    "h = tanh(inp + w h), every h; the gradient of `w` is one product over all steps."

    @staticmethod
    def forward(ctx, inp, w, h):
        outs, first = inp.clone(), h
        for out in outs:
            h = fast_tanh_(out.addmm_(h, w.t()))
        ctx.save_for_backward(outs, w, first)
        return outs

    @staticmethod
    @once_differentiable
    def backward(ctx, douts):
        outs, w, first = ctx.saved_tensors
        dz, dh = torch.empty_like(outs), torch.zeros_like(first)
        for k in range(len(outs) - 1, -1, -1):
            dz[k] = _tanh_grad(douts[k] + dh, outs[k])
            dh = dz[k] @ w
        return dz, dz.flatten(0, 1).t() @ torch.cat([first[None], outs[:-1]]).flatten(0, 1), dh


_tanh_grad = torch.ops.aten.tanh_backward
_relu_grad = torch.ops.aten.threshold_backward


def _split(rows, levels):
    return rows.split([len(c) for c, _ in levels])


def _add_product(out, a, b):
    return out.addmm_(a, b) if a.dtype == out.dtype else out.add_(a @ b)


def _add_rows(out, at, d):
    "Add the rows of `d` to those of `out` that `at` names. On a GPU by a product, for `index_add_` adds in any order there."
    d = d.to(out.dtype)
    if not d.is_cuda:
        return out.index_add_(0, at, d)
    return out.addmm_((at == torch.arange(len(out), device=d.device)[:, None]).to(d.dtype), d)
