"""Claim: an epoch of `learn.fit`, everything included, is faster than the notebook's model in a loop written by hand.

Both train on the first 60,000 characters of the corpus and validate once. The hand-written loop slices shuffled tensors, uses
PyTorch's Adam and the layers one by one (`tests/oracles.py`); the second peer is fastai's Learner over its per-item DataLoader.
"""

import torch
import torch.nn.functional as F
from fastai.basics import DataLoaders, Learner, accuracy
from fastai.data.load import DataLoader
from figures import Row, in_turn, ratios
from oracles import ORACLES
from torch import nn

from fastai_charrnn.all import CharDataLoaders, CharNLLLoss, char_learner, nietzsche, read_text


class Plain(nn.Module):
    "The notebook's form of a model."

    def __init__(self, arch, model):
        super().__init__()
        self.f = ORACLES[arch]
        self.model = model

    def forward(self, x):
        return self.f(self.model, x)


def _by_hand(model, dls):
    opt = torch.optim.Adam(model.parameters(), lr=1e-3)
    (x, y), (xv, yv) = (ds.batch(torch.arange(len(ds))) for ds in (dls.train_ds, dls.valid_ds))

    def epoch():
        for i in torch.randperm(len(x)).split(512):
            loss = F.nll_loss(model(x[i]), y[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
        with torch.no_grad():
            for a, b in zip(xv.split(512), yv.split(512)):
                F.nll_loss(model(a), b)

    return epoch


def _fit(learn):
    def epoch():
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, 1e-3)

    return epoch


def measure(short: bool = False) -> list[Row]:
    "Seconds an epoch, in turn."
    text = read_text(nietzsche())[: 5_000 if short else 60_000]
    rows = []
    for arch in ("char3", "loop", "concat", "rnn"):
        dls = CharDataLoaders.from_text(
            text, seq_len=3 if arch == "char3" else 8, stride=3 if arch == "char3" else 1, valid="tail", valid_pct=0.1
        )
        items = DataLoaders(
            *(
                DataLoader(ds, bs=512, shuffle=s, num_workers=0)
                for ds, s in ((dls.train_ds, True), (dls.valid_ds, False))
            )
        )
        stock = Learner(items, Plain(arch, char_learner(dls, arch).model), CharNLLLoss(), metrics=accuracy)
        t = in_turn(
            dict(
                ours=_fit(char_learner(dls, arch)),
                hand=_by_hand(Plain(arch, char_learner(dls, arch).model), dls),
                stock=_fit(stock),
            ),
            1 if short else 7,
        )
        batch = [s / len(dls.train) * 1e3 for s in t["ours"]]
        rows += [
            Row(f"`{arch}`: epoch of `learn.fit`, a batch", batch, "{:.1f}", " ms"),
            Row(f"`{arch}`: against the loop by hand", ratios(t["hand"], t["ours"]), must=1.25, aim=1.6),
            Row(f"`{arch}`: against fastai's per-item loader", ratios(t["stock"], t["ours"]), must=1.6, aim=2.2),
        ]
    return rows
