"""The LSTM of `mullstm` over a sequence, with gradients computed by hand (`scaled_lstm`).

Only what depends on the step before is computed step by step. The scale of the hidden state, the derivatives of the
gates and the gradient of the scale are computed for blocks of steps, which fit into the cache, and the gradient of the
recurrent weights for all steps at once. Where inputs are rows of a table, a step reads them from the table, and their
gradients are summed in float32, by character.

In float64 and float32, values and gradients equal those of the plain loop to rounding. If `inp` is bfloat16, gates,
cells and sums stay float32, and `kernels.product_dtype` is the dtype of products.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .beginnings import sum_to_parent
from .kernels import fast_tanh_, product_dtype
from .recurrent_products import Inputs, add_matmul_, product_to, wide_dtype

__all__ = ["scaled_lstm"]

# numbers of a hidden state in all steps of a block
_block_size = 2**15

_sigmoid_grad = torch.ops.aten.sigmoid_backward.grad_input
_tanh_grad = torch.ops.aten.tanh_backward.grad_input


def scaled_lstm(
    inp: Tensor,  # (n, bs, 5H) pre-activations of the gates i, f, g, o and of the scale, biases included
    weight_hh: Tensor,  # (4H, H) hidden to gates
    h0: Tensor,  # (bs, H)
    c0: Tensor,  # (bs, H)
    mask: Tensor | None = None,  # (1, bs, H) factors of the scale, from a dropout; None: no factors
    chars: Tensor | None = None,  # (n, bs) int64: with them `inp` is a table (V, 5H), of which their rows are read
) -> tuple[Tensor, Tensor, Tensor]:  # outs (n, bs, H), h (bs, H), c (bs, H)
    "`c = σ(f) c + σ(i) tanh(g); h = σ(o) tanh(c)`, with `(i, f, g, o) = inp + weight_hh (2σ(scale) mask h)`."
    weight_hh = weight_hh.to(inp.dtype)
    outs, c = _ScaledLstm.apply(inp, weight_hh, h0.to(inp.dtype), c0, mask, chars, torch.is_grad_enabled())
    return outs, outs[-1], c


class _Steps(NamedTuple):
    "What the forward pass computes for all steps: rows (n, bs, …)."

    sigma: Tensor  # (…, H) σ(scale)
    factor: Tensor  # (…, H) 2σ(scale) mask
    gates: Tensor  # (…, 4H) activated
    c: Tensor  # (…, H)
    tanh_c: Tensor  # (…, H)
    scaled: Tensor  # (…, H) factor * the h before, in the dtype of products
    h: Tensor  # (…, H) in the dtype of products

    @classmethod
    def room(cls, inp, n, bs, n_hid, dtype, keep):
        "Memory. Gates and cells of all steps share the memory of one step, unless they are to be kept."
        wide = wide_dtype(dtype)

        def part(size=n_hid, dtype=wide, keep=keep):
            return inp.new_empty(n if keep else 1, bs, size, dtype=dtype).expand(n, bs, size)

        of_scale = part(keep=True), part(keep=True)
        return cls(*of_scale, part(4 * n_hid), part(), part(), part(dtype=dtype), part(dtype=dtype, keep=True))

    def blocks(self):
        "Slices of some steps each."
        n, bs, n_hid = self.h.shape
        size = max(1, _block_size // (bs * n_hid))
        return [slice(start, start + size) for start in range(0, n, size)]


class _ScaledLstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inp, w, h0, c0, mask, chars, keep):
        n_hid = w.shape[1]
        n, bs = inp.shape[:2] if chars is None else chars.shape
        dtype = product_dtype(inp)
        steps = _Steps.room(inp, n, bs, n_hid, dtype, keep)
        _scale(steps, inp[..., 4 * n_hid :], mask, chars)
        weight_t = _transposed(w.to(dtype))
        h, c = h0.to(dtype), c0.to(steps.c.dtype)
        gates = zip(*(part.unbind() for part in (steps.gates[..., : 2 * n_hid], *steps.gates.chunk(4, -1))))
        factors = steps.factor.to(dtype)
        others = zip(*(part.unbind() for part in (factors, *steps[2:])))
        inputs = _gate_inputs(inp[..., : 4 * n_hid], chars, n, bs, steps.c.dtype)
        for t, ((i_f, i, f, g, o), (factor, gate, c_next, tanh_c, scaled, h_next)) in enumerate(zip(gates, others)):
            inputs.copy_to(t, gate)
            add_matmul_(gate, torch.mul(h, factor, out=scaled), weight_t)
            i_f.sigmoid_()
            o.sigmoid_()
            c = torch.mul(f, c, out=c_next).addcmul_(i, fast_tanh_(g))
            h = product_to(o, fast_tanh_(tanh_c.copy_(c)), out=h_next)
        ctx.save_for_backward(w, h0, c0, mask, chars, *steps)
        ctx.inp_shape = inp.shape
        # An output must be saved as itself. If it were a view, the node would keep itself alive.
        return steps.h if dtype == inp.dtype else steps.h.to(inp.dtype), c.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, dhs, dc):
        w, h0 = ctx.saved_tensors[:2]
        c0, mask, chars = ctx.saved_tensors[2:5]
        steps = _Steps(*ctx.saved_tensors[5:])
        wide = steps.c.dtype
        n, bs, n_hid = steps.h.shape
        dinp = steps.c.new_empty(n, bs, 5, n_hid)
        dz = dinp.flatten(2)[..., : 4 * n_hid]
        narrow = dz if steps.h.dtype == wide else torch.empty_like(dz, dtype=steps.h.dtype)
        cell_rates = torch.empty_like(steps.c)
        dscaled = torch.empty_like(steps.c)
        back = _Back(
            *(part.unbind() for part in (dinp[:, :, :3], dinp[:, :, 3], dz, narrow, cell_rates, dscaled)),
            steps.gates[..., n_hid : 2 * n_hid].unbind(),
            steps.factor.unbind(),
            dhs.to(wide).unbind(),
            w.to(narrow.dtype),
        )
        h_prevs = torch.cat([h0.to(steps.h)[None], steps.h[:-1]])
        c_prevs = torch.cat([c0.to(wide)[None], steps.c[:-1]])
        twice = 2 if mask is None else 2 * mask.to(wide)
        dh = back.dhs[-1]
        dc = dc.to(wide, copy=True)
        for block in reversed(steps.blocks()):
            _gate_rates(steps, c_prevs, block, dinp, cell_rates)
            for t in reversed(range(n)[block]):
                dh = back.step(t, dh, dc)
            dfactor = torch.mul(dscaled[block], h_prevs[block]).mul_(twice)
            _sigmoid_grad(dfactor, steps.sigma[block], grad_input=dinp[block, :, 4])
        dw = narrow.flatten(0, 1).t() @ steps.scaled.flatten(0, 1)
        rows = dinp.view(n * bs, 5 * n_hid)
        drows = rows if chars is None else sum_to_parent(rows, chars.flatten(), ctx.inp_shape[0])
        return drows.view(ctx.inp_shape).to(w.dtype), dw, dh, dc, None, None, None


def _scale(steps, inp, mask, chars):
    "Write σ(scale) and the factors of the hidden state, from the last columns of the inputs."
    wide = steps.c.dtype
    twice = 2 if mask is None else 2 * mask.to(wide)
    table = None if chars is None else inp.to(wide).sigmoid()
    for block in steps.blocks():
        sigma = steps.sigma[block]
        if chars is None:
            sigma.copy_(inp[block]).sigmoid_()
        else:
            torch.index_select(table, 0, chars[block].flatten(), out=sigma.flatten(0, 1))
        torch.mul(sigma, twice, out=steps.factor[block])


def _gate_inputs(inp, chars, n, bs, wide):
    "The pre-activations of the gates, step by step."
    if chars is None:
        return Inputs(inp.flatten(0, 1), None, [bs] * n)
    return Inputs(inp.to(wide).contiguous(), chars.flatten(), [bs] * n)


def _transposed(w):
    "The weight as a factor on the right. Products of bfloat16 read it as it is, others are faster with a copy."
    return w.t() if w.dtype == torch.bfloat16 else w.t().contiguous()


def _gate_rates(steps, c_prevs, block, dinp, cell_rates):
    "Compute the derivatives of c by the pre-activations of i, f and g, of h by that of o, and of h by c."
    gates = steps.gates[block]
    i, f = gates.chunk(4, -1)[:2]
    g, o = gates.chunk(4, -1)[2:]
    tanh_c = steps.tanh_c[block]
    _sigmoid_grad(g, i, grad_input=dinp[block, :, 0])
    _sigmoid_grad(c_prevs[block], f, grad_input=dinp[block, :, 1])
    _tanh_grad(i, g, grad_input=dinp[block, :, 2])
    _sigmoid_grad(tanh_c, o, grad_input=dinp[block, :, 3])
    _tanh_grad(o, tanh_c, grad_input=cell_rates[block])


class _Back(NamedTuple):
    "The backward pass, step by step. One tensor for each step."

    difg: tuple[Tensor, ...]  # (bs, 3, H): first the derivatives of c by i, f and g, then their gradients
    do: tuple[Tensor, ...]  # (bs, H): first the derivative of h by o, then its gradient
    dz: tuple[Tensor, ...]  # (bs, 4H): all four
    narrow: tuple[Tensor, ...]  # (bs, 4H): `dz` in the dtype of products
    cell_rates: tuple[Tensor, ...]  # (bs, H): the derivatives of h by c
    dscaled: tuple[Tensor, ...]  # (bs, H): gradients of the factors of products
    f: tuple[Tensor, ...]  # (bs, H): forget gates
    factor: tuple[Tensor, ...]  # (bs, H)
    dhs: tuple[Tensor, ...]  # (bs, H): the gradients of the outputs
    weight: Tensor

    def step(self, t, dh, dc):
        "Take step `t` back. Changes `dc` in place. Returns the gradient of the h before."
        dc.addcmul_(dh, self.cell_rates[t])
        self.difg[t].mul_(dc[:, None])
        self.do[t].mul_(dh)
        dc.mul_(self.f[t])
        dscaled = self.dscaled[t]
        if self.weight.dtype == dscaled.dtype:
            torch.mm(self.dz[t], self.weight, out=dscaled)
        else:
            dscaled.copy_(self.narrow[t].copy_(self.dz[t]) @ self.weight)
        return torch.addcmul(self.dhs[t - 1], dscaled, self.factor[t]) if t else dscaled * self.factor[t]
