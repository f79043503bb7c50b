"""Claim: a training step takes little longer than its matrix products.

The floor is the time that these products take alone on this machine: for windows of 8 characters, batches of 512 and
256 units, 7 products of (512 x 256)(256 x 256) forward and 14 backward, and three of (512 x 256)(256 x 85) for the
output layer. (Windows that begin alike share products, so a step computes fewer and could be below the floor.) A step
is forward, backward, and fastai's Adam.
"""

import torch
import torch.nn.functional as F
from figures import Row, in_turn, ratios

from fastai_charrnn.all import CharDataLoaders, char_learner, nietzsche, read_text


def measure(short: bool = False) -> list[Row]:
    "Time steps on batches of the corpus, and the products alone."
    text = read_text(nietzsche())[:60_000]
    dls = CharDataLoaders.from_text(text, valid="random", valid_pct=0.2, device="cpu")
    batches = [batch for batch, _ in zip(dls.train, range(2 if short else 10))]
    rows = []
    for arch in ("loop", "rnn"):
        learn = char_learner(dls, arch, seed=0)
        learn.create_opt()
        times = in_turn(dict(steps=_steps(learn, batches), products=_products(len(batches))), 2 if short else 15)
        steps, products = ([1e3 * s / len(batches) for s in times[key]] for key in ("steps", "products"))
        against = ratios(steps, products)
        rows += [
            Row(f"`{arch}`: a training step", steps, "{:.2f}", " ms"),
            Row(f"`{arch}`: against the floor of its products", against, must=1.7, aim=1.35, at_most=True),
        ]
    return [Row("the floor: 24 products", products, "{:.2f}", " ms"), *rows]


def _steps(learn, batches):
    def run():
        for x, y in batches:
            F.nll_loss(learn.model(x), y).backward()
            learn.opt.step()
            learn.opt.zero_grad()

    return run


def _products(n_batches):
    "The products of these many steps."
    h = torch.randn(512, 256)
    hidden_weight = torch.randn(256, 256)
    output_weight = torch.randn(256, 85)

    def run():
        for _ in range(n_batches):
            for _ in range(21):
                torch.mm(h, hidden_weight)
            for _ in range(3):
                torch.mm(h, output_weight)

    return run
