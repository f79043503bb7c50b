"""Claim: two epochs of `fit_one_cycle` at the learning rate that `learn.lr_find()` suggests end, at the median, within
3% of the best loss of a grid of rates.

The grid has 8 rates, each twice the one before, from 0.0005 to 0.064. Windows have 8 characters, 512 in a batch;
streams are 32 rows, read 32 characters at a time. The last tenth of the text validates. A loss is the mean over the
number of seeds in the table; the suggestion is of one `lr_find`. At 30 KB a training has 54 to 106 steps, and losses of
seeds differ by some percent. The measurements are in `results/lr_find.json`, with the curves, so other rules can be
compared without training. Missing ones are made. To measure again, delete the file and run
`python benchmarks/run.py lr_find --out results` (about half an hour on one core).
"""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from figures import Row
from machine import machine

from fastai_charrnn._files import atomic_write
from fastai_charrnn.all import (
    CharDataLoaders,
    char_learner,
    descent,
    human_numbers,
    nietzsche,
    python_reference,
    read_text,
    valley,
)

GRID = [5e-4 * 2**k for k in range(8)]
RULES = {"descent": descent, "valley": valley}
_saved = Path(__file__).parents[1] / "results/lr_find.json"
_modes = {"windows": dict(seq_len=8, bs=512), "streams": dict(seq_len=32, bs=32, target="every", stateful=True)}
_texts = {"nietzsche": lambda: read_text(nietzsche()), "python": python_reference, "numbers": human_numbers}


class Config(NamedTuple):
    "A text, a mode and a network."

    text: str  # one of _texts
    size: int  # characters; 0: all
    mode: str  # one of _modes
    arch: str
    n_hid: int = 128
    seeds: int = 1  # trainings for each rate

    @property
    def name(self) -> str:
        size = f"{self.size // 1000} KB" if self.size else "whole"
        return f"{self.text} {size}, {self.mode}, {self.arch} {self.n_hid}"

    def dls(self) -> CharDataLoaders:
        "A part of the text. Long texts begin with a title page, so the part is from the second third."
        text = _texts[self.text]()
        begin = 0 if self.text == "numbers" or not self.size else len(text) // 3
        return CharDataLoaders.from_text(text[begin:][: self.size or None], device="cpu", **_modes[self.mode])


CONFIGS = [
    *(Config(text, 30_000, "streams", arch, seeds=3) for arch in ("rnn", "gru", "lstm") for text in _texts),
    *(Config("nietzsche", 30_000, "streams", arch, seeds=3) for arch in ("mullstm", "loop", "concat")),
    *(Config(text, 300_000, "streams", "rnn") for text in _texts),
    Config("python", 300_000, "streams", "lstm"),
    *(Config(text, 30_000, "windows", "rnn") for text in _texts),
    *(Config("nietzsche", 30_000, "windows", arch) for arch in ("gru", "loop", "concat")),
    Config("nietzsche", 300_000, "windows", "rnn"),
    Config("nietzsche", 0, "windows", "rnn", 256),
]


class Losses:
    "The losses of one configuration. Each training is done once, then its result is reused."

    def __init__(
        self,
        config: Config,  # what to train
        results: dict,  # by configuration; new results are added
        save: Callable,  # called after every training
    ):
        self.config = config
        self.results = results.setdefault(config.name, {})
        self.save = save
        self.dls = None

    def _learner(self, seed):
        self.dls = self.dls or self.config.dls()
        return char_learner(self.dls, self.config.arch, n_hid=self.config.n_hid, seed=seed)

    def _result(self, key, measured):
        if key not in self.results:
            self.results[key] = measured()
            self.save()
        return self.results[key]

    def curve(self) -> list[list[float]]:
        "The rates that `lr_find` tried, and the smoothed losses."
        return self._result("curve", self._measured_curve)

    def _measured_curve(self):
        learn = self._learner(0)
        with learn.no_bar():
            learn.lr_find(show_plot=False, suggest_funcs=None)
        curve = (learn.recorder.lrs, learn.recorder.losses)
        return [[float(f"{float(value):.5g}") for value in values] for values in curve]

    def suggestion(self, rule) -> float:
        "The rate that a rule suggests for the part of the curve that `lr_find` uses."
        lrs, losses = (torch.tensor(values[10:-5]) for values in self.curve())
        return rule(lrs, losses, 100)[0]

    def at(self, lr: float) -> float:
        "The validation loss in nats after two epochs of one cycle up to `lr`, the mean over seeds."
        losses = []
        for seed in range(self.config.seeds):
            measured = partial(self._measured_loss, lr, seed)
            losses.append(self._result(f"{lr:.5g}, seed {seed}", measured))
        return fmean(losses)

    def _measured_loss(self, lr, seed):
        learn = self._learner(seed)
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(2, lr)
        loss = learn.training_log.rows[-1]["valid_loss"]
        return round(loss, 5) if math.isfinite(loss) else 99.0


class Found(NamedTuple):
    "A line of the table."

    config: Config
    best: tuple[float, float]  # rate and loss, the best of the grid
    rules: dict[str, tuple[float, float]]  # rate and loss, by rule

    def ratio(self, rule: str) -> float:
        "The loss at a rule's rate over the best loss of the grid."
        return self.rules[rule][1] / self.best[1]


def _found(config, results, save):
    losses = Losses(config, results, save)
    grid = {lr: losses.at(lr) for lr in GRID}
    best = min(grid, key=grid.get)
    rates = {name: losses.suggestion(rule) for name, rule in RULES.items()}
    rules = {name: (lr, losses.at(lr)) for name, lr in rates.items()}
    return Found(config, (best, grid[best]), rules)


_lines: list[Found] = []
_machines: list[str] = []  # the machine that trained


def measure(short: bool = False) -> list[Row]:
    "Measure every configuration; in the short form one, on a small text."
    results = json.loads(_saved.read_text()) if _saved.exists() and not short else {}

    def save():
        if not short:
            atomic_write(_saved, json.dumps(results, indent=0) + "\n")

    _machines[:] = [results.setdefault("machine", f"{machine(uses_gpu=False)}; PyTorch {torch.__version__}")]
    configs = [Config("numbers", 8_000, "streams", "rnn", 16)] if short else CONFIGS
    _lines[:] = [_found(config, results, save) for config in configs]
    return _rows()


def _rows():
    rows = []
    for mode in dict.fromkeys(line.config.mode for line in _lines):
        in_mode = [line.ratio("descent") for line in _lines if line.config.mode == mode]
        what = f"{mode}: loss at `descent` over the best of the grid"
        rows.append(Row(what, in_mode, "{:.3f}", must=1.03, at_most=True))
    descent_ratios = [line.ratio("descent") for line in _lines]
    for share in (3, 5):
        within = 100 * fmean(ratio <= 1 + share / 100 for ratio in descent_ratios)
        rows.append(Row(f"all: configurations within {share}%", [within], "{:.0f}", "%"))
    valley_ratios = [line.ratio("valley") for line in _lines]
    rows.append(Row("all: loss at fastai's `valley` over the best of the grid", valley_ratios, "{:.3f}"))
    return rows


def more(folder: Path) -> str:
    "The table of all configurations."
    columns = ["text, reading, network", "seeds", "best rate", "its loss"]
    for rule in RULES:
        columns += [f"`{rule}`", "its loss", "over the best"]
    lines = [columns, ["---"] * len(columns), *map(_cells, _lines)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"Trained on: {_machines[0]}.\n\n{table}"


def _cells(line):
    lr, loss = line.best
    cells = [line.config.name, str(line.config.seeds), f"{lr:.4g}", f"{loss:.4f}"]
    for rule, (lr, loss) in line.rules.items():
        cells += [f"{lr:.2g}", f"{loss:.4f}", f"{line.ratio(rule):.3f}"]
    return cells
