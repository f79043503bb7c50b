"""Claim: an epoch of `learn.fit`, with everything it does, is faster than the lesson's model in a handwritten loop.

Both train on the first 60,000 characters of the corpus and validate once. The handwritten loop slices shuffled tensors
and uses PyTorch's Adam and the layers one by one (`tests/oracles.py`). The second peer is fastai's Learner with its
per-item DataLoader.
"""

import torch
import torch.nn.functional as F
from fastai.basics import DataLoaders, Learner, accuracy
from fastai.data.load import DataLoader
from figures import Row, in_turn, ratios
from oracles import ORACLES
from plain_training import epoch_of
from torch import nn

from fastai_charrnn.all import CharDataLoaders, CharNLLLoss, char_learner, nietzsche, read_text


class Plain(nn.Module):
    "The model as lesson 6 writes it."

    def __init__(self, arch, model):
        super().__init__()
        self.f = ORACLES[arch]
        self.model = model

    def forward(self, x):
        return self.f(self.model, x)


def _by_hand(model, dls):
    "An epoch of the handwritten loop."
    opt = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = dls.train_ds.batch(torch.arange(len(dls.train_ds)))
    x_valid, y_valid = dls.valid_ds.batch(torch.arange(len(dls.valid_ds)))

    def epoch():
        for i in torch.randperm(len(x)).split(512):
            loss = F.nll_loss(model(x[i]), y[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
        with torch.no_grad():
            for inputs, targets in zip(x_valid.split(512), y_valid.split(512)):
                F.nll_loss(model(inputs), targets)

    return epoch


def _stock_learner(model, dls):
    "fastai's Learner with its per-item loader."
    train = DataLoader(dls.train_ds, bs=512, shuffle=True, num_workers=0)
    valid = DataLoader(dls.valid_ds, bs=512, shuffle=False, num_workers=0)
    return Learner(DataLoaders(train, valid), model, CharNLLLoss(), metrics=accuracy)


def measure(short: bool = False) -> list[Row]:
    "Time epochs."
    text = read_text(nietzsche())[: 5_000 if short else 60_000]
    rows = []
    for arch in ("char3", "loop", "concat", "rnn"):
        windows = dict(seq_len=3, stride=3) if arch == "char3" else dict(seq_len=8, stride=1)
        dls = CharDataLoaders.from_text(text, valid="tail", valid_pct=0.1, device="cpu", **windows)
        runs = dict(
            ours=epoch_of(char_learner(dls, arch)),
            hand=_by_hand(Plain(arch, char_learner(dls, arch).model), dls),
            stock=epoch_of(_stock_learner(Plain(arch, char_learner(dls, arch).model), dls)),
        )
        times = in_turn(runs, 1 if short else 7)
        batch = [1e3 * s / len(dls.train) for s in times["ours"]]
        rows += [
            Row(f"`{arch}`: epoch of `learn.fit`, a batch", batch, "{:.1f}", " ms"),
            Row(f"`{arch}`: against the loop by hand", ratios(times["hand"], times["ours"]), must=1.25, aim=1.6),
            Row(
                f"`{arch}`: against fastai's per-item loader", ratios(times["stock"], times["ours"]), must=1.6, aim=2.2
            ),
        ]
    return rows
