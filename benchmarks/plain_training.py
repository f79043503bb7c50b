"""Claim: an epoch of `learn.fit` is at least as fast as the loop that one writes by hand with PyTorch's own layers.

The loop by hand uses `nn.RNN`, `nn.GRU` and `nn.LSTM`, or the layers of lesson 6 step by step, PyTorch's Adam and the
same batches, and validates once, as `learn.fit` does. In 16 bits both run under autocast in bfloat16. Windows and
chunks have 8 characters and batches of 512. Streams have 64 rows and 64 characters a batch, or 32 and 32.
"""

import sys
from collections.abc import Callable
from itertools import product
from statistics import median
from typing import NamedTuple

import torch
import torch.nn.functional as F
from figures import Row, in_turn, ratios
from torch import nn

from fastai_charrnn.all import CharDataLoaders, CharLearner, char_learner, nietzsche, read_text


class LessonLayer(nn.Module):
    "A recurrent layer of lesson 6, step by step."

    def __init__(self, n_inp: int, n_hid: int, concat: bool):
        super().__init__()
        self.n_hid = n_hid
        self.concat = concat
        self.inp = nn.Linear(n_inp + n_hid if concat else n_inp, n_hid)
        self.hid = nn.Linear(n_hid, n_hid)

    def forward(self, e, h):
        outs = []
        for c in e:
            inner = self.inp(torch.cat([h, c], 1)).relu() if self.concat else h + self.inp(c).relu()
            h = self.hid(inner).tanh()
            outs.append(h)
        return torch.stack(outs), h


class LessonLayers(nn.Module):
    "Several of them, with the arguments of `nn.RNN`."

    def __init__(self, n_inp: int, n_hid: int, n_layers: int, concat: bool):
        super().__init__()
        sizes = [n_inp] + [n_hid] * (n_layers - 1)
        self.layers = nn.ModuleList(LessonLayer(size, n_hid, concat) for size in sizes)
        self.n_hid = n_hid

    def forward(self, e, state=None):
        state = e.new_zeros(len(self.layers), e.shape[1], self.n_hid) if state is None else state
        last = []
        for layer, h in zip(self.layers, state):
            e, h = layer(e, h)
            last.append(h)
        return e, torch.stack(last)


class Plain(nn.Module):
    "Embedding, recurrent layers, output layer."

    def __init__(self, arch: str, vocab_sz: int, n_hid: int, n_layers: int):
        super().__init__()
        self.emb = nn.Embedding(vocab_sz, 42)
        if arch in ("loop", "concat"):
            self.rnn = LessonLayers(42, n_hid, n_layers, arch == "concat")
        else:
            self.rnn = dict(rnn=nn.RNN, gru=nn.GRU, lstm=nn.LSTM)[arch](42, n_hid, n_layers)
        self.out = nn.Linear(n_hid, vocab_sz)

    def forward(self, x, state=None, every=True):
        outs, state = self.rnn(self.emb(x.t()), state)
        return self.out(outs if every else outs[-1]), state


class Case(NamedTuple):
    "What is trained."

    arch: str
    mode: str  # windows, chunks or streams
    n_hid: int = 256
    n_layers: int = 1
    bf16: bool = False
    seq_len: int = 64  # of streams
    bs: int = 64  # of streams

    def __str__(self) -> str:
        layers = "" if self.n_layers == 1 else f" {self.n_layers} layers of"
        size = f" {self.bs} x {self.seq_len}" if self.mode == "streams" else ""
        return f"`{self.arch}`,{layers} {self.n_hid} units, {self.mode}{size}{', bf16' if self.bf16 else ''}"

    def dls(self, text: str) -> CharDataLoaders:
        "The batches."
        modes = dict(
            windows=dict(seq_len=8, bs=512),
            chunks=dict(seq_len=8, bs=512, target="every"),
            streams=dict(seq_len=self.seq_len, bs=self.bs, target="every", stateful=True),
        )
        return CharDataLoaders.from_text(text, valid="tail", valid_pct=0.1, device="cpu", **modes[self.mode])

    def learner(self, dls: CharDataLoaders) -> CharLearner:
        "Our learner."
        learn = char_learner(dls, self.arch, n_hid=self.n_hid, config=dict(n_layers=self.n_layers), seed=0)
        return learn.to_bf16() if self.bf16 else learn


def epoch_of(learn: CharLearner) -> Callable:
    "An epoch of `learn.fit`."

    def epoch():
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, 1e-3)

    return epoch


def _by_hand(case, dls):
    "An epoch of the handwritten loop."
    model = Plain(case.arch, len(dls.vocab), case.n_hid, case.n_layers)
    opt = torch.optim.Adam(model.parameters(), lr=1e-3)
    every = case.mode != "windows"
    x, y = _joined(case, dls.train)
    valid = list(dls.valid)

    def losses(batches):
        state = None
        for inputs, targets in batches:
            if len(inputs) != case.bs or case.mode != "streams":
                state = None
            with torch.autocast("cpu", torch.bfloat16, enabled=case.bf16):
                logits, state = model(inputs, state, every)
            state = detached(state)
            yield F.cross_entropy(logits.float().flatten(0, -2), (targets.t() if every else targets).flatten())

    def epoch():
        for loss in losses(_batches(case, x, y)):
            opt.zero_grad()
            loss.backward()
            opt.step()
        with torch.no_grad():
            list(losses(valid))

    return epoch


def _joined(case, dl):
    "All inputs and targets of a loader: a row for each window, or for each stream."
    batches = [(x, y) for x, y in dl if case.mode != "streams" or len(x) == case.bs]
    dim = 1 if case.mode == "streams" else 0
    return tuple(torch.cat(part, dim) for part in zip(*batches))


def _batches(case, x, y):
    "The training batches, sliced by hand."
    if case.mode == "streams":
        return zip(x.split(case.seq_len, 1), y.split(case.seq_len, 1))
    return ((x[i], y[i]) for i in torch.randperm(len(x)).split(512))


def detached(state):
    "The state without its graph."
    return tuple(o.detach() for o in state) if isinstance(state, tuple) else state.detach()


def cases(short: bool = False) -> list[Case]:
    "All that is measured."
    archs = ("loop", "concat", "rnn", "gru", "lstm")
    modes = ("windows", "chunks", "streams")
    if short:
        return [Case("rnn", mode, 16, seq_len=8, bs=8) for mode in modes]
    whole = [Case(*case) for case in product(archs, modes, (256, 512), (1, 2), (False, True))]
    return whole + [Case(arch, "streams", 512, seq_len=32, bs=32) for arch in archs]


def _n_chars(case):
    "How much text an epoch reads: about as many seconds of computing for each case."
    units = case.n_layers * (case.n_hid / 256) ** 2
    n_gates = dict(gru=3, lstm=4, concat=2).get(case.arch, 1)
    per_char = units * n_gates**0.7
    n = dict(windows=40_000, chunks=160_000, streams=160_000)[case.mode] / per_char
    return max(int(n), 5_000 if case.mode == "windows" else 25_000)


def measure(short: bool = False, wanted: str = "", rounds: int = 3) -> list[Row]:
    "Time epochs of the cases whose names contain all words of `wanted`."
    text = read_text(nietzsche())
    rows = []
    for case in cases(short):
        if not all(word in str(case) for word in wanted.split()):
            continue
        dls = case.dls(text[: 6_000 if short else _n_chars(case)])
        runs = dict(ours=epoch_of(case.learner(dls)), hand=_by_hand(case, dls))
        times = in_turn(runs, 1 if short else rounds)
        against = ratios(times["hand"], times["ours"])
        row = Row(str(case), against, must=1.0, aim=1.25)
        rows.append(row)
        batch = 1e3 * median(times["ours"]) / len(dls.train)
        print(f"{' | '.join(row.cells())}; {batch:.1f} ms a batch", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    # python benchmarks/plain_training.py lstm streams
    measure(wanted=" ".join(sys.argv[1:]))
