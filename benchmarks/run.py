"""Run the benchmarks of this folder and write results/BENCHMARKS.md with a picture of each: `make bench`.

    python benchmarks/run.py                            # run all, write the report
    python benchmarks/run.py train_speed                # run one, print its table
    python benchmarks/run.py train_speed --out results  # run one, replace its section of the report
    python benchmarks/run.py --add build/gpu            # run none, add what another machine measured to the report

`--short` checks that the benchmarks run. Its figures mean nothing. A benchmark that needs a GPU or a browser is left
out where there is none, and its section of the report stays; with `--short` those of a GPU run on the CPU.
"""

import argparse
import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from fastai.basics import default_device

here = Path(__file__).parent
# `figures` is in this folder, `oracles` in tests, `machine` in tools
sys.path[:0] = [str(here), str(here.parent / "tests"), str(here.parent / "tools")]
from chromium import has_chromium  # noqa: E402
from figures import picture, table  # noqa: E402
from machine import machine  # noqa: E402


def section(name: str, short: bool, pictures: Path) -> str:
    "One benchmark as a section: its claim, its table, its picture."
    print(f"{name} …", file=sys.stderr, flush=True)
    module = importlib.import_module(name)
    title = _title(name)
    uses_gpu = _needs_gpu(name)
    default_device(None if uses_gpu else False)
    rows = module.measure(short)
    parts = [f"## {title}", module.__doc__.strip(), where(uses_gpu), table(rows)]
    if any(r.must is not None for r in rows):
        picture(rows, pictures / f"{name}.png", title)
        parts.append(f"![{title}](pictures/{name}.png)")
    if hasattr(module, "more"):
        parts.append(module.more(pictures))
    return "\n\n".join(parts)


def _title(name):
    return name.replace("_", " ")


def _needs_gpu(name):
    return getattr(importlib.import_module(name), "needs_gpu", False)


def runnable(names: list[str], short: bool) -> list[str]:
    "The benchmarks that can run here. Says which cannot."
    lacking = {name: _lacks(name, short) for name in names}
    for name, what in lacking.items():
        if what:
            print(f"{name} is left out: it needs {what}, and there is none", file=sys.stderr, flush=True)
    return [name for name, what in lacking.items() if not what]


def _lacks(name, short):
    "What a benchmark needs that this machine does not have. In its short form it needs no GPU."
    if _needs_gpu(name) and not short and not torch.cuda.is_available():
        return "a GPU"
    if getattr(importlib.import_module(name), "needs_browser", False) and not has_chromium():
        return "Chromium"
    return None


def head(sections: dict[str, str]) -> str:  # by title
    "The head of the report: how it was measured."
    on_gpu = [title for title, text in sections.items() if _is_on_gpu(text)]
    where = f"Measured on a GPU: {', '.join(on_gpu)}." if on_gpu else "Nothing here was measured on a GPU."
    return (
        "# Benchmarks\n\n"
        "Written by `make bench`. Medians of rounds in turn (one round warms up), "
        "smallest and largest round in brackets; ratios carry over to other machines, seconds do not.\n"
        f"{where} Each section names the machine that measured it."
    )


def _is_on_gpu(section):
    "Whether the machine of a section has a GPU that was used."
    line = re.search(r"^Measured on: .*", section, re.M)
    return line is not None and "no GPU" not in line[0]


def where(uses_gpu: bool) -> str:
    "The machine and the versions, for a section."
    threads = torch.get_num_threads()
    return (
        f"Measured on: {machine(uses_gpu)}. PyTorch {torch.__version__}, Python {platform.python_version()}; "
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
    complete.write_text("\n\n".join([head(sections), *ordered]) + "\n", encoding="utf-8")
    os.replace(complete, out / "BENCHMARKS.md")


def arguments() -> argparse.Namespace:
    "The command line."
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="benchmarks to run, such as train_speed (default: all)")
    p.add_argument("--short", action="store_true", help="do little work; the figures mean nothing")
    p.add_argument("--out", type=Path, help="folder for BENCHMARKS.md and pictures/ (default: results if all are run)")
    p.add_argument("--add", type=Path, help="folder with a BENCHMARKS.md whose sections replace those of the report")
    return p.parse_args()


def add_report(folder: Path, out: Path):
    "Add the sections and pictures of another report, and replace those of the same titles."
    sections = sections_of(folder / "BENCHMARKS.md")
    if not sections:
        sys.exit(f"{folder / 'BENCHMARKS.md'} is missing, or has no sections")
    with tempfile.TemporaryDirectory(dir=out, prefix=".bench-") as pictures:
        for path in (folder / "pictures").glob("*.png"):
            shutil.copy(path, pictures)
        write_report(sections_of(out / "BENCHMARKS.md") | sections, Path(pictures), out)


def main():
    "Write the report of all benchmarks, replace sections of it, or print the sections."
    args = arguments()
    if args.add:
        add_report(args.add, args.out or here.parent / "results")
        return
    partial = args.names or args.short
    out = args.out or (None if partial else here.parent / "results")
    wanted = args.names or sorted(path.stem for path in here.glob("*_*.py"))
    names = runnable(wanted, args.short)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".bench-") as folder:
        measured = {_title(name): section(name, args.short, Path(folder)) for name in names}
        if out is None:
            print("\n\n".join([head(measured), *measured.values()]))
            return
        # with names, all other sections; else those that cannot be measured here
        stay = sections_of(out / "BENCHMARKS.md")
        if not args.names:
            stay = {title: text for title, text in stay.items() if title in map(_title, set(wanted) - set(names))}
        write_report(stay | measured, Path(folder), out)


if __name__ == "__main__":
    main()
