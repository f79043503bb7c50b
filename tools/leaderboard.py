"""Train every architecture in every mode for the same time and write results/LEADERBOARD.md: `make leaderboard`.

    python tools/leaderboard.py                     # all runs, then the report and its picture
    python tools/leaderboard.py --seconds 45        # of training for each architecture and mode
    python tools/leaderboard.py --only "best, 5"    # only runs whose names contain this
    python tools/leaderboard.py --page              # no runs, only the report

results/leaderboard.json has all rows. It is written after every run, and runs that are not repeated keep their rows.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from leaderboard_page import page
from leaderboard_picture import picture
from leaderboard_runs import all_runs
from machine import machine

from fastai_charrnn._files import atomic_write
from fastai_charrnn.all import nietzsche, read_text
from fastai_charrnn.recipes.speed import measured_speed

results = Path(__file__).parent.parent / "results"
_saved = results / "leaderboard.json"


def saved_rows() -> dict:  # by the names of the runs; "machine" is the computer that measured them
    "The rows of results/leaderboard.json."
    return json.loads(_saved.read_text(encoding="utf-8")) if _saved.exists() else {}


def measure(
    name: str,  # of the run
    run,  # a function of the text
    text: str,  # Nietzsche
):
    "Make a run and save its row."
    speed = round(measured_speed("cpu"), 2)
    row = run(text) | dict(speed=speed)
    print(name, row, file=sys.stderr, flush=True)
    rows = saved_rows() | {name: row, "machine": machine()}
    atomic_write(_saved, json.dumps(rows, indent=1, sort_keys=True) + "\n")


def write_report(
    names: list[str],  # of the runs, in order
):
    "Write the report and its picture from the saved rows. Rows of former runs come last."
    saved = saved_rows()
    measured_on = saved.pop("machine")
    rows = {name: saved[name] for name in [*names, *saved] if name in saved}
    picture(rows, results / "pictures/leaderboard.png")
    atomic_write(results / "LEADERBOARD.md", page(rows, measured_on))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seconds", type=float, default=20, help="training time for each architecture and mode")
    p.add_argument("--page", action="store_true", help="make no runs, only write the report")
    p.add_argument("--only", default="", help="make only runs whose names contain this")
    args = p.parse_args()
    torch.set_flush_denormal(True)
    runs = dict(all_runs(args.seconds))
    if not args.page:
        text = read_text(nietzsche())
        for name, run in runs.items():
            if args.only in name:
                measure(name, run, text)
    write_report(list(runs))


if __name__ == "__main__":
    main()
