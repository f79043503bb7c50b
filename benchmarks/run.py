"""Run the benchmarks beside this file and write BENCHMARKS.md and a picture of each: `make bench`.

With names (`python benchmarks/run.py train_speed`), only those, to the screen; with `--out .` too, into BENCHMARKS.md, where the rest stays.
`--short` checks that they work.
"""

import argparse
import importlib
import os
import platform
import sys
import tempfile
from pathlib import Path

import torch

from fastai_charrnn.recipes.reproduce import machine

here = Path(__file__).parent
sys.path[:0] = [str(here), str(here.parent / "tests")]  # figures; oracles
from figures import picture, table  # noqa: E402


def section(name: str, short: bool, folder: Path) -> str:
    "One benchmark as a section: its claim, its table, its picture."
    print(f"{name} …", file=sys.stderr, flush=True)
    module = importlib.import_module(name)
    rows, title = module.measure(short), name.replace("_", " ")
    parts = [f"## {title}", module.__doc__.strip(), table(rows)]
    if any(r.must is not None for r in rows):
        picture(rows, folder / f"{name}.png", title)
        parts.append(f"![{title}](benchmarks/pictures/{name}.png)")
    if hasattr(module, "more"):
        parts.append(module.more(folder))
    return "\n\n".join(parts)


def _sections(path):
    "The page's sections by title."
    pieces = path.read_text(encoding="utf-8").split("\n## ")[1:] if path.exists() else []
    return {o.partition("\n")[0]: "## " + o.strip() for o in pieces}


def main():
    "All of them into BENCHMARKS.md, or some, or to the screen."
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("names", nargs="*", help="benchmarks, such as train_speed (all)")
    p.add_argument("--short", action="store_true", help="so little that figures mean nothing")
    p.add_argument(
        "--out",
        type=Path,
        help="a folder for BENCHMARKS.md and benchmarks/pictures (the project, where all are run in full; else the screen)",
    )
    args = p.parse_args()
    out = args.out or (None if args.names or args.short else here.parent)
    names = args.names or sorted(o.stem for o in here.glob("*_*.py"))
    with tempfile.TemporaryDirectory(dir=out, prefix=".bench-") as tmp:
        folder = Path(tmp) / "pictures"
        folder.mkdir()
        head = (
            "# Benchmarks\n\n"
            "Written by `make bench`. Medians of rounds in turn (one round warms up), "
            "smallest and largest round in brackets; ratios carry over to other machines, seconds do not.\n\n"
            f"Machine: {machine()}. PyTorch {torch.__version__}, Python {platform.python_version()}; "
            f"{torch.get_num_threads()} threads unless said otherwise. Nothing here was measured on a GPU."
        )
        found = {o.replace("_", " "): section(o, args.short, folder) for o in names}
        if out is None:
            return print("\n\n".join([head, *found.values()]))
        found = (_sections(out / "BENCHMARKS.md") if args.names else {}) | found
        text = "\n\n".join([head, *(found[k] for k in sorted(found))]) + "\n"
        (Path(tmp) / "BENCHMARKS.md").write_text(text, encoding="utf-8")
        (out / "benchmarks/pictures").mkdir(parents=True, exist_ok=True)
        for o in folder.iterdir():
            os.replace(o, out / "benchmarks/pictures" / o.name)
        os.replace(Path(tmp) / "BENCHMARKS.md", out / "BENCHMARKS.md")


if __name__ == "__main__":
    main()
