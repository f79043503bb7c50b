"""Measure the long runs of `soak_memory` for `tools/soak.py`: points of a curve, growth, slope."""

import json
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from soak_memory import CURVES, usage
from soak_workers import Outcome, run_tries

max_growth = 10  # MB that the memory may grow by after the first fifth of a long run
n_points = 200  # of a curve, at most


class CurveTask:
    "A task for workers: try i is long run i. It writes its points to a file."

    prepare = None
    timeout = 1200
    max_seconds = None
    max_mb = None
    once = True

    def __init__(
        self,
        out: Path,  # a folder for the points
        short: bool,  # whether the runs are short
    ):
        self.out = out
        self.short = short

    def make(self, number: int, folder: Path) -> str:
        "Make a run and check its points."
        name = list(CURVES)[number]
        points = measure(name, self.short)
        (self.out / name).write_text(json.dumps(points), encoding="utf-8")
        check(points, self.short)
        return "flat"


def measure_curves(
    short: bool,  # whether the runs are short; they say nothing about growth then
) -> tuple[list[Outcome], dict[str, list]]:  # an outcome for each run, and the points by name
    "Make all long runs, each in a process of its own, the longest first."
    lengths = [curve.n for curve in CURVES.values()]
    longest_first = sorted(range(len(CURVES)), key=lambda number: -lengths[number])
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        outcomes = list(run_tries(CurveTask(Path(folder), short), longest_first))
        paths = sorted(Path(folder).iterdir())
        return outcomes, {path.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def measure(
    name: str,  # of the run
    short: bool,  # whether the run is short
) -> list[list[float]]:  # (count, MB, threads, handles) of each point
    "Make a long run in this process."
    curve = CURVES[name]
    n = curve.n_short if short else curve.n
    every = n / n_points
    points = []

    def record(k):
        if points and k < points[-1][0] + every or k > n:
            return
        used = usage()
        points.append([k, round(used.mb, 2), used.threads, used.handles])

    curve.run(n, record)
    return points


def growth(
    points: list[list[float]],  # of a curve
) -> float:  # MB
    "The median memory of the last fifth minus that of the second fifth."
    fifth = max(len(points) // 5, 1)
    memory = [mb for _, mb, *_ in points]
    return median(memory[-fifth:]) - median(memory[fifth : 2 * fifth])


def slope(
    points: list[list[float]],  # of a curve
) -> float:  # bytes for each of what is counted
    "The slope of a line through the points after the first fifth."
    later = np.array(points)[len(points) // 5 :]
    return float(np.polyfit(later[:, 0], later[:, 1], 1)[0]) * 2**20


def check(
    points: list[list[float]],  # of a curve
    short: bool,  # then the memory still grows, and is not checked
):
    "Raise `AssertionError` if memory, threads or file handles grow."
    assert len(points) > 1, "nothing was recorded"
    assert short or growth(points) <= max_growth, f"the memory grows by {growth(points):.1f} MB"
    for what, column in (("threads", 2), ("file handles", 3)):
        first, last = points[len(points) // 5][column], points[-1][column]
        assert last <= first, f"there are {last} {what}, and {first} after a fifth of the run"
