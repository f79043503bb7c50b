"""Measure losses by training time and write results/LEADERBOARD.md: `make leaderboard`.

    python tools/leaderboard.py --plan               # what would run, and how long it takes
    python tools/leaderboard.py                      # all runs, then the report and its picture
    python tools/leaderboard.py --missing            # only runs without a saved row, as after an interruption
    python tools/leaderboard.py --only "rnn, 20 s"   # only runs whose names begin with this; may be repeated
    python tools/leaderboard.py --only "same work"   # on a slow machine: the recipe with the reference machine's work
    python tools/leaderboard.py --page               # no runs, only the report

results/leaderboard.json has all rows. It is written after every run, and runs that are not repeated keep their rows.
"""

import argparse
import sys
import time

import torch
from leaderboard_page import page
from leaderboard_picture import picture
from leaderboard_rows import RESULTS, keep_row, load_rows, save_row
from leaderboard_runs import NoModes, Run, all_runs
from machine import machine

from fastai_charrnn._files import atomic_write
from fastai_charrnn.recipes.speed import measured_speed


def chosen_runs(
    runs: list[Run],  # all
    rows: dict[str, dict],  # saved ones, by the names of the runs
    only: list[str],  # beginnings of names; none: all runs that need not be named
    missing: bool = False,  # only runs without a saved row
) -> list[Run]:
    "The runs to make."
    chosen = [run for run in runs if (run.name.startswith(tuple(only)) if only else not run.only_if_named)]
    return [run for run in chosen if not missing or run.is_missing(rows)]


def plan(
    runs: list[Run],  # to make
    rows: dict[str, dict],  # saved ones, whose times are used where they are longer
) -> str:
    "How many runs of each group there are, and how long they take."
    lines = [f"{'group':<16} {'runs':>4} {'minutes':>8}"]
    for group in dict.fromkeys(run.group for run in runs):
        lines.append(_plan_line(group, [run for run in runs if run.group == group], rows))
    return "\n".join([*lines, _plan_line("all", runs, rows)])


def _plan_line(name, runs, rows):
    seconds = sum(max(run.expected_seconds, rows.get(run.name, {}).get("took", 0)) for run in runs)
    return f"{name:<16} {len(runs):>4} {seconds / 60:>8.1f}"


def measure(run: Run):
    "Make a run and save its row. A row that cannot be measured here keeps its former values."
    speed = round(measured_speed("cpu", seconds=2.0), 2)
    start = time.perf_counter()
    row = run.make(load_rows())
    if row is None:
        print(f"{run.name}: cannot be measured on this computer", file=sys.stderr, flush=True)
        keep_row(run.name)
        return
    took = round(time.perf_counter() - start, 1)
    row |= dict(speed=speed, speed_of="steps", took=took, machine=machine(uses_gpu=False))
    print(f"{run.name}: {row}", file=sys.stderr, flush=True)
    save_row(run.name, row)


def write_report(runs: list[Run]):  # all, in order
    "Write the report and its picture from the saved rows. Rows of former runs come last."
    saved = load_rows()
    rows = {name: saved[name] for name in [*(run.name for run in runs), *saved] if name in saved}
    picture(rows, RESULTS / "pictures/leaderboard.png")
    atomic_write(RESULTS / "LEADERBOARD.md", page(rows, [run.name for run in runs if not run.only_if_named]))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--plan", action="store_true", help="print what would run and how long it takes, and stop")
    p.add_argument("--page", action="store_true", help="make no runs, only write the report")
    p.add_argument("--only", action="append", default=[], metavar="NAME", help="only runs whose names begin with this")
    p.add_argument("--missing", action="store_true", help="only runs without a saved row")
    args = p.parse_args()
    torch.set_flush_denormal(True)
    runs = all_runs()
    chosen = [] if args.page else chosen_runs(runs, load_rows(), args.only, args.missing)
    print(plan(chosen, load_rows()), file=sys.stderr, flush=True)
    if args.plan:
        return
    try:
        for run in chosen:
            measure(run)
    except NoModes as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the rows so far are saved, and --missing makes the others")
    write_report(runs)


if __name__ == "__main__":
    main()
