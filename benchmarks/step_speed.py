"""Claim: a training step costs little more than the matrix products it is made of.

The floor is the time that its products take at this machine's measured rate: for n = 8 characters, 512 windows and 256 units,
7 products of (512 x 256)(256 x 256) forward and 14 backward, and three of (512 x 256)(256 x 85) for the read-out. (Windows that begin alike
share products, so that a step takes fewer than these and could go below.) A step is forward, backward, and fastai's Adam.
"""

import torch
import torch.nn.functional as F
from figures import Row, in_turn, ratios

from fastai_charrnn.all import CharDataLoaders, char_learner, nietzsche, read_text


def measure(short: bool = False) -> list[Row]:
    "Steps on batches of the corpus, and the products alone, in turn."
    dls = CharDataLoaders.from_text(read_text(nietzsche())[:60_000], valid="random", valid_pct=0.2)
    rows = []
    a = torch.randn(512, 256)
    w = torch.randn(256, 256)
    o = torch.randn(256, 85)
    batches = [b for b, _ in zip(dls.train, range(2 if short else 10))]
    for arch in ("loop", "rnn"):
        learn = char_learner(dls, arch, seed=0)
        learn.create_opt()

        def steps(learn=learn):
            for x, y in batches:
                F.nll_loss(learn.model(x), y).backward()
                learn.opt.step()
                learn.opt.zero_grad()

        def products():
            for _ in batches:
                for _ in range(21):
                    torch.mm(a, w)
                for _ in range(3):
                    torch.mm(a, o)

        t = in_turn(dict(steps=steps, products=products), 2 if short else 15)
        floor = ratios(t["steps"], t["products"])
        rows += [
            Row(f"`{arch}`: a training step", [s / len(batches) * 1e3 for s in t["steps"]], "{:.2f}", " ms"),
            Row(f"`{arch}`: against the floor of its products", floor, must=1.7, aim=1.35, at_most=True),
        ]
    return [Row("the floor: 24 products", [s / len(batches) * 1e3 for s in t["products"]], "{:.2f}", " ms"), *rows]
