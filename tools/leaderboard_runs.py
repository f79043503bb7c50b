"""The runs of the leaderboard, in the order in which they are made: `all_runs`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from compressors import COMPRESSORS, compress_last_part
from leaderboard_networks import (
    archs_and_modes,
    count_ngrams,
    modes_of,
    nietzsche_text,
    train_arch,
    train_lesson,
    without_held_out,
)
from leaderboard_recipe import train_recipe
from plain_lstm import train_plain_lstm
from recipe_texts import RECIPE_TEXTS, RecipeText, described

from fastai_charrnn.all import list_archs
from fastai_charrnn.recipes.lesson6 import LESSONS, lesson_pct, merge_rare
from fastai_charrnn.recipes.speed import measured_speed

# seconds of training, and the seeds with which it is repeated
CURVE_SEEDS = {5: (42, 43, 44), 20: (42, 43, 44), 60: (42, 43), 300: (42,)}
# minutes of the recipe, and its seeds
RECIPE_SEEDS = {1: (42, 43, 44), 5: (42, 43), 15: (42, 43)}
# seconds of training in each mode, to choose an architecture's mode
MODE_SECONDS = 20
TEXT_MINUTES = 5
# of other texts, at most so many of the held-out characters are scored
MAX_SCORED = 200_000
# seconds to read the text, to score the network and to measure the speed of the machine
_overhead = 15


# the beginning of the names of runs with the work of the reference machine
SAME_WORK = "same work: "


class NoModes(Exception):
    "A network's mode cannot be chosen, because some modes have no rows."


@dataclass(frozen=True)
class Run:
    "Something that is measured, and the row that is saved."

    name: str  # of the row
    group: str  # of similar runs, for the plan
    make: Callable[[dict], dict | None]  # returns the row, given all saved ones; None where it cannot be measured here
    seconds: float  # how long it takes, about; with the work of the reference machine: how long it takes there
    arch: str = ""  # for a run in the best mode of an architecture
    only_if_named: bool = False  # whether it is made only if `--only` names it

    @property
    def expected_seconds(self) -> float:
        "How long it takes on this computer, about."
        return self.seconds * (_slowness() if self.name.startswith(SAME_WORK) else 1)

    def is_missing(self, rows: dict[str, dict]) -> bool:
        "Whether there is no saved row, or one in a mode that is no longer the best."
        if self.name not in rows:
            return True
        return bool(self.arch) and has_modes(rows, self.arch) and rows[self.name]["mode"] != best_mode(rows, self.arch)


def all_runs() -> list[Run]:
    "All runs in the order in which they are made."
    parts = [_compressors(), _counts(), _modes(), _curves(), _plain(), _recipe(), _same_work(), _texts(), _lessons()]
    return [run for part in parts for run in part]


def _compressors() -> Iterator[Run]:
    for compressor in COMPRESSORS:
        make = lambda rows, compressor=compressor: compress_last_part(compressor, nietzsche_text())
        yield Run(f"compressor: {compressor.name}", "compressors", make, 5)


def _counts() -> Iterator[Run]:
    yield Run("n-grams", "n-grams", lambda rows: count_ngrams(nietzsche_text()), 5)


# the modes of an architecture


def _modes() -> Iterator[Run]:
    for arch, mode in archs_and_modes():
        make = lambda rows, arch=arch, mode=mode: train_arch(without_held_out(), arch, mode, MODE_SECONDS, 42)
        yield Run(_mode_name(arch, mode), "modes", make, MODE_SECONDS + _overhead)


def _mode_name(arch, mode):
    return f"mode: {arch}, {mode}"


def has_modes(rows: dict[str, dict], arch: str) -> bool:
    "Whether all modes of an architecture were tried."
    return all(_mode_name(arch, mode) in rows for mode in modes_of(arch))


def best_mode(rows: dict[str, dict], arch: str) -> str:
    "The mode with the lowest loss on the last tenth of the first nine tenths. Raises `NoModes` without these rows."
    if not has_modes(rows, arch):
        raise NoModes(f'the modes of {arch} were not tried yet; run: python tools/leaderboard.py --only "mode: {arch}"')
    return min(modes_of(arch), key=lambda mode: rows[_mode_name(arch, mode)]["nats"])


# losses by time


def _curves() -> Iterator[Run]:
    for seconds, seeds in CURVE_SEEDS.items():
        for arch in list_archs():
            for seed in seeds:
                make = lambda rows, args=(arch, seconds, seed): _train_in_best_mode(rows, *args)
                yield Run(f"{arch}, {seconds} s, seed {seed}", "curves", make, seconds + _overhead, arch)


def _train_in_best_mode(rows, arch, seconds, seed):
    return train_arch(nietzsche_text(), arch, best_mode(rows, arch), seconds, seed)


def _plain() -> Iterator[Run]:
    for seconds, seeds in CURVE_SEEDS.items():
        for seed in seeds:
            make = lambda rows, seconds=seconds, seed=seed: train_plain_lstm(nietzsche_text(), seconds, seed)
            yield Run(f"plain PyTorch LSTM, {seconds} s, seed {seed}", "curves", make, seconds + 2)


def _recipe() -> Iterator[Run]:
    for minutes, seeds in RECIPE_SEEDS.items():
        for seed in seeds:
            make = lambda rows, args=(minutes, seed, seed == seeds[0]): _train_on_nietzsche(*args)
            yield Run(f"best, {minutes} min, seed {seed}", "recipe", make, 66 * minutes + 200 * (seed == seeds[0]))
    yield Run("best as one network, 15 min, seed 42", "recipe", lambda rows: _train_one_network(15), 15 * 66)
    yield Run("lesson's terms: best, 15 min, seed 42", "recipe", lambda rows: _train_on_lessons_terms(15), 15 * 66)


@cache
def _slowness() -> float:
    "How much longer than the reference machine this computer trains. Measured once."
    return 1 / measured_speed("cpu", seconds=2.0)


def _same_work() -> Iterator[Run]:
    "The recipe for as long as this computer needs for what the reference machine computes in the time."
    trainings = {
        "best, 1 min": (1, lambda minutes: _train_on_nietzsche(minutes, 42, dynamic=False)),
        "best, 5 min": (5, lambda minutes: _train_on_nietzsche(minutes, 42, dynamic=False)),
        "best, 15 min": (15, lambda minutes: _train_on_nietzsche(minutes, 42, dynamic=True)),
        "best as one network, 15 min": (15, _train_one_network),
        "lesson's terms: best, 15 min": (15, _train_on_lessons_terms),
    }
    for name, (minutes, train) in trainings.items():
        make = lambda rows, train=train, minutes=minutes: train(round(minutes * _slowness(), 1))
        yield Run(f"{SAME_WORK}{name}, seed 42", "same work", make, 66 * minutes, only_if_named=True)


def _train_on_nietzsche(minutes, seed, dynamic):
    return train_recipe(nietzsche_text(), minutes, seed, dynamic=dynamic)


def _train_one_network(minutes):
    return train_recipe(nietzsche_text(), minutes, options=("--one-network",))


def _train_on_lessons_terms(minutes):
    text = merge_rare(nietzsche_text())
    pct = lesson_pct(text)
    return train_recipe(text, minutes, pct=pct) | dict(ngrams=count_ngrams(text, pct)["nats"])


# other texts


def _texts() -> Iterator[Run]:
    for spec in RECIPE_TEXTS:
        for what, seconds in (("n-grams", 60), ("lstm", 60 * TEXT_MINUTES + 60), ("best", 66 * TEXT_MINUTES + 60)):
            make = lambda rows, spec=spec, what=what: _on_other_text(spec, what)
            yield Run(f"text: {spec.name}, {what}", f"texts, {what}", make, seconds)


def _on_other_text(spec: RecipeText, what: str) -> dict | None:
    "The row of n-grams, a plain `lstm` or the recipe on a text."
    text = spec.make()
    if not text:
        return None
    if what == "n-grams":
        row = count_ngrams(text, max_scored=MAX_SCORED)
    elif what == "lstm":
        row = train_arch(text, "lstm", "streams", 60 * TEXT_MINUTES, 42, MAX_SCORED, n_hid=512)
    else:
        row = train_recipe(text, TEXT_MINUTES, max_scored=MAX_SCORED)
    return row | described(text)


def _lessons() -> Iterator[Run]:
    seconds = dict(zip(LESSONS, (140, 40, 120, 100, 200, 2200)))
    for name in LESSONS:
        yield Run(f"lesson6 {name}", "lesson 6", lambda rows, name=name: train_lesson(name), seconds[name])
