"""The gated recurrences over n steps, with their gradients by hand: one product a step each way, every weight gradient one product at the end.

Everything that does not depend on the state (`inp`, the input product with its biases) is the caller's and is made for
all steps at once. `inp` names the arithmetic: in float64 and float32 the values and gradients are the library layers' to
rounding; with `inp` in bfloat16 the products, the gates' pre-activations and the outputs are bfloat16 (a CPU with AVX512-BF16
takes them 4-5 times as fast as float32), while the gates, the cell and the sums of the backward pass stay float32.

PyTorch's CPU tanh costs ten sigmoids, so tanh(x) is taken as 2σ(2x)-1.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["lstm_steps", "gru_steps"]

_sigmoid_grad = torch.ops.aten.sigmoid_backward.grad_input
_tanh_grad = torch.ops.aten.tanh_backward.grad_input


def lstm_steps(
    inp: Tensor,  # (n, bs, 4H) pre-activations of the gates i,f,g,o, all biases included
    weight_hh: Tensor,  # (4H, H) hidden to gates
    h0: Tensor,  # (bs, H)
    c0: Tensor,  # (bs, H)
    mul: Tensor | None = None,  # (n, bs, H) what h is multiplied by before each product; None: nothing
) -> tuple[Tensor, Tensor, Tensor]:  # outs (n, bs, H), h (bs, H), c (bs, H)
    "`c = σ(f) c + σ(i) tanh(g); h = σ(o) tanh(c)`, the gates being `inp + weight_hh (mul h)` (without `mul`, as `torch.nn.LSTM`)."
    outs, c = _Lstm.apply(
        inp, weight_hh.to(inp.dtype), h0.to(inp.dtype), c0.to(_wide(inp)), None if mul is None else mul.to(inp.dtype)
    )
    return outs, outs[-1], c


def gru_steps(
    inp: Tensor,  # (n, bs, 3H) pre-activations of r,z,n: input biases, and the hidden ones of r and z
    weight_hh: Tensor,  # (3H, H) hidden to gates
    bias_n: Tensor,  # (H,) hidden bias of the candidate, inside the reset gate
    h0: Tensor,  # (bs, H)
) -> tuple[Tensor, Tensor]:  # outs (n, bs, H), h (bs, H)
    "`h = (1-z) tanh(n + r (W_n h + b_n)) + z h` (as `torch.nn.GRU`)."
    outs = _Gru.apply(inp, weight_hh.to(inp.dtype), bias_n.to(_wide(inp)), h0.to(_wide(inp)))
    return outs, outs[-1]


def _wide(x):
    return torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else x.dtype


def _tanh_(x):
    return x.sigmoid_().mul_(2).sub_(1)  # of x already doubled


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inp, w, h0, c0, mul):
        n, bs, H4 = inp.shape
        H, wt = H4 // 4, w.t()
        z = inp.new_empty(bs, H4)
        tmp = c0.new_empty(bs, H)
        gates = c0.new_empty(n, bs, H4)
        cs = c0.new_empty(n + 1, bs, H)
        tcs = c0.new_empty(n, bs, H)
        outs = h0.new_empty(n, bs, H)
        cs[0] = c0
        ins = None if mul is None else torch.empty_like(outs)  # what goes into the products
        for t, (x, a, h, h_, c, c_, tc) in enumerate(zip(inp, gates, (h0, *outs), outs, cs, cs[1:], tcs)):
            if mul is not None:
                h = torch.mul(h, mul[t], out=ins[t])
            i, f, g, o = a.copy_(torch.addmm(x, h, wt, out=z)).chunk(4, -1)
            g.mul_(2)
            a.sigmoid_()
            torch.mul(f, c, out=c_).addcmul_(i, g.mul_(2).sub_(1))
            h_.copy_(torch.mul(o, _tanh_(torch.mul(c_, 2, out=tc)), out=tmp))
        ctx.save_for_backward(
            w, gates, cs, tcs, h0, outs, ins, mul
        )  # an output is saved as itself: of a view, the node would keep itself alive
        return outs, cs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, douts, dc_n):
        w, gates, cs, tcs, h0, outs, ins, mul = ctx.saved_tensors
        hs = torch.cat([h0[None], outs[:-1]])
        n, bs, H = tcs.shape
        dinp = w.new_empty(n, bs, 4 * H)
        dmul = None if mul is None else torch.empty_like(mul)
        dz, dc, dh = (cs.new_empty(bs, k * H) for k in (4, 1, 1))
        dc.copy_(dc_n)
        di, df, dg, do = dz.chunk(4, -1)
        t1, rec = torch.empty_like(dc), None
        for t, a, c, tc, dout, dx in zip(
            range(n - 1, -1, -1), *(reversed(o.unbind()) for o in (gates, cs[:-1], tcs, douts, dinp))
        ):
            i, f, g, o = a.chunk(4, -1)
            dh.copy_(dout) if rec is None else torch.add(rec, dout, out=dh)
            _sigmoid_grad(torch.mul(dh, tc, out=t1), o, grad_input=do)
            dc += _tanh_grad(torch.mul(dh, o, out=t1), tc, grad_input=t1)
            _sigmoid_grad(torch.mul(dc, g, out=t1), i, grad_input=di)
            _sigmoid_grad(torch.mul(dc, c, out=t1), f, grad_input=df)
            _tanh_grad(torch.mul(dc, i, out=t1), g, grad_input=dg)
            dc *= f
            rec = dx.copy_(dz) @ w
            if mul is not None:
                torch.mul(rec, hs[t], out=dmul[t])
                rec *= mul[t]
        dw = dinp.view(n * bs, 4 * H).t() @ (hs if ins is None else ins).view(n * bs, H)
        return dinp, dw, rec, dc, dmul


class _Gru(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inp, w, bias, h0):
        n, bs, H3 = inp.shape
        H = H3 // 3
        wt = w.t()
        # r,z,candidate; W_n h + b_n
        gates = inp.new_empty(n, bs, H3, dtype=h0.dtype)
        rec = h0.new_empty(n, bs, H)
        hs = h0.new_empty(n + 1, bs, H)
        hs[0] = h0
        for x, a, s, h, h_ in zip(inp, gates, rec, hs, hs[1:]):
            u = h.to(w.dtype) @ wt
            torch.add(u[:, 2 * H :], bias, out=s)
            a[:, : 2 * H].copy_(x[:, : 2 * H]).add_(u[:, : 2 * H]).sigmoid_()
            r, z, c = a.chunk(3, -1)
            _tanh_(c.copy_(x[:, 2 * H :]).addcmul_(r, s).mul_(2))
            torch.lerp(c, h, z, out=h_)
        ctx.save_for_backward(w, gates, rec, hs)
        return hs[1:].to(inp.dtype, copy=True)  # a view would be of what the node saves, and keep it alive

    @staticmethod
    @once_differentiable
    def backward(ctx, douts):
        w, gates, rec, hs = ctx.saved_tensors
        n, bs, H = rec.shape
        # of x and of W h: they differ in the candidate, by r
        dinp = w.new_empty(n, bs, 3 * H)
        du = w.new_empty(n, bs, 3 * H)
        dx = hs.new_empty(bs, 3 * H)
        dh, t1, t2, dh_next = (hs.new_empty(bs, H) for _ in range(4))
        dr, dz, dc = dx.chunk(3, -1)
        dh_next.zero_()
        for a, s, h, dout, ox, ou in zip(*(reversed(o.unbind()) for o in (gates, rec, hs[:-1], douts, dinp, du))):
            r, z, c = a.chunk(3, -1)
            torch.add(dh_next, dout, out=dh)
            _sigmoid_grad(torch.sub(h, c, out=t1).mul_(dh), z, grad_input=dz)
            torch.mul(dh, z, out=dh_next)
            _tanh_grad(torch.sub(dh, dh_next, out=t1), c, grad_input=dc)
            _sigmoid_grad(torch.mul(dc, s, out=t1), r, grad_input=dr)
            ox.copy_(dx)
            ou[:, : 2 * H] = dx[:, : 2 * H]
            torch.mul(dc, r, out=t2)
            ou[:, 2 * H :] = t2
            dh_next += ou @ w
        dw = du.view(n * bs, 3 * H).t() @ hs[:-1].reshape(n * bs, H).to(w.dtype)
        return dinp, dw, du[..., 2 * H :].sum((0, 1), dtype=hs.dtype), dh_next
