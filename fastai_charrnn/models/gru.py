"""GRU over a sequence, with gradients computed by hand (`gru_steps`). See `gated` for the dtypes."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .beginnings import Beginnings, Level, from_parent, sum_to_parent
from .kernels import fast_tanh_, product_dtype
from .recurrent_products import (
    InputGrads,
    Inputs,
    add_matmul_,
    find_groups,
    rounded,
    split_rows,
    sum_of,
    weight_grad,
    wide_dtype,
)

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
    outs, h = _run(inp.flatten(0, 1), None, weight_hh, bias_n, h0, [Level(bs, None)] * n)
    return outs.unflatten(0, (n, bs)), h


def gru_rows(
    inp: Tensor,  # (rows, 3H) pre-activations after each beginning, or a table (V, 3H)
    beginnings: Beginnings,  # of the windows or rows of a batch
    weight_hh: Tensor,  # (3H, H) hidden to gates
    bias_n: Tensor,  # (H,) hidden bias of the candidate
    h0: Tensor | None = None,  # (bs, H), if beginnings are not shared; None: zeros
    reads_table: bool = False,  # whether `inp` is a table, whose rows `beginnings.chars` names
) -> tuple[Tensor, Tensor]:  # outs (rows, H), h (bs, H)
    "`gru_steps` for all beginnings of windows."
    chars = beginnings.chars if reads_table else None
    outs, h = _run(inp, chars, weight_hh, bias_n, h0, beginnings.levels)
    return outs, beginnings.last(h)


def _run(inp, chars, w, bias, h0, levels):
    "Choose the dtypes. Autocast would round some products, and not others."
    dtype = product_dtype(inp)
    round_to = None if dtype == inp.dtype else inp.dtype
    wide = wide_dtype(dtype)
    h0 = None if h0 is None else h0.to(wide)
    with torch.autocast(inp.device.type, enabled=False):
        table = inp if chars is None else inp.to(dtype)
        hs, h = _Gru.apply(table, chars, w.to(inp.dtype).to(dtype), bias.to(wide), h0, levels, round_to)
    return hs.to(inp.dtype), h


class _Step(NamedTuple):
    "The rows of one step, as views of the rows of all steps."

    parent: Tensor | None  # (rows,) int64, see `beginnings`
    gates: Tensor  # (rows, 3H)
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
        rows = (gates, gates[:, : 2 * n_hid], *gates.chunk(3, -1), *others)
        views = zip(*(split_rows(o, sizes) for o in rows))
        return [cls(level.parent, *view) for level, view in zip(levels, views)]


class _Gru(torch.autograd.Function):
    "Returns the h of all steps, and the last one, with wide numbers. `h0` is None for zeros."

    @staticmethod
    def forward(ctx, inp, chars, w, bias, h0, levels, round_to):
        ctx.set_materialize_grads(False)
        n_rows = sum(level.size for level in levels)
        gates = bias.new_empty(n_rows, len(w))
        hidden_ns = bias.new_empty(n_rows, w.shape[1])
        hs = torch.empty_like(hidden_ns)
        inputs = Inputs(inp, chars, [level.size for level in levels])
        weight_t = w.t().contiguous()
        h = h0
        for t, step in enumerate(_Step.list_of(levels, gates, hidden_ns, hs)):
            inputs.copy_to(t, step.gates)
            hidden = None if h is None else torch.mm(rounded(h, round_to).to(w.dtype), weight_t)
            h = _next_state(step, h, hidden, bias)
        ctx.save_for_backward(chars, w, h0, gates, hidden_ns, hs)
        ctx.levels = levels
        ctx.round_to = round_to
        ctx.n_inputs = len(inp)
        return hs, h.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, dhs, dh):
        chars, w, h0 = ctx.saved_tensors[:3]
        gates, hidden_ns, hs = ctx.saved_tensors[3:]
        sizes = [level.size for level in ctx.levels]
        n_hid = w.shape[1]
        steps = _Step.list_of(ctx.levels, gates, hidden_ns, hs)
        groups = find_groups(ctx.levels, h0 is not None, w.dtype)
        # The gradients of W_n h + b_n, r, z and n. The last three are those of `inp`, the first three those of W h.
        dinp = InputGrads(chars, (ctx.n_inputs, 4 * n_hid), w, groups)
        w = w.roll(n_hid, 0)
        dw = None
        dbias = hs.new_zeros(n_hid)
        dhs = split_rows(dhs, sizes)
        dh = sum_of(dh, dhs[-1], steps[-1].h)
        for group in reversed(groups):
            rows = dinp.of(group)
            for t, grads in reversed(list(zip(group.steps, rows.split(sizes[group.steps[0]])))):
                h_prev = steps[t - 1].h if t else h0
                dh = _state_grad(steps[t], h_prev, dh, grads)
                dz = grads[:, : 3 * n_hid]
                if h_prev is not None:
                    dz = sum_to_parent(dz, steps[t].parent, len(h_prev))
                    add_matmul_(dh, dz, w)
                if t and dhs[t - 1] is not None:
                    dh += dhs[t - 1]
            if h_prev is not None:
                before = rounded(group.states_before(h0, hs), ctx.round_to).to(w.dtype)
                dw = weight_grad(dw, dz if len(group.steps) == 1 else rows[:, : 3 * n_hid], before)
            dbias += rows[:, :n_hid].sum(0, dtype=hs.dtype)
            dinp.add(group, rows)
        dw = torch.zeros_like(w) if dw is None else dw
        return dinp.total[:, n_hid:], None, dw.roll(-n_hid, 0), dbias, dh, None, None


def _next_state(step, h, hidden, bias):
    "The next h, from the pre-activations in `step.gates`."
    n_hid = len(bias)
    if h is None:
        step.hidden_n.copy_(bias)
    else:
        hidden = from_parent(hidden, step.parent)
        step.rz.add_(hidden[:, : 2 * n_hid])
        torch.add(hidden[:, 2 * n_hid :], bias, out=step.hidden_n)
    step.rz.sigmoid_()
    fast_tanh_(step.n.addcmul_(step.r, step.hidden_n))
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
