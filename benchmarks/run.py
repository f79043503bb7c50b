"""Run the benchmarks of this folder and write results/BENCHMARKS.md with a picture of each: `make bench`.

    python benchmarks/run.py                            # run all, write the report
    python benchmarks/run.py train_speed                # run one, print its table
    python benchmarks/run.py train_speed --out results  # run one, replace its section of the report

`--short` checks that the benchmarks run. Its figures mean nothing.
"""

import argparse
import importlib
import os
import platform
import sys
import tempfile
from pathlib import Path

import torch

here = Path(__file__).parent
# `figures` is in this folder, `oracles` in tests, `machine` in tools
sys.path[:0] = [str(here), str(here.parent / "tests"), str(here.parent / "tools")]
from figures import picture, table  # noqa: E402
from machine import machine  # noqa: E402


def section(name: str, short: bool, pictures: Path) -> str:
    "One benchmark as a section: its claim, its table, its picture."
    print(f"{name} …", file=sys.stderr, flush=True)
    module = importlib.import_module(name)
    title = name.replace("_", " ")
    rows = module.measure(short)
    parts = [f"## {title}", module.__doc__.strip(), where(), table(rows)]
    if any(r.must is not None for r in rows):
        picture(rows, pictures / f"{name}.png", title)
        parts.append(f"![{title}](pictures/{name}.png)")
    if hasattr(module, "more"):
        parts.append(module.more(pictures))
    return "\n\n".join(parts)


def head() -> str:
    "The head of the report: how it was measured."
    return (
        "# Benchmarks\n\n"
        "Written by `make bench`. Medians of rounds in turn (one round warms up), "
        "smallest and largest round in brackets; ratios carry over to other machines, seconds do not.\n"
        "Nothing here was measured on a GPU. Each section names the machine that measured it."
    )


def where() -> str:
    "The machine and the versions, for a section."
    threads = torch.get_num_threads()
    return (
        f"Measured on: {machine()}. PyTorch {torch.__version__}, Python {platform.python_version()}; "
        f"{threads} {'threads' if threads > 1 else 'thread'} unless said otherwise."
    )


def sections_of(report: Path) -> dict[str, str]:  # by title; empty if there is no such file
    "The sections of a report."
    pieces = report.read_text(encoding="utf-8").split("\n## ")[1:] if report.exists() else []
    return {piece.partition("\n")[0]: "## " + piece.strip() for piece in pieces}


def write_report(sections: dict[str, str], pictures: Path, out: Path):
    "Write BENCHMARKS.md into the folder `out` and move the pictures there."
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    for path in pictures.iterdir():
        os.replace(path, out / "pictures" / path.name)
    # the folder of the pictures is temporary and on the same disk, so the report can be moved in one step
    complete = pictures / "BENCHMARKS.md"
    ordered = [sections[title] for title in sorted(sections)]
    complete.write_text("\n\n".join([head(), *ordered]) + "\n", encoding="utf-8")
    os.replace(complete, out / "BENCHMARKS.md")


def arguments() -> argparse.Namespace:
    "The command line."
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="benchmarks to run, such as train_speed (default: all)")
    p.add_argument("--short", action="store_true", help="do little work; the figures mean nothing")
    p.add_argument("--out", type=Path, help="folder for BENCHMARKS.md and pictures/ (default: results if all are run)")
    return p.parse_args()


def main():
    "Write the report of all benchmarks, replace sections of it, or print the sections."
    args = arguments()
    partial = args.names or args.short
    out = args.out or (None if partial else here.parent / "results")
    names = args.names or sorted(path.stem for path in here.glob("*_*.py"))
    with tempfile.TemporaryDirectory(dir=out, prefix=".bench-") as folder:
        measured = {name.replace("_", " "): section(name, args.short, Path(folder)) for name in names}
        if out is None:
            print("\n\n".join([head(), *measured.values()]))
            return
        kept = sections_of(out / "BENCHMARKS.md") if args.names else {}
        write_report(kept | measured, Path(folder), out)


if __name__ == "__main__":
    main()
