"""`TanhSteps`, the autograd function of the tanh recurrences (see `recurrence`).

It computes the rows of one step after another in memory that stays in the cache: table lookup, product and tanh, and
backward the gradients of some steps and what they add to the gradients of the weights.

On a CPU where bfloat16 products are slow, float32 products of values rounded to bfloat16 replace them (`kernels`).
"""

from itertools import accumulate

import torch
from torch.autograd.function import once_differentiable

from .beginnings import add_rows_, from_parent, sum_to_parent
from .kernels import fast_tanh_, product_dtype

__all__ = []

# On a CPU, gradients of weights are added in products of up to this many rows.
_n_rows = 512

_tanh_grad = torch.ops.aten.tanh_backward.grad_input
_relu_grad = torch.ops.aten.threshold_backward.grad_input


class TanhSteps(torch.autograd.Function):
    "z = inp + w h. Then h = tanh(z), or h = tanh(w2 relu(z) + b2) with an inner layer. Returns every h, and the last."

    @staticmethod
    def forward(ctx, inp, w, w2, b2, h0, beginnings, reads_table):
        ctx.set_materialize_grads(False)
        dtype = product_dtype(inp)
        w, h0 = _rounded(w, inp.dtype, dtype), _rounded(h0, inp.dtype, dtype)
        w2, b2 = _rounded(w2, inp.dtype, dtype), _rounded(b2, inp.dtype, dtype)
        w_t, w2_t = _transposed(w), _transposed(w2)
        n_rows = sum(level.size for level in beginnings.levels)
        hs = w.new_empty(n_rows, w.shape[1])
        zs = hs if w2 is None else torch.empty_like(hs)
        outs = hs if dtype == inp.dtype else torch.empty_like(hs, dtype=inp.dtype)
        inps = _rows_of_steps(inp.to(dtype) if reads_table else inp, beginnings, reads_table)
        h = h0
        rows = zip(beginnings.levels, inps, beginnings.split(zs), beginnings.split(hs), beginnings.split(outs))
        for level, x, z, h_next, out in rows:
            _add_recurrent(x, h, w_t, level.parent, z)
            if w2 is not None:
                torch.addmm(b2, z.relu_(), w2_t, out=h_next)
            h = fast_tanh_(h_next)
            if out.dtype != dtype:
                # the next product reads the rounded state
                h.copy_(out.copy_(h))
        ctx.beginnings = beginnings
        ctx.vocab_sz = len(inp) if reads_table else None
        ctx.save_for_backward(w, w2, h0, zs, hs)
        last_rows = beginnings.row_of[-1]
        return outs, out.clone() if last_rows is None else out.index_select(0, last_rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, douts, dlast):
        w, w2, h0 = ctx.saved_tensors[:3]
        zs, hs = ctx.saved_tensors[3:]
        beginnings = ctx.beginnings
        grads = _Grads(beginnings, w, w2, h0, zs, hs, ctx.vocab_sz)
        grads.needs_dh0 = ctx.needs_input_grad[4]
        dh = _last_grad(beginnings, douts, dlast, hs.dtype)
        douts = [None] * len(beginnings.levels) if douts is None else beginnings.split(douts)
        for steps in reversed(_groups(beginnings.levels, hs.is_cuda)):
            dh = grads.add(steps, dh, douts)
        return grads.dinp, grads.dw, grads.dw2, grads.db2, dh, None, None


class _Grads:
    "The gradients of `TanhSteps`, added up from the last step to the first. Those of weights are wide."

    needs_dh0 = False

    def __init__(self, beginnings, w, w2, h0, zs, hs, vocab_sz):
        self.beginnings = beginnings
        self.w = w
        self.w2 = w2
        self.h0 = h0
        self.zs = zs
        self.hs = hs
        self.reads_table = vocab_sz is not None
        wide = torch.promote_types(hs.dtype, torch.float32)
        n_hid = hs.shape[1]
        self.dw = hs.new_zeros(n_hid, n_hid, dtype=wide)
        self.dw2 = None if w2 is None else torch.zeros_like(self.dw)
        self.db2 = None if w2 is None else hs.new_zeros(n_hid, dtype=wide)
        self.dinp = hs.new_zeros(vocab_sz, n_hid, dtype=wide) if self.reads_table else torch.empty_like(hs)
        self.starts = [0, *accumulate(level.size for level in beginnings.levels)]

    def add(self, steps, dh, douts):
        "Add consecutive steps. `dh` is the gradient of the last one's h. Returns that of the h before the first."
        start, stop = self.starts[steps[0]], self.starts[steps[-1] + 1]
        dz = torch.empty_like(self.hs[start:stop]) if self.reads_table else self.dinp[start:stop]
        da = dz if self.w2 is None else torch.empty_like(dz)
        # the gradients of w h, of which each row of the step before has one
        dz_sums = dz
        for t in reversed(steps):
            rows = slice(self.starts[t], self.starts[t + 1])
            part = slice(rows.start - start, rows.stop - start)
            _tanh_grad(dh, self.hs[rows], grad_input=da[part])
            if self.w2 is not None:
                _relu_grad(da[part] @ self.w2, self.zs[rows], 0, grad_input=dz[part])
            sums = dz[part]
            level = self.beginnings.levels[t]
            if level.parent is not None:
                sums = dz_sums = sum_to_parent(sums, level.parent, self.beginnings.levels[t - 1].size)
            dh = self._before(t, sums, douts)
        self._add_weights(steps[0], dz_sums, da, self.zs[start:stop])
        if self.reads_table:
            add_rows_(self.dinp, self.beginnings.chars[start:stop], dz)
        return dh

    def _before(self, t, dz, douts):
        "The gradient of the h before step `t`."
        if t == 0:
            return dz @ self.w if self.needs_dh0 else None
        dout = douts[t - 1]
        return dz @ self.w if dout is None else torch.addmm(dout.to(dz.dtype), dz, self.w)

    def _add_weights(self, first, dz, da, z):
        if first:
            _add_product(self.dw, dz.t(), self.hs[self.starts[first - 1] :][: len(dz)])
        elif self.h0 is not None:
            _add_product(self.dw, dz.t(), self.h0)
        if self.w2 is not None:
            _add_product(self.dw2, da.t(), z)
            self.db2 += da.sum(0, dtype=self.db2.dtype)


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


def _rows_of_steps(inp, beginnings, reads_table):
    "What each step adds, one step after another."
    if not reads_table:
        return beginnings.split(inp)
    return (inp.index_select(0, chars) for chars in beginnings.split(beginnings.chars))


def _rounded(x, dtype, product_dtype):
    "The values of `x` rounded to `dtype`, in the dtype of products."
    return None if x is None else x.to(dtype).to(product_dtype)


def _transposed(w):
    "A contiguous transposed copy, with which the products of small batches are up to a third faster."
    return None if w is None else w.t().contiguous()


def _add_recurrent(x, h, w_t, parent, out):
    "x + w h. The rows of `h` are those of the step before; None: zeros. Not `@`, which autocast would round."
    if h is None:
        out.copy_(x)
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


def _add_product(out, a, b):
    return out.addmm_(a, b) if a.dtype == out.dtype else out.add_(a @ b)
