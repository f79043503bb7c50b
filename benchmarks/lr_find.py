"""Claim: two epochs of `fit_one_cycle` at the rate that `learn.lr_find()` suggests end, at the median, within 3% of the best loss of a grid of rates.

The grid: 8 rates, each twice the one before, from 0.0005 to 0.064. Windows: 8 characters, 512 in a batch. Streams: 32 rows, 32 characters
at a time, the state carried. Validation on the last tenth of the text. A loss is the mean of as many
seeds as the table says; the suggestion is that of one `lr_find`. At 30 KB a training is 54 to 106 steps, and seeds differ by some percent.
What was measured is kept in `results/lr_find.json`, curves included, so that other rules can be compared without training;
what is missing there is trained. To measure again, delete it: `python benchmarks/run.py lr_find --out results` (about half an hour on one core).
"""

import json
import math
import os
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from figures import Row
from machine import machine

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
_store = Path(__file__).parents[1] / "results/lr_find.json"
_modes = {"windows": dict(seq_len=8, bs=512), "streams": dict(seq_len=32, bs=32, target="every", stateful=True)}
_texts = {"nietzsche": lambda: read_text(nietzsche()), "python": python_reference, "numbers": human_numbers}


class Config(NamedTuple):
    "What is trained."

    text: str  # one of _texts
    size: int  # characters; 0: all
    mode: str  # one of _modes
    arch: str
    n_hid: int = 128
    seeds: int = 1  # trainings for each rate

    @property
    def name(self) -> str:
        return (
            f"{self.text} {f'{self.size // 1000} KB' if self.size else 'whole'}, {self.mode}, {self.arch} {self.n_hid}"
        )

    def dls(self) -> CharDataLoaders:
        "A piece of the text; of a long one that begins like a title page, from its second third on."
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
    "Trainings of one configuration, each done once and kept."

    def __init__(
        self,
        config: Config,
        kept: dict,  # what is known, by configuration; added to
        save,  # called after every training
    ):
        self.config, self.kept, self.save, self.dls = config, kept.setdefault(config.name, {}), save, None

    def _learner(self, seed):
        self.dls = self.dls or self.config.dls()
        return char_learner(self.dls, self.config.arch, n_hid=self.config.n_hid, seed=seed)

    def _keep(self, key, measured):
        if key not in self.kept:
            self.kept[key] = measured()
            self.save()
        return self.kept[key]

    def curve(self) -> list[list[float]]:
        "The rates tried by `lr_find` and the smoothed losses."

        def measured():
            learn = self._learner(0)
            with learn.no_bar():
                learn.lr_find(show_plot=False, suggest_funcs=None)
            return [
                [float(f"{float(o):.5g}") for o in values] for values in (learn.recorder.lrs, learn.recorder.losses)
            ]

        return self._keep("curve", measured)

    def suggestion(self, rule) -> float:
        "The rate that a rule takes from the curve, cut as `lr_find` cuts it."
        lrs, losses = (torch.tensor(o[10:-5]) for o in self.curve())
        return rule(lrs, losses, 100)[0]

    def at(self, lr: float) -> float:
        "The validation loss of two epochs of one cycle up to `lr`, in nats."

        def measured(seed):
            learn = self._learner(seed)
            with learn.no_bar(), learn.no_logging():
                learn.fit_one_cycle(2, lr)
            loss = learn.training_log.rows[-1]["valid_loss"]
            return round(loss, 5) if math.isfinite(loss) else 99.0

        return fmean(self._keep(f"{lr:.5g}, seed {s}", lambda s=s: measured(s)) for s in range(self.config.seeds))


class Found(NamedTuple):
    "One line of the table."

    config: Config
    best: tuple[float, float]  # rate and loss, of the grid
    rules: dict[str, tuple[float, float]]  # likewise, by rule

    def ratio(self, rule: str) -> float:
        return self.rules[rule][1] / self.best[1]


def _found(config, kept, save):
    losses = Losses(config, kept, save)
    grid = {lr: losses.at(lr) for lr in GRID}
    best = min(grid, key=grid.get)
    rates = {k: losses.suggestion(rule) for k, rule in RULES.items()}
    return Found(config, (best, grid[best]), {k: (lr, losses.at(lr)) for k, lr in rates.items()})


_lines: list[Found] = []
_where: list[str] = []  # the machine that trained


def measure(short: bool = False) -> list[Row]:
    "Every configuration; in short one, on a small text."
    kept = json.loads(_store.read_text()) if _store.exists() and not short else {}

    def save():
        if short:
            return
        part = _store.with_suffix(".part")
        part.write_text(json.dumps(kept, indent=0) + "\n")
        os.replace(part, _store)

    _where[:] = [kept.setdefault("machine", f"{machine()}; PyTorch {torch.__version__}")]
    configs = [Config("numbers", 8_000, "streams", "rnn", 16)] if short else CONFIGS
    _lines[:] = [_found(o, kept, save) for o in configs]
    rows = []
    for mode in dict.fromkeys(o.mode for o in configs):
        ratios = [o.ratio("descent") for o in _lines if o.config.mode == mode]
        rows.append(
            Row(f"{mode}: loss at `descent` over the best of the grid", ratios, "{:.3f}", must=1.03, at_most=True)
        )
    ratios = [o.ratio("descent") for o in _lines]
    rows += [
        Row(f"all: configurations within {share}%", [100 * fmean(o <= 1 + share / 100 for o in ratios)], "{:.0f}", "%")
        for share in (3, 5)
    ]
    rows.append(
        Row("all: loss at fastai's `valley` over the best of the grid", [o.ratio("valley") for o in _lines], "{:.3f}")
    )
    return rows


def more(folder: Path) -> str:
    "The table of all configurations."
    head = "| text, reading, network | seeds | best rate | its loss | `descent` | its loss | over the best | `valley` | its loss | over the best |"
    return "\n".join([f"Trained on: {_where[0]}.\n", head, "| --- " * 10 + "|", *map(_line, _lines)])


def _line(found):
    cells = [found.config.name, str(found.config.seeds), f"{found.best[0]:.4g}", f"{found.best[1]:.4f}"]
    for rule in RULES:
        lr, loss = found.rules[rule]
        cells += [f"{lr:.2g}", f"{loss:.4f}", f"{found.ratio(rule):.3f}"]
    return f"| {' | '.join(cells)} |"
