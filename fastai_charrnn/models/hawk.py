"""Hawk: residual blocks round a gated linear recurrence, which all steps can take at once (`CharHawk`).

De et al. 2024, *Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models*. A block reads
u = norm(x) in two branches and adds their product to x; an MLP follows, the same way:

    x ← x + W_o (silu(W_g u) ⊙ lru(conv(W_x u)));   x ← x + W_2 (silu(W_a v) ⊙ W_b v),  v = norm(x)

conv is causal, of width 4, a filter of its own for each number. The recurrence (RG-LRU, §2.4, eq. 1-4) has gates that see
the input alone, and so is linear in h:

    r_t = σ(W_r y_t + b_r);   i_t = σ(W_i y_t + b_i);   a_t = exp(-8 softplus(Λ) r_t)
    h_t = a_t ⊙ h_{t-1} + sqrt(1-a_t²) ⊙ (i_t ⊙ y_t)

(SiLU for their GELU, and full W_r, W_i for their block-diagonal ones.) PyTorch's CPU exp costs 15 sigmoids: exp(-x) = σ(-x)/σ(x).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.compiler import is_compiling

from .base import CharModel
from .layers import check_dropout
from .recurrence import table_lookup
from .registry import register_arch

__all__ = ["CharHawk"]

_past = 3  # inputs that the convolution remembers


def scan(
    a: Tensor,  # (n, bs, n_hid)
    b: Tensor,  # (n, bs, n_hid)
    h: Tensor,  # (bs, n_hid) the state to go on from
) -> Tensor:  # (n, bs, n_hid)
    "`h = a h + b`, step by step: n small operations, the fewest additions; the fastest on a CPU."
    return scan_by_doubling(a, b, h) if is_compiling() else _Scan.apply(a, b, h.to(a.dtype))


def scan_by_doubling(
    a: Tensor,  # as in `scan`
    b: Tensor,
    h: Tensor,
) -> Tensor:
    "The same in log2(n) operations over all steps: after k of them each step has taken the 2^k before it into account (Hillis & Steele 1986)."
    b = torch.cat([torch.addcmul(b[:1], a[:1], h.to(a.dtype)), b[1:]])
    k = 1
    while k < len(a):
        b = torch.cat([b[:k], torch.addcmul(b[k:], a[k:], b[:-k])])
        a = torch.cat([a[:k], a[k:] * a[:-k]])
        k *= 2
    return b


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b, h):
        outs = torch.empty_like(a)
        for x, y, old, new in zip(a, b, (h, *outs), outs):
            torch.addcmul(y, x, old, out=new)
        ctx.save_for_backward(a, h, outs)
        return outs

    @staticmethod
    @once_differentiable
    def backward(ctx, d):
        a, h, outs = ctx.saved_tensors
        db = d.clone()
        for t in range(len(a) - 1, 0, -1):
            db[t - 1].addcmul_(a[t], db[t])
        return db * torch.cat([h[None], outs[:-1]]), db, a[0] * db[0]


class HawkBlock(nn.Module):
    "A gated linear recurrence with its convolution, and an MLP, each added to what it reads."

    def __init__(self, emb_sz: int, n_hid: int, n_mlp: int, n_layers: int):
        super().__init__()
        self.norm = nn.LayerNorm(emb_sz)
        self.norm2 = nn.LayerNorm(emb_sz)
        # W_g, W_x; W_o
        self.inp = nn.Linear(emb_sz, 2 * n_hid, bias=False)
        self.out = nn.Linear(n_hid, emb_sz, bias=False)
        self.gates = nn.Linear(n_hid, 2 * n_hid)  # W_r, b_r; W_i, b_i
        self.conv = nn.Parameter(torch.randn(_past + 1, n_hid) * 0.1)
        self.conv_bias = nn.Parameter(torch.zeros(n_hid))
        self.decay = nn.Parameter(
            (-torch.empty(n_hid).uniform_(0.8**2, 0.999**2).log() / 16).expm1().log()
        )  # Λ: a from .8 to .999 where r is 1
        # W_a, W_b; W_2
        self.mlp = nn.Linear(emb_sz, 2 * n_mlp, bias=False)
        self.mlp_out = nn.Linear(n_mlp, emb_sz, bias=False)
        for o in (self.inp, self.gates, self.mlp):
            nn.init.normal_(o.weight, std=o.in_features**-0.5)
        for o in (self.out, self.mlp_out):
            nn.init.normal_(o.weight, std=(2 * n_layers * o.in_features) ** -0.5)
        nn.init.zeros_(self.gates.bias)
        with torch.no_grad():
            self.conv[-1] += 1

    def forward(
        self,
        x: Tensor,  # (n, bs, emb_sz)
        past: Tensor,  # (bs, 3, n_hid) the last inputs of the convolution
        h: Tensor,  # (bs, n_hid)
        drop,  # what training does to a branch
        recur=scan,  # which form of the recurrence
    ) -> tuple[Tensor, Tensor, Tensor]:  # x, past, h
        "Read n characters."
        n = len(x)
        (g, y) = self.inp(self.norm(x)).chunk(2, -1)
        y = torch.cat([past.transpose(0, 1).to(y.dtype), y])
        past = y[n:].transpose(0, 1)
        k = self.conv.to(y.dtype)
        y = sum((y[j : j + n] * k[j] for j in range(_past + 1)), self.conv_bias.to(y.dtype))
        hs = recur(*self.linear(y), h)
        x = x + drop(self.out(F.silu(g) * hs.to(g.dtype)))
        v, w = self.mlp(self.norm2(x)).chunk(2, -1)
        return x + drop(self.mlp_out(F.silu(v) * w)), past, hs[-1]

    def linear(
        self,
        y: Tensor,  # (n, bs, n_hid) what the recurrence reads
    ) -> tuple[Tensor, Tensor]:  # a and b of `scan`
        "The recurrence's gates."
        r, i = self.gates(y).sigmoid().chunk(2, -1)
        e = F.softplus(self.decay) * 8 * r
        a = (-e).sigmoid() / e.sigmoid()
        return a, (1 - a * a + 1e-6).sqrt() * (i * y)


@register_arch("hawk")
class CharHawk(CharModel):
    "Residual blocks round a gated linear recurrence; its state is, of every block, the last inputs of the convolution and h, and then what is read out."

    block = HawkBlock  # the recurrence is its own

    def __init__(
        self,
        vocab_sz: int,
        emb_sz: int = 256,
        n_hid: int = 384,
        seq_len: int | None = 8,
        n_layers: int = 2,  # blocks
        n_mlp: int = 512,  # hidden units of each MLP
        output_p: float = 0.3,  # the part of what is read out that training leaves out
        layer_p: float = 0.1,  # likewise of what a block adds
    ):
        """Masks are one for all steps of a batch. Raises `ArchError` for dropouts that are none."""
        check_dropout(output_p=output_p, layer_p=layer_p)
        self.n_layers = n_layers
        self.n_mlp = n_mlp
        self.output_p = output_p
        self.layer_p = layer_p
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len)
        self.out = nn.Linear(emb_sz, vocab_sz)

    def layers(self, emb_sz, n_hid):
        self.blocks = nn.ModuleList(
            [self.block(emb_sz, n_hid, self.n_mlp, self.n_layers) for _ in range(self.n_layers)]
        )
        self.norm = nn.LayerNorm(emb_sz)

    def table(self):
        return self.emb.weight

    def output(self, h):
        return self.norm(h[-1])

    def head(self, outs):
        return super().head(self.rnn_dropout(outs, self.output_p))

    def init_hidden(self, bs):
        w = self.out.weight
        return tuple(
            o for _ in range(self.n_layers) for o in (w.new_zeros(bs, _past, self.n_hid), w.new_zeros(bs, self.n_hid))
        ) + (w.new_zeros(bs, self.emb_sz),)

    def step(self, inp, h):
        return self._blocks(inp[None], h)[1]

    def forward_seq(self, x, h, recur=scan):
        outs, h = self._blocks(table_lookup(self.emb.weight, x.t()), h, recur)
        return self.norm(outs), h

    def _blocks(self, x, h, recur=scan):
        new = ()
        for k in range(self.n_layers):
            x, *s = self.blocks[k](x, *h[2 * k : 2 * k + 2], lambda o: self.rnn_dropout(o, self.layer_p), recur)
            new += tuple(s)
        return x, new + (x[-1],)
