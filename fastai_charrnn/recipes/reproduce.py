"""Train the networks of lesson 6's first part and compare the losses with the lesson's: `charrnn reproduce`.

    print(reproduce(text, archs=["char3"], seeds=1))

Each architecture is trained by the lesson's schedule, once for each seed, and once by the one-cycle policy for as many
epochs. Losses are in nats. The training loss is fastai's smoothed running loss, as the lesson printed it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from ..learner import CharLearner, char_learner
from .lesson6 import RECIPES, pytorch_adam, recipe_dls

__all__ = ["Trial", "Reproduction", "run_schedule", "run_one_cycle", "reproduce"]


@dataclass(frozen=True)
class Trial:
    "The results of one training."

    losses: list[tuple[float, float]]  # (training, validation) after each epoch
    examples: dict[str, str]  # prompt: the prompt with its continuation


def run_schedule(
    arch: str,  # one of `RECIPES`
    text: str,  # the lesson's corpus
    seed: int = 0,  # fixes the initial weights and the order of training
) -> tuple[Trial, CharLearner]:  # the results, and the trained learner
    "Train by the lesson's schedule with PyTorch's Adam. A new learning rate keeps the optimizer's moments."
    learn = char_learner(recipe_dls(arch, text), arch, opt_func=pytorch_adam, seed=seed)
    with learn.no_bar(), learn.no_logging():
        for lr, printed in RECIPES[arch].phases:
            learn.set_lrs(lr).fit(len(printed))
    return _trial(arch, learn), learn


def run_one_cycle(
    arch: str,  # one of `RECIPES`
    text: str,  # the lesson's corpus
    seed: int = 0,  # fixes the initial weights and the order of training
    lr: float = 5e-3,  # the highest learning rate
) -> tuple[Trial, CharLearner]:  # the results, and the trained learner
    "Train for as many epochs as the lesson, with fastai's one-cycle policy and Adam."
    learn = char_learner(recipe_dls(arch, text), arch, seed=seed)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(len(RECIPES[arch].printed), lr)
    return _trial(arch, learn), learn


def _trial(arch, learn):
    examples = {
        prompt: learn.predict_next(prompt, n=len(printed) - len(prompt))
        for prompt, printed in RECIPES[arch].examples.items()
    }
    return Trial([(row["train_loss"], row["valid_loss"]) for row in learn.training_log.rows], examples)


@dataclass(frozen=True)
class Reproduction:
    "All trials, by architecture. Prints as a table of the final losses."

    schedule: dict[str, list[Trial]]  # by the lesson's schedule, one a seed
    one_cycle: dict[str, Trial]  # by the one-cycle policy; empty if left out

    def final_losses(self) -> list[dict]:
        """A row for each architecture: `arch`, `epochs`, `loss` ("train" or "valid"), `printed`, `ours` (one a seed)
        and `one_cycle` (a float or None).

        `char3` validates on a single window, so its training loss is compared."""
        return [self._final_loss(arch) for arch in self.schedule]

    def _final_loss(self, arch):
        printed = RECIPES[arch].printed
        column = int(RECIPES[arch].valid)
        cycle = self.one_cycle.get(arch)
        return dict(
            arch=arch,
            epochs=len(printed),
            loss=("train", "valid")[column],
            printed=printed[-1][column],
            ours=[trial.losses[-1][column] for trial in self.schedule[arch]],
            one_cycle=cycle and cycle.losses[-1][column],
        )

    def __str__(self) -> str:
        lines = [_line("arch", "epochs", "loss", "lesson 6", "ours", "one cycle", "difference")]
        for row in self.final_losses():
            printed = row["printed"]
            cycle = row["one_cycle"]
            cells = [row["arch"], row["epochs"], row["loss"], f"{printed:.4f}", f"{median(row['ours']):.4f}"]
            cells += ["", ""] if cycle is None else [f"{cycle:.4f}", f"{cycle - printed:+.4f}"]
            lines.append(_line(*cells))
        for arch, trials in self.schedule.items():
            for prompt, printed in RECIPES[arch].examples.items():
                written = ", ".join(repr(trial.examples[prompt]) for trial in trials)
                lines.append(f"{arch} continues {prompt!r}: lesson 6 {printed!r}, ours {written}")
        return "\n".join(lines)


def _line(arch, *cells):
    return f"{arch:<8}" + "".join(f"{cell:>12}" for cell in cells)


def reproduce(
    text: str,  # the lesson's corpus
    archs: Iterable[str] = tuple(RECIPES),  # which to train
    seeds: int = 3,  # trainings by the lesson's schedule
    one_cycle: bool = True,  # also train by the one-cycle policy, with the first seed
    progress: Callable[[str], None] = lambda line: None,  # called with a line after every training
) -> Reproduction:
    "Train every architecture by the lesson's schedule and by one cycle."
    schedule: dict = {}
    cycles = {}
    for arch in archs:
        schedule[arch] = []
        for seed in range(seeds):
            trial, _ = run_schedule(arch, text, seed)
            schedule[arch].append(trial)
            progress(_progress_line(f"{arch}, seed {seed}", trial))
        if one_cycle:
            cycles[arch], _ = run_one_cycle(arch, text)
            progress(_progress_line(f"{arch}, one cycle", cycles[arch]))
    return Reproduction(schedule, cycles)


def _progress_line(name, trial):
    train, valid = trial.losses[-1]
    return f"{name}: train {train:.4f}, valid {valid:.4f}"
