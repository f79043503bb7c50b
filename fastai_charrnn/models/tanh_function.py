"""`TanhSteps`, the autograd function of the tanh recurrences (see `recurrence`).

It computes the rows of one step after another in memory that stays in the cache: table lookup, product and tanh, and
backward the gradients of some steps and what they add to the gradients of the weights.

On a CPU where bfloat16 products are slow, float32 products of values rounded to bfloat16 replace them (`kernels`).
"""

from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .beginnings import add_rows_, from_parent, sum_to_parent
from .kernels import fast_tanh_, product_dtype
from .recurrent_products import add_matmul_

__all__ = []

# On a CPU, gradients of weights are added in products of up to this many rows.
_n_rows = 512

_tanh_grad = torch.ops.aten.tanh_backward.grad_input
_relu_grad = torch.ops.aten.threshold_backward.grad_input


class Factors(NamedTuple):
    "What the products of `TanhSteps` read, in the dtype of products."

    w: Tensor | None  # (H, H) hidden to hidden, or to the inner layer
    w2: Tensor | None  # (H, H) inner layer to hidden
    w_i: Tensor | None  # (H, n_inp) inputs to hidden
    h0: Tensor | None  # (rows of the first step, H)
    zs: Tensor  # (rows, H) the inner layer, or `hs`
    hs: Tensor  # (rows, H) the states
    inp: Tensor | None  # (rows, n_inp) the inputs, of any dtype


class TanhSteps(torch.autograd.Function):
    """z = x + w h. Then h = tanh(z), or h = tanh(w2 relu(z) + b2) with an inner layer. Returns every h, and the last.

    `w` None: z = x + h, without relu. x is `inp`, or a row of the table `inp`, or w_i inp + b_i."""

    @staticmethod
    def forward(ctx, inp, w, w2, b2, w_i, b_i, h0, beginnings, reads_table):
        ctx.set_materialize_grads(False)
        dtype = product_dtype(inp)
        w, w2, w_i = (_rounded(o, inp.dtype, dtype) for o in (w, w2, w_i))
        b2, b_i, h0 = (_rounded(o, inp.dtype, dtype) for o in (b2, b_i, h0))
        w_t, w2_t = _transposed(w), _transposed(w2)
        n_rows = sum(level.size for level in beginnings.levels)
        hs = inp.new_empty(n_rows, len(w if w2 is None else w2), dtype=dtype)
        zs = hs if w2 is None else torch.empty_like(hs)
        outs = hs if dtype == inp.dtype else torch.empty_like(hs, dtype=inp.dtype)
        ctx.beginnings = beginnings
        ctx.vocab_sz = len(inp) if reads_table else None
        ctx.save_for_backward(*Factors(w, w2, w_i, h0, zs, hs, None if w_i is None else inp))
        if reads_table:
            table = inp.to(dtype)
            places = zip(beginnings.split(beginnings.chars), beginnings.split(zs))
            xs = (torch.index_select(table, 0, chars, out=z) for chars, z in places)
        else:
            xs = beginnings.split(inp) if w_i is None else _projected(inp, w_i, b_i, zs, beginnings.levels)
        h = h0
        for level, x, z, h_next, out in zip(beginnings.levels, xs, *(beginnings.split(o) for o in (zs, hs, outs))):
            _add_recurrent(x, h, w_t, level.parent, z)
            if w2 is not None:
                torch.addmm(b2, z if w is None else z.relu_(), w2_t, out=h_next)
            h = fast_tanh_(h_next)
            if out.dtype != dtype:
                # the next product reads the rounded state
                h.copy_(out.copy_(h))
        last_rows = beginnings.row_of[-1]
        return outs, out.clone() if last_rows is None else out.index_select(0, last_rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, douts, dlast):
        factors = Factors(*ctx.saved_tensors)
        beginnings = ctx.beginnings
        grads = _Grads(factors, beginnings, ctx.vocab_sz, ctx.needs_input_grad[6])
        dh = _last_grad(beginnings, douts, dlast, factors.hs.dtype)
        douts = [None] * len(beginnings.levels) if douts is None else beginnings.split(douts)
        for steps in reversed(_groups(beginnings.levels, factors.hs.is_cuda)):
            dh = grads.add(steps, dh, douts)
        return grads.dinp, grads.dw, grads.dw2, grads.db2, grads.dw_i, grads.db_i, dh, None, None


class _Grads:
    "The gradients of `TanhSteps`, added up from the last step to the first. Those of weights are wide."

    def __init__(self, factors, beginnings, vocab_sz, needs_dh0):
        self.factors = factors
        self.beginnings = beginnings
        self.reads_table = vocab_sz is not None
        self.needs_dh0 = needs_dh0
        self.starts = [0, *accumulate(level.size for level in beginnings.levels)]
        hs = factors.hs
        # sums over rows are wide: in 16 bits small terms would be lost
        wide = torch.promote_types(hs.dtype, torch.float32)
        self.dw, self.dw2, self.dw_i = (_zeros_like(w, wide) for w in factors[:3])
        self.db2 = None if self.dw2 is None else hs.new_zeros(hs.shape[1], dtype=wide)
        self.db_i = None if self.dw_i is None else hs.new_zeros(hs.shape[1], dtype=wide)
        if self.reads_table:
            self.dinp = hs.new_zeros(vocab_sz, hs.shape[1], dtype=wide)
        else:
            self.dinp = torch.empty_like(hs if factors.inp is None else factors.inp, dtype=hs.dtype)

    def add(self, steps, dh, douts):
        "Add consecutive steps. `dh` is the gradient of the last one's h. Returns that of the h before the first."
        hs, zs = self.factors.hs, self.factors.zs
        w, w2 = self.factors.w, self.factors.w2
        levels = self.beginnings.levels
        start, stop = self.starts[steps[0]], self.starts[steps[-1] + 1]
        is_dinp = not self.reads_table and self.dw_i is None
        dz = self.dinp[start:stop] if is_dinp else torch.empty_like(hs[start:stop])
        da = dz if w2 is None else torch.empty_like(dz)
        # the gradients of w h, of which each row of the step before has one
        dz_sums = dz
        sizes = [levels[t].size for t in steps]
        parts = zip(reversed(steps), *(reversed(o.split(sizes)) for o in (da, dz, hs[start:stop], zs[start:stop])))
        for t, da_t, dz_t, h, z in parts:
            _tanh_grad(dh, h, grad_input=da_t)
            if w2 is not None:
                torch.mm(da_t, w2, out=dz_t)
                if w is not None:
                    _relu_grad(dz_t, z, 0, grad_input=dz_t)
            if levels[t].parent is not None:
                dz_t = dz_sums = sum_to_parent(dz_t, levels[t].parent, levels[t - 1].size)
            dh = self._before(t, dz_t, douts)
        self._add_weights(steps[0], dz_sums, da, zs[start:stop])
        self._add_inputs(start, stop, dz)
        return dh

    def _before(self, t, dz, douts):
        "The gradient of the h before step `t`."
        if t == 0 and not self.needs_dh0:
            return None
        dout = douts[t - 1] if t else None
        w = self.factors.w
        if w is None:
            return dz if dout is None else dz + dout
        return dz @ w if dout is None else torch.addmm(dout.to(dz.dtype), dz, w)

    def _add_weights(self, first, dz, da, z):
        if self.dw is not None:
            hs, h0 = self.factors.hs, self.factors.h0
            h = hs[self.starts[first - 1] :][: len(dz)] if first else h0
            if h is not None:
                add_matmul_(self.dw, dz.t(), h)
        if self.dw2 is not None:
            add_matmul_(self.dw2, da.t(), z)
            self.db2 += da.sum(0, dtype=self.db2.dtype)

    def _add_inputs(self, start, stop, dz):
        if self.reads_table:
            add_rows_(self.dinp, self.beginnings.chars[start:stop], dz)
        elif self.dw_i is not None:
            torch.mm(dz, self.factors.w_i, out=self.dinp[start:stop])
            add_matmul_(self.dw_i, dz.t(), self.factors.inp[start:stop].to(dz.dtype))
            self.db_i += dz.sum(0, dtype=self.db_i.dtype)


def _groups(levels, is_cuda):
    "Consecutive steps whose gradients are added at once. On a CPU their rows fit into the cache."
    groups = [[0]]
    for t in range(1, len(levels)):
        group = groups[-1]
        is_like_before = levels[t].parent is None and group[0] > 0 and levels[group[0]].parent is None
        n_rows = (len(group) + 1) * levels[t].size
        if is_like_before and (is_cuda or n_rows <= _n_rows):
            group.append(t)
        else:
            groups.append([t])
    return groups


def _projected(inp, w_i, b_i, zs, levels):
    "w_i inp + b_i for one step after another, in `zs`. A product for some steps at once fits into the cache."
    w_t = w_i.t()
    start = 0
    for steps in _groups(levels, inp.is_cuda):
        sizes = [levels[t].size for t in steps]
        rows = slice(start, start + sum(sizes))
        torch.addmm(b_i, inp[rows].to(zs.dtype), w_t, out=zs[rows])
        yield from zs[rows].split(sizes)
        start = rows.stop


def _zeros_like(w, dtype):
    return None if w is None else torch.zeros_like(w, dtype=dtype, memory_format=torch.contiguous_format)


def _rounded(x, dtype, product_dtype):
    "The values of `x` rounded to `dtype`, in the dtype of products."
    return None if x is None else x.to(dtype).to(product_dtype)


def _transposed(w):
    "A contiguous transposed copy, with which the products of small batches are up to a third faster."
    return None if w is None else w.t().contiguous()


def _add_recurrent(x, h, w_t, parent, out):
    """x + w h in `out`, which may be `x`. The rows of `h` are those of the step before; None: zeros.

    Not `@`, which autocast would round."""
    if h is None:
        out.copy_(x)
    elif w_t is None:
        torch.add(from_parent(h, parent), x, out=out)
    elif parent is None:
        torch.addmm(x, h, w_t, out=out) if x.dtype == out.dtype else out.copy_(x).addmm_(h, w_t)
    else:
        product = torch.mm(h, w_t, out=torch.empty_like(h))
        torch.add(from_parent(product, parent), x, out=out)


def _last_grad(beginnings, douts, dlast, dtype):
    "The gradient of the states of the last level."
    dout = None if douts is None else beginnings.split(douts)[-1].to(dtype)
    if dlast is None:
        return dout
    dlast = sum_to_parent(dlast.to(dtype), beginnings.row_of[-1], beginnings.levels[-1].size)
    return dlast if dout is None else dout + dlast
