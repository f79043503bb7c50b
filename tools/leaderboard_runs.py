"""The runs of the leaderboard: each trains on a text and returns a row of results.

A row has `seconds` of training and `nats`, the loss on the held-out part in the mode of the training. Networks also
have `streams_nats`, the loss with the text as streams, and `weights`.
"""

import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import nn

from fastai_charrnn.adapt import dynamic_evaluation
from fastai_charrnn.all import (
    CharDataLoaders,
    char_learner,
    human_numbers,
    list_archs,
    ngram_baseline,
    python_reference,
)
from fastai_charrnn.callback.fp16 import fast_bf16
from fastai_charrnn.recipes.best import best_recipe
from fastai_charrnn.recipes.lesson6 import LESSONS, lesson6, lesson_pct, merge_rare

seed = 42
modes = {
    "windows": dict(seq_len=8, bs=512),
    "chunks": dict(seq_len=64, bs=64, target="every"),
    "streams": dict(seq_len=64, bs=64, target="every", stateful=True),
}
_dropouts = dict(output_p=0.3, hidden_p=0.1)
# arguments of `char_learner` that differ from the defaults
_sizes = {
    "mullstm": dict(n_hid=384, emb_sz=128, config=_dropouts),
    "ensemble": dict(n_hid=256, emb_sz=128, config=_dropouts),
}


def all_runs(
    seconds: float,  # of training, for each architecture and mode
) -> Iterator[tuple[str, Callable]]:  # name, function of Nietzsche's text that returns a row
    "All runs in the order in which they are made."
    yield "n-grams", count_ngrams
    yield "plain PyTorch LSTM, streams", lambda text: twice(lambda s: train_plain_lstm(text, s), seconds)
    for arch in list_archs():
        for mode in ["windows"] if arch == "char3" else modes:
            yield f"{arch}, {mode}", _arch_run(arch, mode, seconds)
    for minutes in (1, 5, 15):
        yield f"best, {minutes} min", lambda text, minutes=minutes: train_recipe(text, minutes)
    yield (
        "text: the lesson's (lower-cased, split as there), 15 min",
        lambda text: train_recipe_on_other(merge_rare(text), 15, lesson_pct(text)),
    )
    yield "text: Python's reference, 5 min", lambda _: train_recipe_on_other(python_reference(), 5)
    yield "text: numbers in words, 5 min", lambda _: train_recipe_on_other(human_numbers(), 5)
    for name in LESSONS:
        yield f"lesson6 {name}", lambda text, name=name: train_lesson(text, name)


def _arch_run(arch, mode, seconds):
    return lambda text: twice(lambda s: train_arch(text, arch, mode, s), seconds)


def twice(
    run: Callable[[float], dict],  # trains for some seconds
    seconds: float,  # of the longer training
) -> dict:  # the row of the longer training; `early` has seconds and loss of the shorter one
    "Train for a quarter of the time, then again for all of it."
    short = run(seconds / 4)
    return run(seconds) | dict(early=[short["seconds"], short["nats"]])


def held_out(text: str, pct: float = 0.1) -> str:
    "The last part of a text, and the character before it."
    return text[int(len(text) * (1 - pct)) - 1 :]


def _row(learn, text, seconds, pct=0.1):
    "The row of a trained learner."
    part = held_out(text, pct)
    streams = learn.evaluate(part, by="streams")["streams_loss"]
    return dict(
        seconds=round(seconds, 1),
        nats=streams if learn.dls.stateful else learn.evaluate(part)["loss"],
        streams_nats=streams,
        weights=_n_weights(learn.model),
    )


def _n_weights(model):
    return sum(p.numel() for p in model.parameters())


def count_ngrams(text: str, pct: float = 0.1) -> dict:
    "N-grams."
    start = time.time()
    best = ngram_baseline(CharDataLoaders.from_text(text, valid="tail", valid_pct=pct, device="cpu")).best
    return dict(seconds=round(time.time() - start, 1), nats=best.nats, context=best.context)


def train_arch(text: str, arch: str, mode: str, seconds: float) -> dict:
    "An architecture, for some seconds."
    options = modes[mode] | (dict(seq_len=3) if arch == "char3" else {})
    dls = CharDataLoaders.from_text(text, valid="tail", valid_pct=0.1, device="cpu", **options)
    learn = char_learner(dls, arch, seed=seed, **_sizes.get(arch, {}))
    with learn.no_bar(), learn.no_logging():
        learn.fit_minutes(seconds / 60, 5e-3)
    return _row(learn, text, seconds)


def train_recipe(text: str, minutes: float, pct: float = 0.1, dynamic: bool = True) -> dict:
    "The network of `charrnn train --recipe best`. `dynamic` adds the loss of dynamic evaluation."
    recipe = best_recipe(minutes, device="cpu")
    learn = recipe.learner(recipe.dls(text, device="cpu", valid_pct=pct), seed=seed)
    with learn.no_bar(), learn.no_logging():
        epochs = learn.fit_minutes(minutes, recipe.lr)["epochs"]
    row = _row(learn, text, 60 * minutes, pct)
    row |= dict(n_models=recipe.n_models, n_hid=recipe.n_hid, epochs=round(epochs, 1))
    if dynamic:
        row["dynamic"] = dynamic_evaluation(learn, held_out(text, pct))["dynamic_loss"]
    return row


def train_recipe_on_other(text: str, minutes: float, pct: float = 0.1) -> dict:
    "The recipe and n-grams on another text."
    row = train_recipe(text, minutes, pct, dynamic=False)
    return row | dict(ngrams=count_ngrams(text, pct)["nats"], chars=len(text))


def train_lesson(text: str, name: str) -> dict:
    "A network of lesson 6 by its schedule."
    recipe = lesson6(name)
    learn = recipe.learner(text, seed=0)
    start = time.time()
    # the large network trains for 65 epochs
    bf16 = recipe.n_hid > 256 and fast_bf16()
    if bf16:
        learn.to_bf16()
    with learn.no_bar(), learn.no_logging():
        recipe.fit(learn)
    rows = learn.training_log.rows
    row = dict(seconds=round(time.time() - start, 1), nats=rows[-1]["valid_loss"])
    return row | dict(printed=recipe.printed, epochs=len(rows), bf16=bf16)


# a plain PyTorch program


class PlainLSTM(nn.Module):
    "An LSTM language model as PyTorch's documentation writes it."

    def __init__(self, n_chars):
        super().__init__()
        self.emb = nn.Embedding(n_chars, 42)
        self.rnn = nn.LSTM(42, 256)
        self.out = nn.Linear(256, n_chars)

    def forward(self, x, state=None):
        h, state = self.rnn(self.emb(x), state)
        return self.out(h), state


def train_plain_lstm(text: str, seconds: float) -> dict:
    "Streams, Adam, clipped gradients and a learning rate that falls linearly with the time."
    chars = sorted(set(text))
    ids = torch.tensor([chars.index(c) for c in text])
    n_train = int(len(text) * 0.9)
    torch.manual_seed(seed)
    model = PlainLSTM(len(chars))
    start = time.time()
    _fit_plain(model, ids[:n_train], start, seconds)
    took = time.time() - start
    with torch.no_grad():
        logits, _ = model(ids[n_train - 1 : -1, None])
    nats = float(F.cross_entropy(logits[:, 0], ids[n_train:]))
    return dict(seconds=round(took, 1), nats=nats, streams_nats=nats, weights=_n_weights(model))


def _fit_plain(model, ids, start, seconds):
    "Train on 64 streams, 64 characters at a time, until the time is over."
    opt = torch.optim.Adam(model.parameters(), 5e-3)
    streams = ids[: len(ids) // 64 * 64].view(64, -1).t()
    while True:
        state = None
        for i in range(0, len(streams) - 1, 64):
            elapsed = (time.time() - start) / seconds
            if elapsed >= 1:
                return
            opt.param_groups[0]["lr"] = 5e-3 * min(1, (elapsed + 1e-3) / 0.05, 1 - elapsed)
            y = streams[i + 1 : i + 65]
            logits, state = model(streams[i : i + len(y)], state)
            state = tuple(h.detach() for h in state)
            loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
