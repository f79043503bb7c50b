"""List the modules of the package with the first line of each docstring.

    python tools/tree.py                        print the list
    python tools/tree.py --against DIR --write  write results/TREE.md, with the list of another checkout

A stranger should find the right module from this list.
"""

import argparse
import ast
from pathlib import Path

from fastai_charrnn._files import atomic_write

root = Path(__file__).parents[1]


def first_line(
    path: Path,  # a module
) -> str:
    "The first line of a module's docstring, or nothing."
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0]


def listing(
    checkout: Path,  # a checkout of the project
) -> str:  # Markdown
    "The modules of the package in a table, packages in alphabetical order."
    package = checkout / "fastai_charrnn"
    rows = ["| module | first line of its docstring |", "| --- | --- |"]
    for path in sorted(package.rglob("*.py"), key=lambda p: (p.parent != package, p)):
        if line := first_line(path):
            rows.append(f"| `{path.relative_to(package).as_posix()}` | {line} |")
    return "\n".join(rows)


def page(
    before: Path | None = None,  # an older checkout to list first
) -> str:  # results/TREE.md
    "The list as a page."
    parts = ["# Modules\n\nWritten by `python tools/tree.py --write`."]
    if before:
        parts.append("## Before\n\n" + listing(before))
        parts.append("## Now\n\n" + listing(root))
    else:
        parts.append(listing(root))
    return "\n\n".join(parts) + "\n"


def main():
    "Parse the options, print or write."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, listed first")
    parser.add_argument("--write", action="store_true", help="write results/TREE.md")
    args = parser.parse_args()
    if args.write:
        (root / "results").mkdir(exist_ok=True)
        atomic_write(root / "results/TREE.md", page(args.against))
    else:
        print(page(args.against))


if __name__ == "__main__":
    main()
