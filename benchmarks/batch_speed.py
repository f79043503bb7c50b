"""Claim: a batch is one gather, many times faster than fastai's per-item loader over the same windows, and next to nothing beside a training step."""

from itertools import islice
from time import perf_counter

import torch.nn.functional as F
from fastai.data.load import DataLoader
from figures import Row, ratios

from fastai_charrnn.all import CharDataLoaders, char_learner, nietzsche, read_text


def _seconds(dl, n_batches):
    start = perf_counter()
    n = sum(1 for _ in islice(dl, n_batches))
    return (perf_counter() - start) / n


def measure(short: bool = False) -> list[Row]:
    "Batches of 512 windows, shuffled order included, ours and fastai's `DataLoader` in turn, and steps of `rnn`."
    dls = CharDataLoaders.from_text(read_text(nietzsche())[: 20_000 if short else None], valid="last")
    items = DataLoader(dls.train_ds, bs=512, shuffle=True, num_workers=0)
    learn = char_learner(dls, "rnn", seed=0)
    learn.create_opt()
    x, y = dls.one_batch()

    def steps():
        for _ in range(20):
            F.nll_loss(learn.model(x), y).backward()
            learn.opt.step()
            learn.opt.zero_grad()
            yield

    ours = []
    stock = []
    step = []
    for _ in range(2 if short else 7):
        ours.append(_seconds(dls.train, 1000))
        stock.append(_seconds(items, 5 if short else 30))
        step.append(_seconds(steps(), 20))
    against = "against fastai's per-item `DataLoader` over the same windows"
    return [
        Row("batches of 512 windows, shuffled", [1 / s for s in ours], "{:,.0f}", " a second"),
        Row(against, ratios(stock, ours), "{:.0f}", "x", 50, 100),
        Row(
            "share of a training step of `rnn`", [a / b * 100 for a, b in zip(ours, step)], "{:.2f}", "%", 1, None, True
        ),
    ]
