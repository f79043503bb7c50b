"""Long runs whose memory, threads and file handles must not grow, for `tools/soak.py`: `CURVES`.

Each run is a function `run(n, record)`. It does something n times and calls `record(k)` after k times, often.
"""

import gc
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fastai.basics import Callback

from fastai_charrnn.all import CharDataLoaders, char_learner, python_reference


class Usage(NamedTuple):
    "What the process uses now."

    mb: float  # resident memory
    threads: int
    handles: int  # open files, sockets, pipes


def usage() -> Usage:
    "What this process uses now, as Linux tells it."
    status = Path("/proc/self/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    # listing the folder opens it
    handles = len(os.listdir("/proc/self/fd")) - 1
    return Usage(int(fields["VmRSS"].split()[0]) / 1024, int(fields["Threads"]), handles)


class Curve(NamedTuple):
    "A long run."

    title: str
    unit: str  # what is counted
    n: int  # how many in the full run
    n_short: int  # and in the short one
    run: Callable[[int, Callable[[int], None]], None]


class _Record(Callback):
    "Calls `record` after every batch of training."

    def __init__(self, record):
        self.record = record
        self.n_done = 0

    def after_batch(self):
        if self.training:
            self.n_done += 1
            self.record(self.n_done)


def _dls(**kwargs):
    return CharDataLoaders.from_text(python_reference()[:40_000], valid="tail", device="cpu", **kwargs)


def _fit(learn, n, record):
    "Train for at least n batches, with a validation after every epoch."
    n_epochs = -(-n // len(learn.dls.train))
    learn.add_cb(_Record(record))
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(n_epochs, 3e-3)


def train_windows(n: int, record: Callable[[int], None]):
    "Train `rnn` on windows, shuffled, with dropout."
    _fit(char_learner(_dls(seq_len=16, bs=128), "rnn", n_hid=64, config=dict(output_p=0.1), seed=0), n, record)


def train_streams(n: int, record: Callable[[int], None]):
    "Train `gru` on streams, its state carried from batch to batch."
    dls = _dls(seq_len=16, bs=16, target="every", stateful=True)
    _fit(char_learner(dls, "gru", n_hid=64, seed=0), n, record)


def generate_stream(n: int, record: Callable[[int], None]):
    "Generate one text of n characters as a stream."
    dls = _dls(seq_len=16, bs=16, target="every", stateful=True)
    learn = char_learner(dls, "gru", n_hid=32, seed=0)
    for k, _ in enumerate(learn.generate("The ", n=n, stream=True, return_prompt=False, seed=1), 1):
        record(k)


def make_learners(n: int, record: Callable[[int], None]):
    """Make n learners, one after the other. Each trains for three batches, generates, scores and is dropped.

    A learner refers to itself, so only Python's garbage collector frees it. It runs after every ten learners."""
    text = python_reference()
    rng = random.Random(0)
    for k in range(1, n + 1):
        start = rng.randrange(len(text) - 500)
        dls = CharDataLoaders.from_text(text[start : start + 500], seq_len=8, bs=128, valid="tail", device="cpu")
        learn = char_learner(dls, "rnn", n_hid=16)
        with learn.no_bar(), learn.no_logging():
            learn.fit(1)
        learn.generate(text[start : start + 5], n=5)
        learn.score(text[start : start + 20])
        if k % 10 == 0:
            del learn, dls
            gc.collect()
            record(k)


CURVES = dict(
    windows=Curve("training on windows", "batches", 10_000, 100, train_windows),
    streams=Curve("training on streams", "batches", 10_000, 100, train_streams),
    characters=Curve("one generated text", "characters", 1_000_000, 2_000, generate_stream),
    learners=Curve("learners made and dropped", "learners", 1_000, 20, make_learners),
)
