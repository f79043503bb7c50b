"""The recurrences of training, with their gradients by hand: one weight-gradient product for all steps instead of one a step.

After one character there are only V states, so that the first step, and the second step's product, have V rows, not bs.
All later states lie in one (n-1, bs, n_hid) buffer, so that each weight's gradient is one product over all of its rows.
Same values and gradients as the loop in `models.CharModel.read`, to rounding; `tests/test_models.py` holds it.
"""
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["tanh_steps", "concat_steps"]


def tanh_steps(
    table:Tensor, # (V, n_hid) what each character contributes
    x:Tensor, # (n, bs) int64 characters, time first
    w:Tensor # (n_hid, n_hid) hidden to hidden
) -> Tensor: # (bs, n_hid) the last state
    "`h = tanh(table[c] + w h)` over a window, from zeros."
    return _TanhSteps.apply(table, x, w.to(table.dtype))


def concat_steps(
    table:Tensor, # (V, n_hid) what each character contributes to the inner layer
    x:Tensor, # (n, bs) int64 characters, time first
    w:Tensor, # (n_hid, n_hid) hidden to inner layer
    w2:Tensor, # (n_hid, n_hid) inner layer to hidden
    b2:Tensor # (n_hid,)
) -> Tensor: # (bs, n_hid) the last state
    "`h = tanh(w2 relu(table[c] + w h) + b2)` over a window, from zeros."
    return _ConcatSteps.apply(table, x, *(o.to(table.dtype) for o in (w, w2, b2)))


class _TanhSteps(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table, x, w):
        h0 = table.tanh()
        h = _look_up(table, x[1:]) # (n-1, bs, n_hid): each later step's input, then its state
        for t in range(len(h)): (h[t].addmm_(h[t-1], w.t()) if t else h[0].add_(_look_up(h0 @ w.t(), x[0]))).tanh_()
        ctx.save_for_backward(x, w, h0, h)
        return h[-1].clone() if len(h) else _look_up(h0, x[0])

    @staticmethod
    @once_differentiable
    def backward(ctx, dh):
        x,w,h0,h = ctx.saved_tensors
        V,da = len(h0),torch.empty_like(h) # gradients of what goes into each later tanh
        for t in range(len(h)-1, -1, -1):
            _tanh_grad(dh, h[t], grad_input=da[t])
            if t: dh = da[t] @ w
        first,dh0 = _first_step(da, dh, x[0], w, V)
        return _table_grad(da, x[1:], V) + dh0*(1-h0*h0),None,_outer(da[1:], h[:-1]).addmm_(first.t(), h0)


class _ConcatSteps(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table, x, w, w2, b2):
        r0 = table.relu()
        h0 = torch.addmm(b2, r0, w2.t()).tanh_()
        r = _look_up(table, x[1:]) # (n-1, bs, n_hid): each later step's input, then its inner layer
        h = torch.empty_like(r)
        for t in range(len(h)):
            (r[t].addmm_(h[t-1], w.t()) if t else r[0].add_(_look_up(h0 @ w.t(), x[0]))).relu_()
            torch.addmm(b2, r[t], w2.t(), out=h[t]).tanh_()
        ctx.save_for_backward(x, w, w2, r0, h0, r, h)
        return h[-1].clone() if len(h) else _look_up(h0, x[0])

    @staticmethod
    @once_differentiable
    def backward(ctx, dh):
        x,w,w2,r0,h0,r,h = ctx.saved_tensors
        V,da,dr = len(h0),torch.empty_like(h),torch.empty_like(h) # gradients of what goes into each later tanh, into each later relu
        for t in range(len(h)-1, -1, -1):
            _tanh_grad(dh, h[t], grad_input=da[t])
            torch.ops.aten.threshold_backward.grad_input(da[t] @ w2, r[t], 0, grad_input=dr[t])
            if t: dh = dr[t] @ w
        first,dh0 = _first_step(dr, dh, x[0], w, V)
        da0 = dh0*(1-h0*h0)
        dr0 = (da0 @ w2)*(r0 > 0)
        dw,dw2 = _outer(dr[1:], h[:-1]).addmm_(first.t(), h0),_outer(da, r).addmm_(da0.t(), r0)
        return _table_grad(dr, x[1:], V)+dr0,None,dw,dw2,da.sum((0, 1))+da0.sum(0)


def _first_step(d, dh, x0, w, V):
    "Gradients where `w` first meets the V states after one character, and of these states: both (V, n_hid), rows that began alike summed."
    if not len(d): return dh.new_zeros(V, dh.shape[1]),_table_grad(dh, x0, V)
    first = _table_grad(d[0], x0, V)
    return first,first @ w


_tanh_grad = torch.ops.aten.tanh_backward.grad_input


def _look_up(table, x): return table.index_select(0, x.flatten()).view(*x.shape, table.shape[1]) # (V, k), (…) -> (…, k)


def _outer(a, b):
    "The sum over steps and rows of the outer products of `a` and `b`, both (n, bs, n_hid): one product."
    return a.flatten(0, 1).t() @ b.flatten(0, 1)


def _table_grad(d, x, n_rows):
    "What flows back to each row of the table: the sum of `d` (n, bs, k) where `x` (n, bs) looked it up."
    return torch.ops.aten.embedding_dense_backward(d, x, n_rows, -1, False)
