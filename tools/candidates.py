"""What else could be the recipe: recurrences from the literature in the recipe's own training, for the same time.

    python tools/candidates.py                      # all, a minute each
    python tools/candidates.py --only minGRU --lr 3e-3

Trained on the first 81% of Nietzsche, compared on the 9% after it. None of them is in the package: ARCHITECTURE.md has what
was measured. Tensors are (n, bs, …) as in the package's own recurrences.
"""

import argparse
import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from fastai_charrnn.all import CharHawk, char_learner, nietzsche, read_text
from fastai_charrnn.models.base import CharModel
from fastai_charrnn.models.hawk import HawkBlock, scan
from fastai_charrnn.models.recurrence import look_up
from fastai_charrnn.recipes.best import adamw, best_recipe, decaying


class MinGruBlock(HawkBlock):
    "Feng et al. 2024, *Were RNNs All We Needed?*, §3.1: z = σ(W_z y), h ← (1-z) h + z (W_h y); in the same block, with the same convolution and MLP."

    def linear(self, y):
        z, new = self.gates(y).chunk(2, -1)
        return (-z).sigmoid(), z.sigmoid() * new


class MinGru(CharHawk):
    block = MinGruBlock


class Qrnn(nn.Module):
    "Bradbury et al. 2017, §2.1, fo-pooling, a convolution of width 2: c ← f c + (1-f) z, h = o c."

    def __init__(self, emb_sz, n_hid):
        super().__init__()
        self.lin = nn.Linear(2 * emb_sz, 3 * n_hid)
        self.n_hid = n_hid

    def zeros(self, bs):
        return torch.zeros(bs, self.lin.in_features // 2), torch.zeros(bs, self.n_hid)

    def forward(self, x, before, c, drop):
        z, f, o = self.lin(torch.cat([x, torch.cat([before[None].to(x.dtype), x[:-1]])], -1)).chunk(3, -1)
        f = f.sigmoid()
        c = scan(f, (1 - f) * z.tanh(), c)
        return drop(o.sigmoid() * c), x[-1], c[-1]


class Sru(nn.Module):
    "Lei et al. 2018, §3.1, without the peepholes v ⊙ c (as in its first version), so that all steps are one scan; α as in §3.3."

    def __init__(self, emb_sz, n_hid):
        super().__init__()
        assert emb_sz == n_hid, "the highway adds what is read"
        self.lin = nn.Linear(n_hid, 3 * n_hid)
        self.n_hid = n_hid
        nn.init.uniform_(self.lin.weight, -((3 / n_hid) ** 0.5), (3 / n_hid) ** 0.5)
        nn.init.zeros_(self.lin.bias)
        nn.init.constant_(self.lin.bias[2 * n_hid :], -2)

    def zeros(self, bs):
        return (torch.zeros(bs, self.n_hid),)

    def forward(self, x, c, drop):
        new, f, r = self.lin(drop(x)).chunk(3, -1)
        f, r = f.sigmoid(), r.sigmoid()
        c = scan(f, (1 - f) * new, c)
        return r * c + (1 - r) * x * (1 + 2 * math.exp(-2)) ** 0.5, c[-1]


class Xlstm(nn.Module):
    "A residual block of Beck et al. 2024: norm, a memory of several heads, and back."

    def __init__(self, emb_sz, n_hid, heads=4):
        super().__init__()
        self.norm, self.n_hid, self.heads, self.d = nn.LayerNorm(emb_sz), n_hid, heads, n_hid // heads
        self.after = nn.GroupNorm(heads, n_hid)
        self.back = nn.Linear(n_hid, emb_sz, bias=False)
        nn.init.normal_(self.back.weight, std=(4 * n_hid) ** -0.5)

    def heads_normed(self, h):
        return self.after(h.reshape(-1, self.n_hid)).view(*h.shape[:2], self.n_hid)


class SLstm(Xlstm):
    "Its scalar memory, §2.2: exponential gates kept in range by m, a recurrent matrix for each head; an MLP follows."

    def __init__(self, emb_sz, n_hid, heads=4):
        super().__init__(emb_sz, n_hid, heads)
        self.inp = nn.Linear(emb_sz, 4 * n_hid)
        self.hid = nn.Parameter(torch.randn(heads, self.d, 4 * self.d) * self.d**-0.5)
        self.norm2 = nn.LayerNorm(emb_sz)
        self.mlp = nn.Linear(emb_sz, 2 * n_hid)
        self.mlp_out = nn.Linear(n_hid, emb_sz)
        with torch.no_grad():
            self.inp.bias.view(heads, 4, -1)[:, 2] += torch.linspace(3, 6, self.d)  # forget gates, as there

    def zeros(self, bs):
        return *(torch.zeros(bs, self.heads, self.d) for _ in range(3)), torch.full((bs, self.heads, self.d), -1e4)

    def forward(self, x, h, c, n, m, drop):
        w = self.inp(self.norm(x)).float().view(*x.shape[:2], self.heads, 4 * self.d)
        hs = []
        for p in w.unbind():
            z, i, f, o = (p + (h.transpose(0, 1) @ self.hid).transpose(0, 1)).float().chunk(4, -1)
            f = F.logsigmoid(f) + m
            m = torch.maximum(f, i)
            f = (f - m).exp()
            i = (i - m).exp()
            c = f * c + i * z.tanh()
            n = f * n + i
            h = o.sigmoid() * c / n
            hs.append(h)
        x = x + drop(self.back(self.heads_normed(torch.stack(hs).flatten(2))))
        a, b = self.mlp(self.norm2(x)).chunk(2, -1)
        return x + drop(self.mlp_out(F.silu(a) * b)), h, c, n, m


class MLstm(Xlstm):
    "Its matrix memory, §2.3, all n steps at once (appendix A.3) from the memory that is carried; keys and queries read a convolution, the output is gated."

    def __init__(self, emb_sz, n_hid, heads=4):
        super().__init__(emb_sz, n_hid, heads)
        self.up = nn.Linear(emb_sz, 2 * n_hid, bias=False)
        self.conv = nn.Parameter(torch.randn(4, n_hid) * 0.3)
        self.qk = nn.Linear(n_hid, 2 * n_hid, bias=False)
        self.v = nn.Linear(n_hid, n_hid, bias=False)
        self.gates = nn.Linear(n_hid, 2 * heads)
        nn.init.normal_(self.gates.weight, std=0.01)
        with torch.no_grad():
            self.gates.bias[heads:] = torch.linspace(3, 6, heads)

    def zeros(self, bs):
        return (
            torch.zeros(bs, 3, self.n_hid),
            torch.zeros(bs, self.heads, self.d, self.d),
            torch.zeros(bs, self.heads, self.d),
            torch.full((bs, self.heads), -1e4),
        )

    def forward(self, x, past, mem, norm, m, drop):
        n, bs = x.shape[:2]
        a, g = self.up(self.norm(x)).chunk(2, -1)
        wide = torch.cat([past.transpose(0, 1).to(a.dtype), a])
        u = F.silu(sum(wide[j : j + n] * self.conv[j] for j in range(4)))

        def split(o):
            return o.view(n, bs, self.heads, self.d).permute(1, 2, 0, 3).float()  # (bs, heads, n, d)

        q, k, v = *(split(o.contiguous()) for o in self.qk(u).chunk(2, -1)), split(self.v(a))
        # (bs, heads, n)
        k = k * self.d**-0.5
        (i, f) = self.gates(u).float().permute(1, 2, 0).chunk(2, 1)
        f = F.logsigmoid(f).cumsum(-1)
        logs = (f[..., :, None] - f[..., None, :] + i[..., None, :]).masked_fill(
            torch.ones(n, n, dtype=torch.bool).triu(1), -1e9
        )
        top = torch.maximum(logs.amax(-1), f + m[..., None])
        s = (logs - top[..., None]).exp() * (q @ k.mT)
        old = (f + m[..., None] - top).exp()[..., None]
        num = s @ v + old * (q @ mem)
        den = s.sum(-1) + (old * (q @ norm[..., None]))[..., 0]
        h = num / torch.maximum(den.abs(), (-top).exp())[..., None]
        last = f[..., -1:] - f + i
        m2 = torch.maximum(last.amax(-1), f[..., -1] + m)
        keep = (f[..., -1] + m - m2).exp()
        add = (last - m2[..., None]).exp()[..., None] * k
        h = self.heads_normed(h.permute(2, 0, 1, 3).flatten(2))
        return (
            x + drop(self.back(h * F.silu(g))),
            wide[n:].transpose(0, 1),
            keep[..., None, None] * mem + add.mT @ v,
            keep[..., None] * norm + add.sum(-2),
            m2,
        )


class Stack(CharModel):
    "Blocks one on another; the state is theirs, one after the other."

    def __init__(self, vocab_sz, emb_sz=256, n_hid=512, window=8, block=None, n_layers=2, dropout=0.3, layer_drop=0.1):
        self.block = block
        self.n_layers = n_layers
        self.dropout = dropout
        self.layer_drop = layer_drop
        super().__init__(vocab_sz, emb_sz, n_hid, window)
        self.out = nn.Linear(*self.norm.normalized_shape, vocab_sz)

    def layers(self, emb_sz, n_hid):
        keeps = not issubclass(self.block, Qrnn)  # the width of what it reads
        self.blocks = nn.ModuleList(
            [self.block(emb_sz if keeps or not k else n_hid, n_hid) for k in range(self.n_layers)]
        )
        self.norm = nn.LayerNorm(emb_sz if keeps else n_hid)

    def init_hidden(self, bs):
        return tuple(o for b in self.blocks for o in b.zeros(bs))

    def read_all(self, x, h):
        x = look_up(self.emb.weight, x.t())
        new = ()
        per = len(h) // self.n_layers
        for k, b in enumerate(self.blocks):
            x, *s = b(x, *h[k * per : k * per + per], lambda o: self._drop(o, self.layer_drop))
            new += tuple(s)
        return self.norm(x), new

    def predict(self, outs):
        return super().predict(self._drop(outs, self.dropout))


candidates = {  # name: the architecture, and its sizes
    "mullstm": ("mullstm", dict(n_hid=512, emb_sz=128, config=dict(dropout=0.3, state_drop=0.1))),
    "lstm": ("lstm", dict(n_hid=512, emb_sz=128, config=dict(dropout=0.3))),
    "hawk": ("hawk", dict(n_hid=384, emb_sz=256)),
    "minGRU": (MinGru, dict(n_hid=384, emb_sz=256)),
    "QRNN": (Stack, dict(n_hid=640, emb_sz=256, config=dict(block=Qrnn))),
    "SRU": (Stack, dict(n_hid=512, emb_sz=512, config=dict(block=Sru, n_layers=4))),
    "sLSTM": (Stack, dict(n_hid=384, emb_sz=256, config=dict(block=SLstm))),
    "mLSTM": (Stack, dict(n_hid=512, emb_sz=256, config=dict(block=MLstm))),
}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--minutes", type=float, default=1)
    p.add_argument("--lr", type=float, default=5e-3)
    p.add_argument("--only", help="the one of this name")
    args = p.parse_args()
    torch.set_flush_denormal(True)
    text, recipe = read_text(nietzsche()), best_recipe(args.minutes)
    for name, (arch, kw) in candidates.items():
        if args.only not in (None, name):
            continue
        learn = char_learner(
            recipe.dls(text[: int(len(text) * 0.9)], device="cpu"),
            arch,
            opt_func=partial(adamw, wd=recipe.wd),
            splitter=decaying,
            seed=42,
            **kw,
        )
        row = learn.fit_minutes(args.minutes, args.lr)
        weights = sum(p.numel() for p in learn.model.parameters())
        losses = f"{row['train_loss']:.4f} | {row['valid_loss']:.4f}"
        trained = f"{args.minutes * 60:g} | {row['epochs']:.1f}"
        print(f"| {name}, {weights:,} weights | {trained} | {losses} |", flush=True)


if __name__ == "__main__":
    main()
