"""Add an architecture of your own: `CharHawk`, a gated linear recurrence, registered as "hawk".

    python examples/hawk.py            # trains for about a minute on Python's documentation and prints text

Import this file to use the architecture by its name, and to load model files that name it. It was part of version 0.1.
At every training time tried, "mullstm" had a lower loss.

De et al. 2024, *Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models*. A block
reads u = norm(x) in two branches and adds their product to x. An MLP of the same form follows:

    x ← x + W_o (silu(W_g u) ⊙ lru(conv(W_x u)));   x ← x + W_2 (silu(W_a v) ⊙ W_b v),  v = norm(x)

conv is a causal convolution of width 4, with its own filter for each number. lru is the recurrence (RG-LRU, §2.4,
eq. 1-4). Its gates depend only on the input, so it is linear in h:

    r_t = σ(W_r y_t + b_r);   i_t = σ(W_i y_t + b_i);   a_t = exp(-8 softplus(Λ) r_t)
    h_t = a_t ⊙ h_{t-1} + sqrt(1 - a_t²) ⊙ (i_t ⊙ y_t)

It uses SiLU instead of the paper's GELU, and full matrices W_r, W_i instead of block-diagonal ones.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.compiler import is_compiling

from fastai_charrnn.all import CharDataLoaders, CharModel, char_learner, python_reference, register_arch
from fastai_charrnn.models.dropout import check_dropout
from fastai_charrnn.models.recurrence import table_lookup

N_PAST = 3  # earlier inputs that the convolution reads

# 1. The recurrence. Only this part is a loop, as the gates are computed for all steps at once.


def scan(
    a: Tensor,  # (n, bs, n_hid)
    b: Tensor,  # (n, bs, n_hid)
    h: Tensor,  # (bs, n_hid) the state before the first step
) -> Tensor:  # (n, bs, n_hid) the state after each step
    "`h = a h + b`, step by step. This has the fewest additions, and is the fastest form on a CPU."
    # torch.compile cannot trace a backward pass written by hand
    return scan_by_doubling(a, b, h) if is_compiling() else _Scan.apply(a, b, h.to(a.dtype))


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b, h0):
        outs = torch.empty_like(a)
        h = h0
        for t in range(len(a)):
            h = torch.addcmul(b[t], a[t], h, out=outs[t])
        ctx.save_for_backward(a, h0, outs)
        return outs

    @staticmethod
    @once_differentiable
    def backward(ctx, douts):
        a, h0, outs = ctx.saved_tensors
        db = douts.clone()
        for t in range(len(a) - 1, 0, -1):
            db[t - 1].addcmul_(a[t], db[t])
        h_prevs = torch.cat([h0[None], outs[:-1]])
        return db * h_prevs, db, a[0] * db[0]


def scan_by_doubling(
    a: Tensor,  # as in `scan`
    b: Tensor,
    h: Tensor,
) -> Tensor:
    "`h = a h + b` in log2(n) operations over all steps (Hillis & Steele 1986)."
    first = torch.addcmul(b[:1], a[:1], h.to(a.dtype))
    b = torch.cat([first, b[1:]])
    # each step combines k steps, then 2k
    k = 1
    while k < len(a):
        b = torch.cat([b[:k], torch.addcmul(b[k:], a[k:], b[:-k])])
        a = torch.cat([a[:k], a[k:] * a[:-k]])
        k *= 2
    return b


# 2. A block of the network, for a whole sequence. A sequence of one character is a step.


class HawkBlock(nn.Module):
    "A gated linear recurrence after a convolution, and an MLP. Each is added to what it reads."

    def __init__(self, emb_sz: int, n_hid: int, n_mlp: int, n_layers: int):
        super().__init__()
        self.norm = nn.LayerNorm(emb_sz)
        self.norm2 = nn.LayerNorm(emb_sz)
        # W_g and W_x; W_o
        self.inp = nn.Linear(emb_sz, 2 * n_hid, bias=False)
        self.out = nn.Linear(n_hid, emb_sz, bias=False)
        # W_r, b_r and W_i, b_i
        self.gates = nn.Linear(n_hid, 2 * n_hid)
        self.conv = nn.Parameter(torch.randn(N_PAST + 1, n_hid) * 0.1)
        self.conv_bias = nn.Parameter(torch.zeros(n_hid))
        # Λ, such that a is from .8 to .999 where r is 1
        a_squared = torch.empty(n_hid).uniform_(0.8**2, 0.999**2)
        self.decay = nn.Parameter((-a_squared.log() / 16).expm1().log())
        # W_a and W_b; W_2
        self.mlp = nn.Linear(emb_sz, 2 * n_mlp, bias=False)
        self.mlp_out = nn.Linear(n_mlp, emb_sz, bias=False)
        self._init_weights(n_layers)

    def _init_weights(self, n_layers):
        for layer in (self.inp, self.gates, self.mlp):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        for layer in (self.out, self.mlp_out):
            nn.init.normal_(layer.weight, std=(2 * n_layers * layer.in_features) ** -0.5)
        nn.init.zeros_(self.gates.bias)
        with torch.no_grad():
            self.conv[-1] += 1

    def forward(
        self,
        x: Tensor,  # (n, bs, emb_sz)
        past: Tensor,  # (bs, 3, n_hid) the last inputs of the convolution
        h: Tensor,  # (bs, n_hid) the state of the recurrence
        dropout,  # a function for the outputs of a branch
        recurrence=scan,  # `scan` or `scan_by_doubling`
    ) -> tuple[Tensor, Tensor, Tensor]:  # x, past, h
        "Read n characters."
        gate, y = self.inp(self.norm(x)).chunk(2, -1)
        y, past = self.convolve(y, past)
        hs = recurrence(*self.coefficients(y), h)
        x = x + dropout(self.out(F.silu(gate) * hs.to(gate.dtype)))
        v, w = self.mlp(self.norm2(x)).chunk(2, -1)
        x = x + dropout(self.mlp_out(F.silu(v) * w))
        return x, past, hs[-1]

    def convolve(
        self,
        y: Tensor,  # (n, bs, n_hid)
        past: Tensor,  # (bs, 3, n_hid)
    ) -> tuple[Tensor, Tensor]:  # y, past
        "The causal convolution over time."
        n = len(y)
        y = torch.cat([past.transpose(0, 1).to(y.dtype), y])
        past = y[n:].transpose(0, 1)
        weights = self.conv.to(y.dtype)
        terms = (y[j : j + n] * weights[j] for j in range(N_PAST + 1))
        return sum(terms, self.conv_bias.to(y.dtype)), past

    def coefficients(
        self,
        y: Tensor,  # (n, bs, n_hid) what the recurrence reads
    ) -> tuple[Tensor, Tensor]:  # a and b of `scan`
        "The gates of the recurrence."
        r, i = self.gates(y).sigmoid().chunk(2, -1)
        e = F.softplus(self.decay) * 8 * r
        # exp(-e), which costs 15 sigmoids on a CPU
        a = (-e).sigmoid() / e.sigmoid()
        return a, (1 - a * a + 1e-6).sqrt() * (i * y)


# 3. The architecture. `CharModel` needs `layers`, `table` and `step`; the other methods change what it does by default.


@register_arch("hawk")
class CharHawk(CharModel):
    """Blocks with a gated linear recurrence.

    The state has two tensors for each block, the last inputs of its convolution and h. Its last tensor is the output of
    the last block."""

    def __init__(
        self,
        vocab_sz: int,
        emb_sz: int = 256,
        n_hid: int = 384,
        seq_len: int | None = 8,
        n_layers: int = 2,  # blocks
        n_mlp: int = 512,  # hidden units of each MLP
        output_p: float = 0.3,  # dropout before the output layer
        layer_p: float = 0.1,  # dropout of what a block adds
    ):
        "Dropout has one mask for all steps of a batch. Raises `ArchError` for a dropout outside [0, 1)."
        check_dropout(output_p=output_p, layer_p=layer_p)
        self.n_layers = n_layers
        self.n_mlp = n_mlp
        self.output_p = output_p
        self.layer_p = layer_p
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len)
        self.out = nn.Linear(emb_sz, vocab_sz)

    def layers(self, emb_sz, n_hid):
        sizes = emb_sz, n_hid, self.n_mlp, self.n_layers
        self.blocks = nn.ModuleList([HawkBlock(*sizes) for _ in range(self.n_layers)])
        self.norm = nn.LayerNorm(emb_sz)

    def table(self):
        return self.emb.weight

    def step(self, inp, state):
        return self._read(inp[None], state)[1]

    def init_hidden(self, bs):
        zeros = self.out.weight.new_zeros
        state = []
        for _ in range(self.n_layers):
            state += [zeros(bs, N_PAST, self.n_hid), zeros(bs, self.n_hid)]
        return (*state, zeros(bs, self.emb_sz))

    def output(self, state):
        return self.norm(state[-1])

    def head(self, outs):
        return super().head(self.rnn_dropout(outs, self.output_p))

    def forward_seq(self, x, state, recurrence=scan):
        outs, state = self._read(table_lookup(self.table(), x.t()), state, recurrence)
        return self.norm(outs), state

    def _read(self, x, state, recurrence=scan):
        "Run the blocks over x (n, bs, emb_sz). Returns the outputs of the last one, and the state."
        new_state = []
        for k, block in enumerate(self.blocks):
            x, past, h = block(x, *state[2 * k : 2 * k + 2], self._layer_dropout, recurrence)
            new_state += [past, h]
        return x, (*new_state, x[-1])

    def _layer_dropout(self, x):
        return self.rnn_dropout(x, self.layer_p)


# 4. Use it by its name.


def main():
    parser = argparse.ArgumentParser(description="Train hawk for a short time and print text.")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--chars", type=int, default=500_000, help="characters of the text to train on")
    args = parser.parse_args()
    text = python_reference()[: args.chars]
    dls = CharDataLoaders.from_text(text, seq_len=64, bs=32, target="every", stateful=True, valid="tail", device="cpu")
    learn = char_learner(dls, "hawk", emb_sz=96, n_hid=128, config=dict(n_mlp=192), seed=42)
    with learn.no_bar():
        learn.fit_one_cycle(args.epochs, 5e-3)
    print(learn.generate("The ", 200, seed=1))


if __name__ == "__main__":
    main()
