"""The reference's own numbers, and the trials that measure ours against them: `charrnn reproduce`.

Each architecture is trained by the reference's schedule, once a seed, and once by the one-cycle policy in as many
epochs; losses are in nats, the training loss is the smoothed running one, as the reference printed it.
"""

import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import fastai
import torch
from fastai.basics import Adam

from .. import __version__
from ..data.loaders import CharDataLoaders
from ..learner import CharLearner, char_learner

__all__ = [
    "Recipe",
    "Trial",
    "RECIPES",
    "reference_adam",
    "recipe_dls",
    "run_schedule",
    "run_one_cycle",
    "report",
    "machine",
]

reference_adam = partial(Adam, mom=0.9, sqr_mom=0.999, eps=1e-8, wd=0.0)  # PyTorch's defaults, which the reference used


@dataclass(frozen=True)
class Recipe:
    "How the reference trained an architecture, and what it printed."

    data: dict  # arguments of `CharDataLoaders.from_text`
    phases: tuple[
        tuple[float, tuple[tuple[float, float], ...]], ...
    ]  # (learning rate, (train, valid) printed after each epoch)
    examples: dict[str, str] = field(default_factory=dict)  # prompt to the prompt and what followed it
    valid: bool = True  # whether the validation loss means anything

    @property
    def printed(self) -> list[tuple[float, float]]:  # (train, valid) of every epoch
        "Every loss printed, in order."
        return [p for _, losses in self.phases for p in losses]


_eight = dict(seq_len=8, stride=1, bs=512, valid="random", valid_pct=0.2, seed=42)
RECIPES = {
    "char3": Recipe(
        dict(seq_len=3, stride=3, bs=512, valid="last"),
        ((1e-2, ((2.101551, 1.388842),)), (1e-3, ((1.863796, 0.42308),))),
        {"y. ": "y. T", " an": " and"},
        valid=False,
    ),
    "loop": Recipe(_eight, ((1e-2, ((1.98031, 1.956332),)), (1e-3, ((1.696746, 1.697028),)))),
    "concat": Recipe(
        _eight,
        ((1e-3, ((1.843979, 1.822812),)), (1e-4, ((1.737225, 1.738723),))),
        {"for thos": "for those", "part of ": "part of t"},
    ),
    "rnn": Recipe(
        _eight,
        (
            (1e-3, ((1.880866, 1.852416), (1.686484, 1.678685), (1.597526, 1.598038), (1.527368, 1.550226))),
            (1e-4, ((1.477367, 1.51327), (1.480211, 1.508043))),
        ),
        {"for thos": "for those in the same to the same to the same to"},
    ),
}


@dataclass(frozen=True)
class Trial:
    "One training run."

    losses: list[tuple[float, float]]  # (train, valid) after each epoch
    examples: dict[str, str]  # prompt to the prompt and what followed it


def recipe_dls(
    arch: str,  # one of `RECIPES`
    text: str,  # the reference's corpus
) -> CharDataLoaders:  # the reference's windows and split
    "The data an architecture was trained on."
    return CharDataLoaders.from_text(text, **RECIPES[arch].data)


def run_schedule(
    arch: str,  # one of `RECIPES`
    text: str,  # the reference's corpus
    seed: int = 0,  # fixes initial weights and the order of training
) -> tuple[Trial, CharLearner]:  # what was measured, and the trained learner
    "Train by the reference's schedule: Adam as PyTorch has it, the moments kept when the learning rate is set anew."
    learn = char_learner(recipe_dls(arch, text), arch, opt_func=reference_adam, seed=seed)
    with learn.no_bar(), learn.no_logging():
        for lr, printed in RECIPES[arch].phases:
            learn.set_lrs(lr).fit(len(printed))
    return _trial(arch, learn), learn


def run_one_cycle(
    arch: str,  # one of `RECIPES`
    text: str,  # the reference's corpus
    seed: int = 0,  # fixes initial weights and the order of training
    lr: float = 5e-3,  # the highest learning rate
) -> tuple[Trial, CharLearner]:  # what was measured, and the trained learner
    "Train as many epochs as the reference did with fastai's one-cycle policy and its Adam."
    learn = char_learner(recipe_dls(arch, text), arch, seed=seed)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(len(RECIPES[arch].printed), lr)
    return _trial(arch, learn), learn


def _trial(arch, learn):
    wrote = {p: learn.predict_next(p, n=len(t) - len(p)) for p, t in RECIPES[arch].examples.items()}
    return Trial([(r["train_loss"], r["valid_loss"]) for r in learn.training_log.rows], wrote)


def report(
    text: str,  # the reference's corpus
    archs: Iterable[str] = tuple(RECIPES),  # which to train
    seeds: int = 3,  # trials of each schedule
    one_cycle: bool = True,  # also train each by the one-cycle policy, with the first seed
    said: Callable[[str], None] = lambda s: None,  # told of every finished trial
) -> str:  # Markdown
    "Train, and report: the final losses in one table, then every epoch, then the texts."
    trials, cycles = {}, {}
    for a in archs:
        trials[a] = []
        for seed in range(seeds):
            trials[a].append(run_schedule(a, text, seed)[0])
            said(f"{a}, seed {seed}: train {trials[a][-1].losses[-1][0]:.4f}, valid {trials[a][-1].losses[-1][1]:.4f}")
        if one_cycle:
            cycles[a] = run_one_cycle(a, text)[0]
            said(f"{a}, one cycle: train {cycles[a].losses[-1][0]:.4f}, valid {cycles[a].losses[-1][1]:.4f}")
    return "\n\n".join([_head(seeds), _final_table(trials, cycles), _epoch_table(trials), _texts(trials)]) + "\n"


def _head(seeds):
    return (
        f"# Reproduction\n\nWritten by `charrnn reproduce` with {seeds} seed{'s' if seeds > 1 else ''}. Losses in nats; ours as median (min–max) over seeds. "
        "The random split shares characters between training and validation windows, as the reference's does. `char3` validates "
        f"on a single window, so its training loss stands for it.\n\nMachine: {machine()}. Versions: fastai_charrnn {__version__}, fastai {fastai.__version__}, "
        f"PyTorch {torch.__version__}, Python {platform.python_version()}."
    )


def machine() -> str:  # a few words
    "Processor, threads and GPU, as far as they can be told."
    try:
        names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    except OSError:
        names = []
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    return f"{names[0] if names else platform.processor() or platform.machine()}, {torch.get_num_threads()} threads of {os.cpu_count()} cores{gpu}"


def _ours(values):
    values = list(values)
    return f"{median(values):.4f}" + (f" ({min(values):.4f}–{max(values):.4f})" if len(values) > 1 else "")


def _final_table(trials, cycles):
    "The loss each architecture ends with: validation, or training where validation is one window."
    rows = [
        "| arch | epochs | final loss | printed | ours, same schedule | ours, one cycle | one cycle against printed |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for a, ts in trials.items():
        i = int(RECIPES[a].valid)
        printed = RECIPES[a].printed
        cycle = cycles[a].losses[-1][i] if a in cycles else None
        rows.append(
            f"| `{a}` | {len(printed)} | {('train', 'valid')[i]} | {printed[-1][i]:.4f} | {_ours(t.losses[-1][i] for t in ts)} | "
            + ("| |" if cycle is None else f"{cycle:.4f} | {cycle - printed[-1][i]:+.4f} |")
        )
    return "\n".join(rows)


def _epoch_table(trials):
    rows = [
        "## Every epoch\n",
        "| arch | learning rate | epoch | train printed | train ours | valid printed | valid ours |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for a, ts in trials.items():
        lrs = [lr for lr, printed in RECIPES[a].phases for _ in printed]
        for k, (lr, (train, valid)) in enumerate(zip(lrs, RECIPES[a].printed)):
            rows.append(
                f"| `{a}` | {lr:g} | {k + 1} | {train} | {_ours(t.losses[k][0] for t in ts)} | {valid} | {_ours(t.losses[k][1] for t in ts)} |"
            )
    return "\n".join(rows)


def _texts(trials):
    "What was written, seed by seed."
    rows = [
        "## Text (the likeliest character, again and again)\n",
        "| arch | prompt | reference | ours, seed by seed |",
        "| --- | --- | --- | --- |",
    ]
    for a, ts in trials.items():
        for p, printed in RECIPES[a].examples.items():
            rows.append(f"| `{a}` | `{p!r}` | `{printed!r}` | {' <br> '.join(f'`{t.examples[p]!r}`' for t in ts)} |")
    return "\n".join(rows)
