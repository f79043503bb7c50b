"""Measure how much each line of code holds, and how long functions and modules are.

    python tools/code_stats.py                        print the table for this project, fastai, fastcore and einops
    python tools/code_stats.py tests/data             print the table for some folders
    python tools/code_stats.py --against DIR --write  write results/CODE.md, with the numbers of another checkout

A body line is a line of a function's body on which a node of Python's syntax tree (`ast`) begins. Docstrings, comments,
blank lines and closing brackets do not count. The nodes of a line are those that begin on it. The length of a function
is the number of its body lines, and the length of a module is the number of its lines. An inner function counts twice:
by itself and as part of the function around it.
"""

import argparse
import ast
import statistics
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from fastai_charrnn._files import atomic_write

root = Path(__file__).parents[1]
folders = ("fastai_charrnn", "tests", "tools", "benchmarks")
# installed packages to compare with; those that are missing are left out
others = ("fastai.callback", "fastai", "fastcore", "einops")
max_function = 40
max_module = 250

columns = (
    "code",
    "nodes a line, median",
    "mean",
    "lines a function, median",
    "90%",
    "longest",
    "functions > 40",
    "modules > 250",
)
header = f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"


def functions(
    path: Path,  # a module
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    "The functions and methods of a module, inner ones included."
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(
    function: ast.FunctionDef | ast.AsyncFunctionDef,  # a node of the syntax tree
) -> Counter[int]:  # line number: nodes that begin there
    "The lines of a function's body, without its docstring."
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    nodes = (node for statement in body for node in ast.walk(statement))
    return Counter(node.lineno for node in nodes if hasattr(node, "lineno"))


def table_row(
    name: str,  # of the folder or package
    folder: Path,  # with modules
) -> str:  # Markdown
    "The numbers of all modules in a folder and below."
    paths = sorted(path for path in folder.rglob("*.py") if path.stat().st_size)
    bodies = [body_lines(function) for path in paths for function in functions(path)]
    loads = [n_nodes for body in bodies for n_nodes in body.values()]
    lengths = sorted(len(body) for body in bodies)
    if not loads:
        raise SystemExit(f"{folder} has no functions; name a folder of Python modules")
    n_long_modules = sum(len(path.read_text(encoding="utf-8").splitlines()) > max_module for path in paths)
    cells = [
        f"{statistics.median(loads):g}",
        f"{statistics.mean(loads):.1f}",
        f"{statistics.median(lengths):g}",
        lengths[int(0.9 * len(lengths))],
        lengths[-1],
        sum(length > max_function for length in lengths),
        f"{n_long_modules} of {len(paths)}",
    ]
    return f"| {name} | {' | '.join(map(str, cells))} |"


def project_rows(
    checkout: Path,  # of this project
) -> list[str]:
    "A row for each folder with code."
    return [table_row(f"`{name}/`", checkout / name) for name in folders]


def other_rows() -> list[str]:
    "A row for each installed package to compare with."
    specs = {name: find_spec(name) for name in others}
    return [table_row(f"`{name}`", Path(spec.origin).parent) for name, spec in specs.items() if spec]


def page(
    against: Path | None = None,  # another checkout
) -> str:  # results/CODE.md
    "The tables as a page."
    definition = __doc__[__doc__.index("A body line") :].strip()
    parts = ["# Code in numbers", f"Written by `python tools/code_stats.py --write`.\n\n{definition}"]
    if against:
        parts.append("\n".join(["## Before\n", header, *project_rows(against)]))
    parts.append("\n".join(["## Now\n", header, *project_rows(root)]))
    parts.append("\n".join(["## Other packages\n", header, *other_rows()]))
    return "\n\n".join(parts) + "\n"


def main(argv=None):
    "Print or write the tables."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="folders with modules")
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout of this project")
    parser.add_argument("--write", action="store_true", help="write results/CODE.md")
    args = parser.parse_args(argv)
    if args.write:
        (root / "results").mkdir(exist_ok=True)
        atomic_write(root / "results/CODE.md", page(args.against))
    elif args.folders:
        print("\n".join([header, *(table_row(f"`{folder}`", folder) for folder in args.folders)]))
    else:
        print(page(args.against))


if __name__ == "__main__":
    main()
