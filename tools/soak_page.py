"""The page results/RELIABILITY.md, made from the figures of `tools/soak.py`."""

import platform
import re
from collections import Counter
from datetime import date

import fastai
import torch
from machine import machine
from report_tables import table
from soak_curves import growth, slope
from soak_memory import CURVES
from soak_sections import SECTIONS

from fastai_charrnn import __version__


def where() -> str:  # for one section
    "The machine, the versions and the date."
    return (
        f"{machine()}; fastai_charrnn {__version__}, fastai {fastai.__version__}, PyTorch {torch.__version__}, "
        f"Python {platform.python_version()}; {date.today().isoformat()}"
    )


def page(
    figures: dict[str, dict],  # of sections, by name
) -> str:  # Markdown
    "The report: a table of all sections, then the sections."
    ordered = {name: figures[name] for name in SECTIONS if name in figures}
    sections = [_section(name, found) for name, found in ordered.items()]
    return "\n\n".join([_head(), _overview(ordered), *sections]) + "\n"


def _head():
    return (
        "# Reliability\n\n"
        "Written by `make soak`. Each section tries many times to break something. The random numbers of a try depend "
        "only on the seed and the number of the try, so `python tools/soak.py SECTION --try N` repeats it. A try is "
        "right if it ends with the right result or with the error that it should raise. A wrong result, another error, "
        "a crash, a hang, and more memory or time than the limit are wrong."
    )


def n_wrong(found: dict) -> int:
    "How many outcomes of a section are wrong."
    return sum(found["kinds"][kind] for kind in found["wrong"])


def _overview(figures):
    "A row for each section."
    columns = ["section", "tries", "wrong", "longest try", "most memory of a try", "time in all"]
    rows = []
    for name, found in figures.items():
        row = [SECTIONS[name].title, f"{found['tries']:,}", str(n_wrong(found))]
        rows.append(
            [*row, f"{found['max_seconds']:.2f} s", f"{found['max_mb']:.0f} MB", _minutes(found["total_seconds"])]
        )
    return table(columns, rows)


def _minutes(seconds):
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _section(name, found):
    "What a try is, where it was made, and the outcomes."
    parts = [f"## {SECTIONS[name].title}", SECTIONS[name].what + _limits(SECTIONS[name])]
    parts.append(
        f"`python tools/soak.py {name}`, seed {found['seed']}, in {_minutes(found['total_seconds'])}. {found['where']}."
    )
    parts += _crossed(found) if SECTIONS[name].crossed else []
    parts += [] if SECTIONS[name].crossed and not found["wrong"] else [_outcomes(name, found)]
    if "curves" in found:
        parts.append(_curves(found))
    return "\n\n".join(parts)


def _limits(section):
    "The limits of a try, as a sentence."
    limits = []
    if section.max_mb is not None:
        limits.append(f"{section.max_mb:g} MB of memory above what the process had before")
    if section.max_seconds is not None:
        limits.append(f"{section.max_seconds:g} s of processor time")
    return f" Limits of a try: {' and '.join(limits)}." if limits else ""


def _crossed(found):
    "A table of the right outcomes, whose kinds are `row, column` with or without more."
    counts = Counter()
    for kind, n in found["kinds"].items():
        if kind not in found["wrong"]:
            counts[tuple(kind.split(", ")[:2])] += n
    if not counts:
        return []
    columns = sorted({column for _, column in counts})
    rows = [
        [row, *(f"{counts[row, column]:,}" if counts[row, column] else "" for column in columns)]
        for row in sorted({row for row, _ in counts})
    ]
    return [table(["right outcomes", *columns], rows), *_kills(found)]


def _kills(found):
    "How many kills the trainings of the right outcomes have survived."
    counts = [(re.search(r"killed (\d+) times", kind), n) for kind, n in found["kinds"].items()]
    n_kills = sum(int(match[1]) * n for match, n in counts if match)
    return [f"These trainings were killed {n_kills:,} times."] if n_kills else []


def _outcomes(name, found):
    "A row for each kind of outcome. Wrong ones say how to repeat the first."
    rows = []
    crossed = SECTIONS[name].crossed
    for kind, n in found["kinds"].items():
        if crossed and kind not in found["wrong"]:
            continue
        first = found["wrong"].get(kind)
        repeat = f"**wrong**; `python tools/soak.py {name} --try {first['try']}`" if first else ""
        rows.append([kind, f"{n:,}", repeat])
    return table(["outcome", "tries", ""], rows)


def _curves(found):
    "A row for each long run, and the picture."
    columns = ["run", "length", "memory after a fifth", "at the end", "growth", "slope", "threads", "file handles"]
    rows = []
    for name, points in found["curves"].items():
        fifth, last = points[len(points) // 5], points[-1]
        row = [CURVES[name].title, f"{last[0]:,} {CURVES[name].unit}", f"{fifth[1]:.1f} MB", f"{last[1]:.1f} MB"]
        row += [f"{growth(points):+.1f} MB", f"{slope(points):+.2f} bytes each"]
        rows.append([*row, f"{fifth[2]} to {last[2]}", f"{fifth[3]} to {last[3]}"])
    return table(columns, rows) + "\n\n![memory of long runs](pictures/memory.png)"
