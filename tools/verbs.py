"""Run every verb of a learner in every reading mode, and list the results.

    python tools/verbs.py            print the table
    python tools/verbs.py --write    write docs/verbs.md

The verbs and their checks are in tests/verbs. A check that fails stops the command: a cell is never "yes" without one.
"""

import argparse
import re
import sys
import warnings
from itertools import groupby
from pathlib import Path

from fastai_charrnn._files import atomic_write

root = Path(__file__).parents[1]
sys.path[:0] = [str(root / "tests"), str(root / "tests/verbs")]

import handling  # noqa: E402, F401 (each of these registers its checks)
import predicting  # noqa: E402, F401
import training  # noqa: E402, F401
from verb_list import COLUMNS, VERBS, Case, Refused, Verb  # noqa: E402

GROUPS = [
    "Train",
    "Validate and predict",
    "Continue text",
    "Interpret and show",
    "Save and copy",
    "Callbacks and settings",
    "Loaders",
]

INTRO = """# What works in which reading mode

What users call on a fastai `Learner` and its `DataLoaders`, and our own methods, in the three ways to read a text:

- windows: `CharDataLoaders.from_text(text)`
- every: `CharDataLoaders.from_text(text, target="every")`
- streams: `CharDataLoaders.from_text(text, target="every", stateful=True)`

A cell says "yes" if the call ran and its result passed the check in the last column. "By hand" means computed one
character after another with the model's `step`. Written by `python tools/verbs.py --write`; the tests run the same
checks.
"""


def result(
    verb: Verb,  # one of `VERBS`
    column: str,  # a key of `COLUMNS`
) -> str:  # "yes", or the reason why not
    "Run the check of a verb. Raises what the check raises."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            verb.check(Case(COLUMNS[column]))
        except Refused as reason:
            return str(reason)
    return "yes"


def page(
    cells: dict,  # for each verb's name and column the cell
) -> str:  # docs/verbs.md
    "The table as a page, one part for each group of verbs."
    parts = [INTRO]
    for group, verbs in groupby(sorted(VERBS, key=_group), lambda verb: verb.group):
        header = (
            f"| call | {' | '.join(COLUMNS)} | what is compared |\n| --- | {'--- | ' * (len(COLUMNS) + 1)}".rstrip()
        )
        rows = [_row(verb, cells[verb.name]) for verb in verbs]
        parts.append("\n".join([f"## {group}\n", header, *rows]) + "\n")
    return "\n".join(parts)


def _group(verb):
    return GROUPS.index(verb.group)


def _row(verb, cells):
    # calls in code of their own, so that a narrow column can break between them
    calls = verb.name.replace("), ", ")`, `")
    return f"| `{calls}` | {' | '.join(cells[column] for column in COLUMNS)} | {verb.compared} |"


def read_page(
    path: Path,  # docs/verbs.md
) -> dict:  # for each verb's name and column the cell
    "The cells of a page that `page` wrote."
    found = {}
    for name, *cells in re.findall(
        r"^\| `(.+?)` \| (.*?) \| (.*?) \| (.*?) \|", path.read_text(encoding="utf-8"), re.M
    ):
        found[name.replace("`, `", ", ")] = dict(zip(COLUMNS, cells))
    return found


def main():
    "Parse the options, run all checks, print or write."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/verbs.md")
    args = parser.parse_args()
    text = page({verb.name: {column: result(verb, column) for column in COLUMNS} for verb in VERBS})
    if args.write:
        atomic_write(root / "docs/verbs.md", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
