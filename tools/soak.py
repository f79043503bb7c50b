"""Try again and again to break the package, and write results/RELIABILITY.md: `make soak`.

    python tools/soak.py                   # all sections, then the report
    python tools/soak.py kills calls       # some sections; the others keep their figures
    python tools/soak.py kills --try 17    # repeat one try, with its messages
    python tools/soak.py --page            # no tries, only the report
    python tools/soak.py --short           # few tries, nothing is written without --out

results/reliability.json has the figures. It is written after every section. The exit code is 1 if an outcome is wrong.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

# one thread for each worker; read by torch when it is imported
os.environ["OMP_NUM_THREADS"] = "1"

from soak_curves import measure_curves  # noqa: E402
from soak_page import page, where  # noqa: E402
from soak_picture import picture  # noqa: E402
from soak_sections import SECTIONS, root  # noqa: E402
from soak_workers import Outcome, run_one, run_tries, summary  # noqa: E402

from fastai_charrnn._files import atomic_write  # noqa: E402


def measure(
    name: str,  # of a section
    seed: int,
    short: bool,  # whether to make few tries
    n_tries: int | None = None,  # tries, if neither few nor all
) -> dict:  # figures, as in results/reliability.json
    "Make the tries of a section."
    start = time.perf_counter()
    more = {}
    if name == "memory":
        outcomes, more["curves"] = measure_curves(short)
    else:
        section = SECTIONS[name]
        outcomes = _make_tries(name, seed, n_tries or (section.n_short if short else section.tries))
    more["total_seconds"] = round(time.perf_counter() - start, 1)
    return summary(outcomes) | more | dict(seed=seed, where=where())


def _make_tries(name, seed, n):
    "The outcomes of a section, with a line of progress."
    section = SECTIONS[name]
    outcomes = []
    for outcome in run_tries(section.task(f"{name} {seed}"), range(n)):
        outcomes.append(outcome)
        _show_progress(name, outcomes, n)
    print(file=sys.stderr)
    return outcomes


def _show_progress(name, outcomes, n):
    "One line that is written again on a terminal, and only once elsewhere."
    if sys.stderr.isatty() or len(outcomes) == n:
        n_wrong = sum(bool(outcome.wrong) for outcome in outcomes)
        print(f"\r{name}: {len(outcomes):,} of {n:,} tries, {n_wrong} wrong", end="", file=sys.stderr, flush=True)


def saved_figures(
    out: Path,  # a folder
) -> dict[str, dict]:  # by the names of the sections
    "The figures of reliability.json."
    path = out / "reliability.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save_figures(
    figures: dict[str, dict],  # by the names of the sections
    out: Path,  # a folder
):
    "Write reliability.json, a line for each section."
    out.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(name)}: {json.dumps(figures[name], sort_keys=True)}" for name in sorted(figures)]
    atomic_write(out / "reliability.json", "{\n" + ",\n".join(lines) + "\n}\n")


def write_report(
    figures: dict[str, dict],  # by the names of the sections
    out: Path,  # a folder
):
    "Write RELIABILITY.md and its picture from the figures."
    out.mkdir(parents=True, exist_ok=True)
    if "memory" in figures:
        picture(figures["memory"]["curves"], out / "pictures/memory.png")
    atomic_write(out / "RELIABILITY.md", page(figures))


def repeat(
    name: str,  # of a section
    seed: int,
    number: int,  # of the try
) -> Outcome:
    "Make one try in this process, with all it prints."
    task = SECTIONS[name].task(f"{name} {seed}")
    if task.prepare is not None:
        task.prepare()
    return run_one(task, number)


def arguments() -> argparse.Namespace:
    "The command line."
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)} (default: all)")
    p.add_argument("--try", dest="number", type=int, metavar="N", help="repeat only this try of one section")
    p.add_argument("--seed", type=int, default=0, help="other random numbers for all tries")
    p.add_argument("--tries", type=int, metavar="N", help="make N tries of each section, of long runs all")
    p.add_argument("--short", action="store_true", help="make few tries")
    p.add_argument("--page", action="store_true", help="make no tries, only write the report")
    p.add_argument("--out", type=Path, help="folder for the report (default: results, or none with --short)")
    args = p.parse_args()
    if unknown := set(args.names) - set(SECTIONS):
        p.error(f"there is no section {', '.join(sorted(unknown))}; the sections are {', '.join(SECTIONS)}")
    if args.number is not None and (len(args.names) != 1 or args.names == ["memory"]):
        p.error("--try needs the name of one section, not memory")
    return args


def main():
    "Repeat a try, or measure sections and write the report."
    args = arguments()
    if args.number is not None:
        outcome = repeat(args.names[0], args.seed, args.number)
        print(outcome.kind, outcome.wrong, sep="\n")
        sys.exit(bool(outcome.wrong))
    out = args.out or (None if args.short else root / "results")
    figures = saved_figures(out) if out else {}
    for name in [] if args.page else args.names or list(SECTIONS):
        figures[name] = measure(name, args.seed, args.short, args.tries)
        if out:
            save_figures(figures, out)
    if out:
        write_report(figures, out)
    else:
        print(page(figures))
    sys.exit(any(found["wrong"] for found in figures.values()))


if __name__ == "__main__":
    main()
