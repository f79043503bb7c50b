"""LSTM and GRU over a sequence, with gradients computed by hand (`lstm_steps`, `gru_steps`).

Forward and backward take one matrix product a step. Each weight's gradient is one product over all steps at the end.
The caller computes `inp`, everything that does not depend on the state, for all steps at once.

In float64 and float32, values and gradients equal those of PyTorch's layers to rounding. If `inp` is bfloat16, then
products, pre-activations and outputs are bfloat16, while gates, cells and sums stay float32. On a CPU with AVX512-BF16
these products are 4-5 times as fast.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .recurrence import fast_tanh_

__all__ = ["lstm_steps", "gru_steps", "lstm_cell"]

_sigmoid_grad = torch.ops.aten.sigmoid_backward.grad_input
_tanh_grad = torch.ops.aten.tanh_backward.grad_input


class LstmGates(NamedTuple):
    "The four blocks of the gates' columns (…, 4H)."

    i: Tensor  # input gate
    f: Tensor  # forget gate
    g: Tensor  # new content
    o: Tensor  # output gate


def lstm_steps(
    inp: Tensor,  # (n, bs, 4H) pre-activations of the gates i, f, g, o, biases included
    weight_hh: Tensor,  # (4H, H) hidden to gates
    h0: Tensor,  # (bs, H)
    c0: Tensor,  # (bs, H)
    mul: Tensor | None = None,  # (n, bs, H) factors of h before each product; None: no factors
) -> tuple[Tensor, Tensor, Tensor]:  # outs (n, bs, H), h (bs, H), c (bs, H)
    """`c = σ(f) c + σ(i) tanh(g); h = σ(o) tanh(c)`, with `(i, f, g, o) = inp + weight_hh (mul h)`.

    Without `mul`, this is `torch.nn.LSTM`."""
    if mul is not None:
        mul = mul.to(inp.dtype)
    outs, c = _Lstm.apply(inp, weight_hh.to(inp.dtype), h0.to(inp.dtype), c0.to(_wide_dtype(inp)), mul)
    return outs, outs[-1], c


def gru_steps(
    inp: Tensor,  # (n, bs, 3H) pre-activations of r, z, n: input biases, and the hidden biases of r and z
    weight_hh: Tensor,  # (3H, H) hidden to gates
    bias_n: Tensor,  # (H,) hidden bias of the candidate, inside the reset gate
    h0: Tensor,  # (bs, H)
) -> tuple[Tensor, Tensor]:  # outs (n, bs, H), h (bs, H)
    "`h = (1-z) tanh(n + r (W_n h + b_n)) + z h`, as `torch.nn.GRU`."
    wide = _wide_dtype(inp)
    outs = _Gru.apply(inp, weight_hh.to(inp.dtype), bias_n.to(wide), h0.to(wide))
    return outs, outs[-1]


def lstm_cell(
    gates: Tensor,  # (bs, 4H) pre-activations of the gates i, f, g, o
    c: Tensor,  # (bs, H)
) -> tuple[Tensor, Tensor]:  # h, c
    "One step of an LSTM, with autograd's gradients."
    gate = LstmGates(*gates.chunk(4, -1))
    # for the few rows of a generated text, one call of tanh is faster than the four of `fast_tanh_`
    c = gate.f.sigmoid() * c + gate.i.sigmoid() * gate.g.tanh()
    return gate.o.sigmoid() * c.tanh(), c


def _wide_dtype(x):
    "The dtype of gates and sums: float32 for 16-bit inputs."
    return torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else x.dtype


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inp, w, h0, c0, mul):
        n, bs, n_gates = inp.shape
        n_hid = n_gates // 4
        z = inp.new_empty(bs, n_gates)
        h_wide = c0.new_empty(bs, n_hid)
        gates = c0.new_empty(n, bs, n_gates)
        cs = c0.new_empty(n + 1, bs, n_hid)
        tanh_cs = c0.new_empty(n, bs, n_hid)
        outs = h0.new_empty(n, bs, n_hid)
        cs[0] = c0
        # what goes into the products, if it is not h itself
        scaled = None if mul is None else torch.empty_like(outs)
        h = h0
        weight_t = w.t()
        for t in range(n):
            if mul is not None:
                h = torch.mul(h, mul[t], out=scaled[t])
            torch.addmm(inp[t], h, weight_t, out=z)
            gate = _activate(gates[t].copy_(z))
            c = torch.mul(gate.f, cs[t], out=cs[t + 1]).addcmul_(gate.i, gate.g)
            tanh_c = fast_tanh_(tanh_cs[t].copy_(c))
            h = outs[t].copy_(torch.mul(gate.o, tanh_c, out=h_wide))
        # An output must be saved as itself. If it were a view, the node would keep itself alive.
        ctx.save_for_backward(w, gates, cs, tanh_cs, h0, outs, scaled, mul)
        return outs, cs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, douts, dc_last):
        w, gates, cs = ctx.saved_tensors[:3]
        tanh_cs, h0, outs = ctx.saved_tensors[3:6]
        scaled, mul = ctx.saved_tensors[6:]
        n, bs, n_hid = tanh_cs.shape
        h_prevs = torch.cat([h0[None], outs[:-1]])
        dinp = w.new_empty(n, bs, 4 * n_hid)
        dmul = None if mul is None else torch.empty_like(mul)
        dz = cs.new_empty(bs, 4 * n_hid)
        dgate = LstmGates(*dz.chunk(4, -1))
        dc = dc_last.to(cs.dtype, copy=True)
        dh = torch.empty_like(dc)
        tmp = torch.empty_like(dc)
        dh_next = None
        for t in reversed(range(n)):
            gate = LstmGates(*gates[t].chunk(4, -1))
            c_prev = cs[t]
            tanh_c = tanh_cs[t]
            if dh_next is None:
                dh.copy_(douts[t])
            else:
                torch.add(dh_next, douts[t], out=dh)
            _sigmoid_grad(torch.mul(dh, tanh_c, out=tmp), gate.o, grad_input=dgate.o)
            dc += _tanh_grad(torch.mul(dh, gate.o, out=tmp), tanh_c, grad_input=tmp)
            _sigmoid_grad(torch.mul(dc, gate.g, out=tmp), gate.i, grad_input=dgate.i)
            _sigmoid_grad(torch.mul(dc, c_prev, out=tmp), gate.f, grad_input=dgate.f)
            _tanh_grad(torch.mul(dc, gate.i, out=tmp), gate.g, grad_input=dgate.g)
            dc *= gate.f
            dh_next = dinp[t].copy_(dz) @ w
            if mul is not None:
                torch.mul(dh_next, h_prevs[t], out=dmul[t])
                dh_next *= mul[t]
        factors = h_prevs if scaled is None else scaled
        dw = dinp.flatten(0, 1).t() @ factors.flatten(0, 1)
        return dinp, dw, dh_next, dc, dmul


def _activate(gates):
    """The gates from their pre-activations, in place.

    One sigmoid computes all four, as tanh(g) = 2σ(2g) - 1. On an AMD EPYC PyTorch's tanh costs ten sigmoids."""
    gate = LstmGates(*gates.chunk(4, -1))
    gate.g.mul_(2)
    gates.sigmoid_()
    gate.g.mul_(2).sub_(1)
    return gate


class _Gru(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inp, w, bias, h0):
        n, bs, n_gates = inp.shape
        n_hid = n_gates // 3
        rz = slice(0, 2 * n_hid)
        gates = inp.new_empty(n, bs, n_gates, dtype=h0.dtype)
        # W_n h + b_n
        hidden_ns = h0.new_empty(n, bs, n_hid)
        hs = h0.new_empty(n + 1, bs, n_hid)
        hs[0] = h0
        weight_t = w.t()
        for t in range(n):
            x, h = inp[t], hs[t]
            hidden = h.to(w.dtype) @ weight_t
            hidden_n = torch.add(hidden[:, 2 * n_hid :], bias, out=hidden_ns[t])
            gate = gates[t]
            gate[:, rz].copy_(x[:, rz]).add_(hidden[:, rz]).sigmoid_()
            r, z, candidate = gate.chunk(3, -1)
            candidate.copy_(x[:, 2 * n_hid :]).addcmul_(r, hidden_n)
            torch.lerp(fast_tanh_(candidate), h, z, out=hs[t + 1])
        ctx.save_for_backward(w, gates, hidden_ns, hs)
        # A copy: a view of what the node saves would keep the node alive.
        return hs[1:].to(inp.dtype, copy=True)

    @staticmethod
    @once_differentiable
    def backward(ctx, douts):
        w, gates = ctx.saved_tensors[:2]
        hidden_ns, hs = ctx.saved_tensors[2:]
        n, bs, n_hid = hidden_ns.shape
        # gradients of `inp` and of W h, which differ in the candidate: its hidden part is scaled by r
        dinp = w.new_empty(n, bs, 3 * n_hid)
        dhidden = w.new_empty(n, bs, 3 * n_hid)
        dgates = hs.new_empty(bs, 3 * n_hid)
        dr, dz, dn = dgates.chunk(3, -1)
        dh_next = hs.new_zeros(bs, n_hid)
        dh = torch.empty_like(dh_next)
        tmp = torch.empty_like(dh_next)
        for t in reversed(range(n)):
            r, z, candidate = gates[t].chunk(3, -1)
            torch.add(dh_next, douts[t], out=dh)
            _sigmoid_grad(torch.sub(hs[t], candidate, out=tmp).mul_(dh), z, grad_input=dz)
            torch.mul(dh, z, out=dh_next)
            _tanh_grad(torch.sub(dh, dh_next, out=tmp), candidate, grad_input=dn)
            _sigmoid_grad(torch.mul(dn, hidden_ns[t], out=tmp), r, grad_input=dr)
            dinp[t].copy_(dgates)
            dhidden_t = dhidden[t].copy_(dgates)
            dhidden_t[:, 2 * n_hid :] = torch.mul(dn, r, out=tmp)
            dh_next += dhidden_t @ w
        h_prevs = hs[:-1].reshape(n * bs, n_hid).to(w.dtype)
        dw = dhidden.flatten(0, 1).t() @ h_prevs
        dbias = dhidden[..., 2 * n_hid :].sum((0, 1), dtype=hs.dtype)
        return dinp, dw, dbias, dh_next
