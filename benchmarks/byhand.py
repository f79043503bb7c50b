"""Training as one writes it by hand with PyTorch, on any device: what `gpu_speed` compares with."""

import torch
import torch.nn.functional as F
from plain_training import Plain, detached
from torch import Tensor, nn

from fastai_charrnn.all import CharDataLoaders


class PlainMulLstm(nn.Module):
    "Embedding, `mullstm` step by step, output layer. Called as `Plain`."

    def __init__(self, vocab_sz: int, n_hid: int):
        super().__init__()
        self.n_hid = n_hid
        self.emb = nn.Embedding(vocab_sz, 128)
        self.inp = nn.Linear(128, 5 * n_hid)
        self.hid = nn.Linear(n_hid, 4 * n_hid, bias=False)
        self.out = nn.Linear(n_hid, vocab_sz)

    def forward(self, x, state=None, every=True):
        inp = self.inp(self.emb(x.t()))
        zeros = inp.new_zeros(len(x), self.n_hid)
        h, c = state or (zeros, zeros)
        outs = []
        for e in inp:
            scale = 2 * e[:, 4 * self.n_hid :].sigmoid()
            gates = (e[:, : 4 * self.n_hid] + self.hid(scale * h)).chunk(4, 1)
            c = gates[1].sigmoid() * c + gates[0].sigmoid() * gates[2].tanh()
            h = gates[3].sigmoid() * c.tanh()
            outs.append(h)
        return self.out(torch.stack(outs)), (h, c)


class PlainTraining:
    "The loop that one writes by hand, with PyTorch's Adam."

    def __init__(self, arch: str, n_hid: int, dls: CharDataLoaders):
        vocab_sz = len(dls.vocab)
        model = PlainMulLstm(vocab_sz, n_hid) if arch == "mullstm" else Plain(arch, vocab_sz, n_hid, 1)
        self.model = model.to(dls.device)
        self.opt = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def train_streams(self, x: Tensor, y: Tensor, seq_len: int):
        "One epoch of streams (bs, n)."
        state = None
        for xb, yb in zip(x.split(seq_len, 1), y.split(seq_len, 1)):
            logits, state = self.model(xb, state)
            state = detached(state)
            self._update(F.cross_entropy(logits.flatten(0, 1), yb.t().flatten()))

    def train_windows(self, x: Tensor, y: Tensor, bs: int):
        "One epoch of windows (n, seq_len)."
        for i in torch.randperm(len(x), device=x.device).split(bs):
            self._update(F.cross_entropy(self.model(x[i], every=False)[0], y[i]))

    @torch.no_grad()
    def validate(self, x: Tensor, y: Tensor, bs: int) -> float:
        "The mean loss of windows."
        losses = [F.cross_entropy(self.model(xb, every=False)[0], yb) for xb, yb in zip(x.split(bs), y.split(bs))]
        return float(torch.stack(losses).mean())

    def _update(self, loss):
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()
