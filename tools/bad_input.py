"""Call the public functions with bad and odd input, and list what they give.

    python tools/bad_input.py            print the tables
    python tools/bad_input.py --write    write docs/bad-input.md

The calls are in tests/bad_input. A call that gives anything but an error of this package or the right result stops the
command.
"""

import argparse
import re
import sys
from itertools import groupby
from pathlib import Path

from fastai_charrnn._files import atomic_write

root = Path(__file__).parents[1]
sys.path[:0] = [str(root / "tests"), str(root / "tests/bad_input")]

from bad_calls import FILES, Call, Place, read_calls  # noqa: E402

INTRO = """# What bad input gives

Every public function that gets data or numbers, called with values that are wrong or unusual. Each call below was run.
Errors are classes of [`fastai_charrnn.errors`](reference.md), and all of them are `ValueError`s. Their messages name
the argument, its value and what is allowed. A call that works has a check of its result.

In the calls, `text` is "the quick brown fox jumps over the lazy dog. " 40 times, `many` has 100,000 different
characters, `df` is a table of texts, and `blocks` makes a `DataBlock` of `CharBlock`. `dls` and `learn` read windows,
`every` and `every_learn` chunks (`target="every"`), `streams` and `streams_learn` streams (`stateful=True`). The files
have what their names say; those called "locked" may not be read or written.

Written by `python tools/bad_input.py --write`; the tests run the same calls. `…` in a message stands for the value.
"""


def page(
    outcomes: dict[Call, str],  # what each call gives
) -> str:  # docs/bad-input.md
    "The tables as a page, one for each group. Values that give the same share a line."
    parts = [INTRO]
    for group, calls in groupby(outcomes, lambda call: call.group):
        rows: dict[tuple, list[str]] = {}
        for call in calls:
            rows.setdefault((call.template, _without_value(outcomes[call])), []).append(call.value)
        lines = []
        before = ""
        for (template, given), values in rows.items():
            lines.append(_line("" if template == before else template, values, given))
            before = template
        parts.append("\n".join([f"## {group}\n", "| call | with | gives |\n| --- | --- | --- |", *lines]) + "\n")
    return "\n".join(parts)


def _without_value(outcome):
    "The message with … for the value, so that the messages of several values are equal."
    after = r" (?:is|are) (?:not|more|neither)\b| must\b| cannot\b|: \w+ numbers"
    return re.sub(rf"^(\w+: \w[\w.]*=).*?({after})", r"\1…\2", outcome, flags=re.S)


def _line(template, values, given):
    values = ", ".join(_code(value) for value in values if value)
    kind, _, rest = given.partition(": ")
    rest = _code(rest) if kind == "works" else _escaped(rest)
    template = _code(template) if template else ""
    return f"| {template} | {values} | {kind}: {rest} |"


def _code(text):
    "Code in a table. A bar would end the cell."
    return f"`{text}`".replace("|", "\\|")


def _escaped(text):
    "A message in a table, with what Markdown would interpret escaped."
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", text)


def main():
    "Parse the options, run all calls, print or write."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/bad-input.md")
    args = parser.parse_args()
    place = Place()
    text = page({call: place.outcome(call) for fname in FILES for call in read_calls(fname)})
    if args.write:
        atomic_write(root / "docs/bad-input.md", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
