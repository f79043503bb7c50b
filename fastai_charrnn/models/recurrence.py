"""The tanh recurrences over windows and sequences, with gradients computed by hand.

`tanh_rows` and `concat_rows` compute the states of packed rows: one row for each different beginning of a batch's
windows (`beginnings`). In a sequence that continues a state, each row of the batch is one.

The gradient of each weight is one product over all steps. On a CPU where bfloat16 products are slow, float32 products
of values rounded to bfloat16 replace them (`kernels`). Values and gradients equal those of the loop in
`CharModel.forward_seq` to rounding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .beginnings import Beginnings, every_row, find_beginnings, from_parent, sum_to_parent
from .kernels import has_fast_tanh, product_dtype
from .tracing import is_traced

__all__ = [
    "tanh_steps",
    "concat_steps",
    "tanh_sequence",
    "concat_sequence",
    "tanh_rows",
    "concat_rows",
    "fast_tanh_",
    "table_lookup",
]

_tanh_grad = torch.ops.aten.tanh_backward.grad_input
_relu_grad = torch.ops.aten.threshold_backward.grad_input


def tanh_steps(
    table: Tensor,  # (V, n_hid) what each character contributes
    x: Tensor,  # (n, bs) int64 characters, time first
    w: Tensor,  # (n_hid, n_hid) hidden to hidden
) -> Tensor:  # (bs, n_hid) the last state
    "`h = tanh(table[c] + w h)` over a window, starting with zeros."
    beginnings = find_beginnings(x, len(table))
    return tanh_rows(table_lookup(table, beginnings.chars), beginnings, w)[1]


def concat_steps(
    table: Tensor,  # (V, n_hid) what each character contributes to the inner layer
    x: Tensor,  # (n, bs) int64 characters, time first
    w: Tensor,  # (n_hid, n_hid) hidden to inner layer
    w2: Tensor,  # (n_hid, n_hid) inner layer to hidden
    b2: Tensor,  # (n_hid,)
) -> Tensor:  # (bs, n_hid) the last state
    "`h = tanh(w2 relu(table[c] + w h) + b2)` over a window, starting with zeros."
    beginnings = find_beginnings(x, len(table))
    return concat_rows(table_lookup(table, beginnings.chars), beginnings, w, w2, b2)[1]


def tanh_sequence(
    inp: Tensor,  # (n, bs, n_hid) what each character contributes
    w: Tensor,  # (n_hid, n_hid) hidden to hidden
    h: Tensor,  # (bs, n_hid) the state before the first character
) -> tuple[Tensor, Tensor]:  # every state (n, bs, n_hid), and the last one
    "`h = tanh(inp + w h)` over a sequence."
    outs, last = _Steps.apply(inp.flatten(0, 1), w, None, None, h.to(inp.dtype), every_row(*inp.shape[:2]))
    return outs.view(inp.shape), last


def concat_sequence(
    inp: Tensor,  # (n, bs, n_hid) what each character contributes to the inner layer
    w: Tensor,  # (n_hid, n_hid) hidden to inner layer
    w2: Tensor,  # (n_hid, n_hid) inner layer to hidden
    b2: Tensor,  # (n_hid,)
    h: Tensor,  # (bs, n_hid) the state before the first character
) -> tuple[Tensor, Tensor]:  # every state (n, bs, n_hid), and the last one
    "`h = tanh(w2 relu(inp + w h) + b2)` over a sequence."
    outs, last = _Steps.apply(inp.flatten(0, 1), w, w2, b2, h.to(inp.dtype), every_row(*inp.shape[:2]))
    return outs.view(inp.shape), last


def tanh_rows(
    inp: Tensor,  # (rows, n_hid) what the last character of each beginning contributes
    beginnings: Beginnings,
    w: Tensor,  # (n_hid, n_hid) hidden to hidden
) -> tuple[Tensor, Tensor]:  # the state after each beginning (rows, n_hid), after each window (bs, n_hid)
    "`h = tanh(inp + w h)` for all beginnings of windows, starting with zeros."
    return _Steps.apply(inp, w, None, None, None, beginnings)


def concat_rows(
    inp: Tensor,  # (rows, n_hid) what the last character of each beginning contributes to the inner layer
    beginnings: Beginnings,
    w: Tensor,  # (n_hid, n_hid) hidden to inner layer
    w2: Tensor,  # (n_hid, n_hid) inner layer to hidden
    b2: Tensor,  # (n_hid,)
) -> tuple[Tensor, Tensor]:  # the state after each beginning (rows, n_hid), after each window (bs, n_hid)
    "`h = tanh(w2 relu(inp + w h) + b2)` for all beginnings of windows, starting with zeros."
    return _Steps.apply(inp, w, w2, b2, None, beginnings)


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

    On a CPU without a fast tanh it is 2σ(2x) - 1 (see `kernels`). In 16 bits this form would be too coarse."""
    # PyTorch checks a trace by a second one without gradients, which must be the same
    if x.requires_grad or torch.jit.is_tracing():
        return x.tanh()
    if x.device.type != "cpu" or has_fast_tanh() or x.dtype not in (torch.float32, torch.float64):
        return x.tanh_()
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


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


class _Steps(torch.autograd.Function):
    "z = inp + w h. Then h = tanh(z), or h = tanh(w2 relu(z) + b2) with an inner layer. Returns every h, and the last."

    @staticmethod
    def forward(ctx, inp, w, w2, b2, h0, beginnings):
        ctx.set_materialize_grads(False)
        dtype = product_dtype(inp)
        w, h0 = _rounded(w, inp.dtype, dtype), _rounded(h0, inp.dtype, dtype)
        w2, b2 = _rounded(w2, inp.dtype, dtype), _rounded(b2, inp.dtype, dtype)
        w_t, w2_t = _transposed(w), _transposed(w2)
        hs = inp.new_empty(inp.shape, dtype=dtype)
        zs = hs if w2 is None else torch.empty_like(hs)
        outs = hs if dtype == inp.dtype else torch.empty_like(inp)
        h = h0
        inps, all_outs = beginnings.split(inp), beginnings.split(outs)
        for level, x, z, h_next, out in zip(
            beginnings.levels, inps, beginnings.split(zs), beginnings.split(hs), all_outs
        ):
            _add_recurrent(x, h, w_t, level.parent, z)
            if w2 is not None:
                torch.addmm(b2, z.relu_(), w2_t, out=h_next)
            h = fast_tanh_(h_next)
            if out.dtype != dtype:
                # the next product reads the rounded state
                h.copy_(out.copy_(h))
        ctx.beginnings = beginnings
        ctx.save_for_backward(w, w2, h0, zs, hs)
        last_rows = beginnings.row_of[-1]
        return outs, out.clone() if last_rows is None else out.index_select(0, last_rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, douts, dlast):
        w, w2, h0 = ctx.saved_tensors[:3]
        zs, hs = ctx.saved_tensors[3:]
        beginnings = ctx.beginnings
        levels = beginnings.levels
        das = torch.empty_like(hs)
        dzs = das if w2 is None else torch.empty_like(hs)
        h, z = beginnings.split(hs), beginnings.split(zs)
        da, dz = beginnings.split(das), beginnings.split(dzs)
        douts = [None] * len(levels) if douts is None else beginnings.split(douts.to(hs.dtype))
        dh = _last_grad(beginnings, douts[-1], dlast, hs.dtype)
        # for each level, the gradients of what continues the same beginning of the level before
        sums = list(dz)
        for t in reversed(range(len(levels))):
            _tanh_grad(dh, h[t], grad_input=da[t])
            if w2 is not None:
                _relu_grad(da[t] @ w2, z[t], 0, grad_input=dz[t])
            if t:
                sums[t] = sum_to_parent(dz[t], levels[t].parent, levels[t - 1].size)
                dh = sums[t] @ w if douts[t - 1] is None else torch.addmm(douts[t - 1], sums[t], w)
        dh0 = dz[0] @ w if ctx.needs_input_grad[4] else None
        dw = _weight_grad(beginnings, dzs, sums, hs, h0)
        if w2 is None:
            return dzs, dw, None, None, dh0, None
        wide = torch.promote_types(hs.dtype, torch.float32)
        return dzs, dw, das.t() @ zs, das.sum(0, dtype=wide), dh0, None


def _rounded(x, dtype, product_dtype):
    "The values of `x` rounded to `dtype`, in the dtype of products."
    return None if x is None else x.to(dtype).to(product_dtype)


def _transposed(w):
    "A contiguous transposed copy, with which the products of small batches are up to a third faster."
    return None if w is None else w.t().contiguous()


def _add_recurrent(x, h, w_t, parent, out):
    "x + w h. The rows of `h` are those of the level before; None: zeros. Not `@`, which autocast would round."
    if h is None:
        out.copy_(x)
    elif parent is None:
        torch.addmm(x, h, w_t, out=out) if x.dtype == out.dtype else out.copy_(x).addmm_(h, w_t)
    else:
        product = torch.mm(h, w_t, out=torch.empty_like(h))
        torch.add(from_parent(product, parent), x, out=out)


def _last_grad(beginnings, dout, dlast, dtype):
    "The gradient of the states of the last level."
    if dlast is None:
        return dout
    dlast = sum_to_parent(dlast.to(dtype), beginnings.row_of[-1], beginnings.levels[-1].size)
    return dlast if dout is None else dout + dlast


def _weight_grad(beginnings, dzs, sums, hs, h0):
    """The gradient of w, in float32 for 16 bits: one product for all levels that have the rows of the batch.

    `dzs` are gradients of w h. `sums` adds those up for each row of the level before."""
    h = beginnings.split(hs)
    wide = torch.promote_types(hs.dtype, torch.float32)
    dw = hs.new_zeros(hs.shape[1], hs.shape[1], dtype=wide)
    if h0 is not None:
        _add_product(dw, sums[0].t(), h0)
    n_shared = sum(level.parent is not None for level in beginnings.levels)
    for t in range(1, n_shared + 1):
        _add_product(dw, sums[t].t(), h[t - 1])
    n_rows = sum(level.size for level in beginnings.levels[n_shared + 1 :])
    if n_rows:
        last = len(h[-1])
        _add_product(dw, dzs[-n_rows:].t(), hs[-n_rows - last : -last])
    return dw


def _add_product(out, a, b):
    return out.addmm_(a, b) if a.dtype == out.dtype else out.add_(a @ b)
