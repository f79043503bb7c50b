"""Write the report on fastai's own test cells: which apply to a `CharLearner`, and which of our tests have them.

    python tools/fastai_cells.py          print the report
    python tools/fastai_cells.py --write  write results/FASTAI.md

The list is `tests/fastai_cells/cells.json`, one cell a line. A cell with `why` does not apply. A cell with `test` does;
`fails` names what the test fails for, by way to read ("all" for every way), and pytest expects that failure. A cell
that `needs` CUDA is tested where there is a GPU.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from fastai_charrnn._files import atomic_write

root = Path(__file__).parents[1]
cells_path = root / "tests/fastai_cells/cells.json"

INTRO = """# fastai's own tests on a `CharLearner`

Written by `python tools/fastai_cells.py --write` from `tests/fastai_cells/cells.json`.

fastai tests itself in the cells of its notebooks. The table lists the cells that test or show something in the
notebooks about a learner and its callbacks (helper definitions and displays of signatures are left out), and what the
notebooks state without a test (marked *). A cell *applies* if users of a `Learner` can expect the behaviour. For each
of these there is a test of ours, on a small text, for each way to read it where the behaviour can depend on it. Cells
about a GPU have tests that run where there is one (`make test` skips them elsewhere)."""


def status(
    cell: dict,  # a cell of the list
    fails: dict,  # reasons of tests that fail, by test
) -> str:
    "What a cell's test does: pass, fail for a reason, run on CUDA only, or why there is none."
    if "why" in cell:
        return f"does not apply: {cell['why']}"
    if "needs" in cell:
        return f"runs on {cell['needs']}"
    reasons = fails.get(cell["test"])
    if not reasons:
        return "passes"
    by_reason = {}
    for mode, reason in reasons.items():
        by_reason.setdefault(reason, []).append(mode)
    named = (reason if modes == ["all"] else f"{reason} ({', '.join(modes)})" for reason, modes in by_reason.items())
    return f"**fails**: {'; '.join(named)}"


def page(
    cells: list[dict],  # the list
) -> str:  # Markdown
    "The report: counts for each notebook, then one line a cell."
    fails = {cell["test"]: cell["fails"] for cell in cells if "fails" in cell}
    counts = {}
    for cell in cells:
        result = status(cell, fails).partition(":")[0]
        counts.setdefault(cell["notebook"], Counter())[result] += 1
    parts = [INTRO, _summary(counts)]
    for notebook in counts:
        parts.append(f"## {notebook}\n\n" + _lines([cell for cell in cells if cell["notebook"] == notebook], fails))
    return "\n\n".join(parts) + "\n"


def _summary(counts):
    "A table with one row a notebook, and the sums."
    rows = ["| notebook | read | do not apply | apply | pass | fail | need CUDA |", "| --- " * 7 + "|"]
    total = sum(counts.values(), Counter())
    for name, count in [*counts.items(), ("**all**", total)]:
        not_apply = count["does not apply"]
        numbers = [count.total(), not_apply, count.total() - not_apply]
        numbers += [count[result] for result in ("passes", "**fails**", "runs on CUDA")]
        rows.append(f"| {name} | {' | '.join(map(str, numbers))} |")
    return "\n".join(rows)


def _lines(cells, fails):
    "A table with one row a cell."
    rows = ["| section | behaviour | status | test |", "| --- | --- | --- | --- |"]
    for cell in cells:
        test = f"`{cell['test']}`" if "test" in cell else ""
        mark = "*" if cell.get("stated") else ""
        rows.append(f"| {cell['section']}{mark} | {cell['does']} | {status(cell, fails)} | {test} |")
    return "\n".join(rows)


def main():
    "Parse the options, print or write."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write results/FASTAI.md")
    args = parser.parse_args()
    text = page(json.loads(cells_path.read_text(encoding="utf-8")))
    if args.write:
        atomic_write(root / "results/FASTAI.md", text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
