"""Claim: a batch is one gather. It is many times faster than a batch of fastai's per-item loader, and takes a very
small part of a training step."""

from itertools import islice
from time import perf_counter

import torch.nn.functional as F
from fastai.data.load import DataLoader
from figures import Row, ratios

from fastai_charrnn.all import CharDataLoaders, char_learner, nietzsche, read_text


def _seconds_a_batch(batches, n_batches):
    start = perf_counter()
    n = sum(1 for _ in islice(batches, n_batches))
    return (perf_counter() - start) / n


def _training_steps(learn, batch, n_steps):
    x, y = batch
    for _ in range(n_steps):
        F.nll_loss(learn.model(x), y).backward()
        learn.opt.step()
        learn.opt.zero_grad()
        yield


def measure(short: bool = False) -> list[Row]:
    "Shuffled batches of 512 windows of our loader and of fastai's `DataLoader`, and training steps of `rnn`."
    text = read_text(nietzsche())[: 20_000 if short else None]
    dls = CharDataLoaders.from_text(text, valid="last", device="cpu")
    items = DataLoader(dls.train_ds, bs=512, shuffle=True, num_workers=0)
    learn = char_learner(dls, "rnn", seed=0)
    learn.create_opt()
    batch = dls.one_batch()
    ours = []
    stock = []
    steps = []
    for _ in range(2 if short else 7):
        ours.append(_seconds_a_batch(dls.train, 1000))
        stock.append(_seconds_a_batch(items, 5 if short else 30))
        steps.append(_seconds_a_batch(_training_steps(learn, batch, 20), 20))
    rates = [1 / s for s in ours]
    shares = [100 * batch / step for batch, step in zip(ours, steps)]
    against = "against fastai's per-item `DataLoader` over the same windows"
    return [
        Row("batches of 512 windows, shuffled", rates, "{:,.0f}", " a second"),
        Row(against, ratios(stock, ours), "{:.0f}", "x", must=50, aim=100),
        Row("share of a training step of `rnn`", shares, "{:.2f}", "%", must=1, at_most=True),
    ]
