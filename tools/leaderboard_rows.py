"""The saved rows of the leaderboard: read, write, and join those of several seeds.

results/leaderboard.json has a row for each run, by its name. Runs that differ only in their seed have names that differ
only in the end: "rnn, 20 s, seed 42".
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from fastai_charrnn._files import atomic_write

RESULTS = Path(__file__).parents[1] / "results"


def load_rows(
    path: Path = RESULTS / "leaderboard.json",  # need not exist
) -> dict[str, dict]:  # by the names of the runs
    "The saved rows."
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save_row(
    name: str,  # of the run
    row: dict,
    path: Path = RESULTS / "leaderboard.json",
):
    "Add a row to the saved ones, or replace it."
    rows = load_rows(path) | {name: row}
    atomic_write(path, json.dumps(rows, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def keep_row(
    name: str,  # of a run that cannot be made on this computer
    path: Path = RESULTS / "leaderboard.json",
):
    "Mark the saved row, if there is one, as that of an earlier run."
    rows = load_rows(path)
    if name in rows:
        save_row(name, rows[name] | dict(kept=True), path)


@dataclass(frozen=True)
class Entry:
    "The rows of a run with one seed or several."

    name: str  # without the seed
    rows: tuple[dict, ...]  # one for each seed, in the order of the seeds
    seeds: tuple[int, ...]  # empty for what needs no seed

    def mean(self, field: str) -> float:
        "The mean over the seeds."
        return mean(row[field] for row in self.rows)

    @property
    def nats(self) -> float:
        "The mean loss."
        return self.mean("nats")

    @property
    def limits(self) -> tuple[float, float]:
        "The lowest and the highest loss of the seeds."
        losses = [row["nats"] for row in self.rows]
        return min(losses), max(losses)

    @property
    def first(self) -> dict:
        "The row of the first seed. Some numbers are measured only with this one."
        return self.rows[0]


def entries(
    rows: dict[str, dict],  # by the names of the runs
) -> dict[str, Entry]:  # by the names without seeds, in the order of the rows
    "Join the rows of several seeds."
    found: dict[str, dict[int | None, dict]] = {}
    for name, row in rows.items():
        base, seed = _split_name(name)
        found.setdefault(base, {})[seed] = row
    return {base: _entry(base, by_seed) for base, by_seed in found.items()}


def _split_name(name):
    "The name without the seed, and the seed."
    match = re.fullmatch(r"(.*), seed (\d+)", name)
    return (match[1], int(match[2])) if match else (name, None)


def _entry(base, by_seed):
    seeds = sorted(seed for seed in by_seed if seed is not None)
    return Entry(base, tuple(by_seed[seed] for seed in seeds or [None]), tuple(seeds))


def curve_points(
    found: dict[str, Entry],  # as `entries`
) -> dict[str, dict[float, Entry]]:  # for each network its entries by seconds of training
    'The entries with names such as "rnn, 20 s".'
    curves: dict[str, dict[float, Entry]] = {}
    for name, entry in found.items():
        if match := re.fullmatch(r"(.*), (\d+) s", name):
            curves.setdefault(match[1], {})[float(match[2])] = entry
    return {name: dict(sorted(points.items())) for name, points in curves.items()}


def recipe_points(
    found: dict[str, Entry],  # as `entries`
) -> dict[float, Entry]:  # by seconds of training
    'The entries with names such as "best, 5 min".'
    matches = ((re.fullmatch(r"best, (\d+) min", name), entry) for name, entry in found.items())
    return dict(sorted((60.0 * int(match[1]), entry) for match, entry in matches if match))


def machine_letters(
    rows: dict[str, dict],  # by the names of the runs
) -> dict[str, str]:  # a letter for each computer, A for that of most rows
    "Name the computers that measured the rows."
    counts = Counter(row["machine"] for row in rows.values())
    by_count = sorted(counts, key=lambda machine: (-counts[machine], machine))
    return {machine: chr(ord("A") + k) for k, machine in enumerate(by_count)}
