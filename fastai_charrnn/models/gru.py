"""GRU over a sequence, with gradients computed by hand (`gru_steps`). See `gated` for the dtypes."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .beginnings import Beginnings, Level, from_parent, sum_to_parent
from .kernels import fast_tanh_
from .recurrent_products import WeightGrad, add_matmul_, add_to, split_rows, sum_of, wide_dtype

__all__ = ["gru_steps", "gru_rows"]

_sigmoid_grad = torch.ops.aten.sigmoid_backward.grad_input
_tanh_grad = torch.ops.aten.tanh_backward.grad_input


def gru_steps(
    inp: Tensor,  # (n, bs, 3H) pre-activations of r, z, n: input biases, and the hidden biases of r and z
    weight_hh: Tensor,  # (3H, H) hidden to gates
    bias_n: Tensor,  # (H,) hidden bias of the candidate, inside the reset gate
    h0: Tensor,  # (bs, H)
) -> tuple[Tensor, Tensor]:  # outs (n, bs, H), h (bs, H)
    "`h = (1-z) tanh(n + r (W_n h + b_n)) + z h`, as `torch.nn.GRU`."
    n, bs, _ = inp.shape
    outs, h = _run(inp.flatten(0, 1), weight_hh, bias_n, h0, [Level(bs, None)] * n)
    return outs.unflatten(0, (n, bs)), h


def gru_rows(
    inp: Tensor,  # (rows, 3H) pre-activations after each beginning
    beginnings: Beginnings,  # of the windows of a batch
    weight_hh: Tensor,  # (3H, H) hidden to gates
    bias_n: Tensor,  # (H,) hidden bias of the candidate
) -> tuple[Tensor, Tensor]:  # outs (rows, H), h (bs, H)
    "`gru_steps` for all beginnings of windows, starting with zeros."
    outs, h = _run(inp, weight_hh, bias_n, None, beginnings.levels)
    return outs, beginnings.last(h)


def _run(inp, w, bias, h0, levels):
    wide = wide_dtype(inp.dtype)
    h0 = None if h0 is None else h0.to(wide)
    hs, h = _Gru.apply(inp, w.to(inp.dtype), bias.to(wide), h0, levels)
    return hs.to(inp.dtype), h


class _Step(NamedTuple):
    "The rows of one step, as views of the rows of all steps."

    parent: Tensor | None  # (rows,) int64, see `beginnings`
    rz: Tensor  # (rows, 2H)
    r: Tensor  # (rows, H), reset gate
    z: Tensor  # update gate
    n: Tensor  # candidate
    hidden_n: Tensor  # W_n h + b_n
    h: Tensor

    @classmethod
    def list_of(cls, levels, gates, *others):
        sizes = [level.size for level in levels]
        n_hid = gates.shape[1] // 3
        rows = (gates[:, : 2 * n_hid], *gates.chunk(3, -1), *others)
        views = zip(*(split_rows(o, sizes) for o in rows))
        return [cls(level.parent, *view) for level, view in zip(levels, views)]


class _Gru(torch.autograd.Function):
    "Returns the h of all steps, and the last one, with wide numbers. `h0` is None for zeros."

    @staticmethod
    def forward(ctx, inp, w, bias, h0, levels):
        ctx.set_materialize_grads(False)
        gates = inp.new_empty(inp.shape, dtype=bias.dtype)
        hidden_ns = bias.new_empty(len(inp), w.shape[1])
        hs = torch.empty_like(hidden_ns)
        steps = _Step.list_of(levels, gates, hidden_ns, hs)
        weight_t = w.t().contiguous()
        h = h0
        for step, x in zip(steps, split_rows(inp, [level.size for level in levels])):
            h = _next_state(step, x, h, weight_t, bias)
        ctx.save_for_backward(w, h0, gates, hidden_ns, hs)
        ctx.levels = levels
        return hs, h.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, dhs, dh):
        w, h0 = ctx.saved_tensors[:2]
        gates, hidden_ns, hs = ctx.saved_tensors[2:]
        sizes = [level.size for level in ctx.levels]
        n_hid = w.shape[1]
        steps = _Step.list_of(ctx.levels, gates, hidden_ns, hs)
        # The gradients of W_n h + b_n, r, z and n. The last three are those of `inp`, the first three those of W h.
        grads = w.new_empty(len(gates), 4 * n_hid)
        dhidden = grads[:, : 3 * n_hid]
        w = w.roll(n_hid, 0)
        dw = WeightGrad(ctx.levels, dhidden, hs, h0)
        dhs = split_rows(dhs, sizes)
        dh = sum_of(dh, dhs[-1], steps[-1].h)
        for t, rows in reversed(list(enumerate(grads.split(sizes)))):
            h_prev = steps[t - 1].h if t else h0
            dh = _state_grad(steps[t], h_prev, dh, rows)
            if h_prev is None:
                break
            dz = sum_to_parent(rows[:, : 3 * n_hid], steps[t].parent, len(h_prev))
            dw.add(t, dz)
            add_matmul_(dh, dz, w)
            if t and dhs[t - 1] is not None:
                dh += dhs[t - 1]
        dbias = grads[:, :n_hid].sum(0, dtype=hs.dtype)
        return grads[:, n_hid:], dw.total.roll(-n_hid, 0), dbias, dh, None


def _next_state(step, x, h, weight_t, bias):
    n_hid = len(bias)
    x_rz, x_n = x[:, : 2 * n_hid], x[:, 2 * n_hid :]
    if h is None:
        step.rz.copy_(x_rz)
        step.hidden_n.copy_(bias)
    else:
        hidden = from_parent(h.to(weight_t.dtype) @ weight_t, step.parent)
        add_to(x_rz, hidden[:, : 2 * n_hid], out=step.rz)
        torch.add(hidden[:, 2 * n_hid :], bias, out=step.hidden_n)
    step.rz.sigmoid_()
    fast_tanh_(step.n.copy_(x_n).addcmul_(step.r, step.hidden_n))
    if h is None:
        return torch.addcmul(step.n, step.z, step.n, value=-1, out=step.h)
    return torch.lerp(step.n, from_parent(h, step.parent), step.z, out=step.h)


def _state_grad(step, h_prev, dh, out):
    "Gradients of W_n h + b_n, r, z and n, in `out`, and of the h before except for what passes through its product."
    grads = out if out.dtype == dh.dtype else torch.empty_like(out, dtype=dh.dtype)
    dhidden_n, dr = grads.chunk(4, -1)[:2]
    dz, dn = grads.chunk(4, -1)[2:]
    change = step.n.neg() if h_prev is None else from_parent(h_prev, step.parent) - step.n
    _sigmoid_grad(change.mul_(dh), step.z, grad_input=dz)
    dkept = dh * step.z
    _tanh_grad(dh - dkept, step.n, grad_input=dn)
    _sigmoid_grad(dn * step.hidden_n, step.r, grad_input=dr)
    torch.mul(dn, step.r, out=dhidden_n)
    if grads is not out:
        out.copy_(grads)
    return None if h_prev is None else sum_to_parent(dkept, step.parent, len(h_prev))
