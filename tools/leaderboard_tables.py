"""The tables of results/LEADERBOARD.md, each from the entries of `leaderboard_rows`."""

from compressors import COMPRESSORS, QUOTED
from leaderboard_rows import Entry
from recipe_texts import RECIPE_TEXTS
from report_tables import table

_what_counts = "n-grams"


def curve_table(
    curves: dict[str, dict[float, Entry]],  # as `curve_points`
    recipe: dict[float, Entry],  # as `recipe_points`
    found: dict[str, Entry],  # as `entries`, for n-grams
) -> str:
    "A row for each network, and a column for each time of training."
    times = sorted({seconds for points in [*curves.values(), recipe] for seconds in points})
    columns = ["what", *(f"{seconds:g} s" for seconds in times), "weights"]
    lines = [["`best`", *_by_time(recipe, times), _sizes(recipe)]]
    for name, points in sorted(curves.items(), key=lambda item: min(entry.nats for entry in item[1].values())):
        lines.append([_with_mode(name, points), *_by_time(points, times), _sizes(points)])
    if _what_counts in found:
        row = found[_what_counts].first
        note = f"n-grams, {row['seconds']:g} s, contexts to {row['context']}"
        lines.append([note, f"{row['nats']:.4f}", *[""] * len(times)])
    return table(columns, lines)


def _with_mode(name, points):
    mode = next(iter(points.values())).first.get("mode")
    return f"{name}, {mode}" if mode else name


def _by_time(points, times):
    return [_loss(points[seconds]) if seconds in points else "" for seconds in times]


def _loss(entry):
    "The mean, and half the range over the seeds."
    low, high = entry.limits
    spread = f" ± {(high - low) / 2:.4f}" if len(entry.rows) > 1 else ""
    return f"{entry.nats:.4f}{spread}"


def _sizes(points):
    "The number of weights, from the smallest to the largest network."
    weights = sorted(entry.first["weights"] for entry in points.values())
    if not weights:
        return ""
    return f"{weights[0]:,}" if weights[0] == weights[-1] else f"{weights[0]:,} to {weights[-1]:,}"


def reading_table(
    found: dict[str, Entry],  # as `entries`
    letters: dict[str, str],  # of the machines
) -> str:
    "Compressors and networks that learn while they read, by loss. Quoted figures are marked."
    lines = [(name, row, "quoted") for name, row in QUOTED.items()]
    for compressor in COMPRESSORS:
        entry = found.get(f"compressor: {compressor.name}")
        note = _machine_note([entry.first], letters) if entry else ""
        program = f"Debian's `{compressor.package}`" if compressor.package else "Python's own"
        lines.append((compressor.name + note, entry.first if entry else {}, program))
    for name, entry in found.items():
        for field, how in _reading_fields.items():
            if field in entry.first:
                what = f"`{name}`{how}{_machine_note([entry.first], letters)}"
                lines.append((what, entry.first | dict(nats=entry.first[field]), "ours"))
    lines.sort(key=lambda line: line[1].get("nats", float("inf")))
    return table(["what", "nats", "seconds", "program"], [_reading_cells(*line) for line in lines])


def _reading_cells(name, row, program):
    if not row:
        return [name, "", "", f"{program}, not measured: not installed"]
    return [name, f"{row['nats']:.4f}", f"{row['seconds']:g}", program + _kept_note(row)]


def _kept_note(row):
    "A remark on a row that the last run could not measure."
    return " (not installed at the last run; an earlier row)" if row.get("kept") else ""


# fields of the recipe's rows, and what they are
_reading_fields = {"dynamic": ", dynamic evaluation", "mixed": ", dynamic evaluation mixed with counts"}


def run_table(
    found: dict[str, Entry],  # as `entries`, without other texts
    letters: dict[str, str],  # of the machines
) -> str:
    "Everything about each run, by loss."
    columns = ["what", "seconds of training", "nats", "range", "as one stream", "seeds", "weights", "speed", "took"]
    lines = [_run_cells(entry, letters) for entry in sorted(found.values(), key=lambda entry: entry.nats)]
    return table([*columns, "--only"], lines)


def _run_cells(entry, letters):
    row = entry.first
    low, high = entry.limits
    what = f"{entry.name}{_details(row)}{_machine_note(entry.rows, letters)}"
    losses = [f"{entry.nats:.4f}", f"{low:.4f}–{high:.4f}" if high > low else ""]
    streams = f"{entry.mean('streams_nats'):.4f}" if "streams_nats" in row else ""
    weights = f"{row['weights']:,}" if "weights" in row else ""
    seeds = ", ".join(map(str, entry.seeds))
    rest = [_speed(entry), _took(entry), f'`"{entry.name}"`']
    return [what, f"{row['seconds']:g}", *losses, streams, seeds, weights, *rest]


def _details(row):
    "The mode, the context or the choices of the recipe, and n-grams on the same split, in brackets."
    context = f"contexts to {row['context']}" if "context" in row else ""
    counts = f"n-grams {row['ngrams']:.4f}" if "ngrams" in row else ""
    details = "; ".join(filter(None, [row.get("mode"), _choices(row), context, counts]))
    return f" ({details})" if details else ""


def _choices(row):
    "What the recipe chose, and how often it read the text."
    read = ""
    if "read" in row:
        # rounded to a tenth
        read = f"text read {row['read']:g} times" if row["read"] else "less than a twentieth of the text read"
    return "; ".join(filter(None, [row.get("decided"), read]))


def _machine_note(rows, letters):
    "The letters of the machines that measured some rows, unless that is only A."
    names = dict.fromkeys(letters[row["machine"]] for row in rows)
    return "" if list(names) == ["A"] else f" **{', '.join(names)}**"


def _speed(entry):
    "The lowest and the highest speed of the seeds, with a star for that of a product."
    values = sorted(row["speed"] for row in entry.rows)
    shown = f"{values[0]:g}" if values[0] == values[-1] else f"{values[0]:g}–{values[-1]:g}"
    by_steps = all(row.get("speed_of") == "steps" for row in entry.rows)
    return shown if by_steps else f"{shown}\\*"


def _took(entry):
    "The time of the run, and that of the command where it is one."
    row = entry.first
    if "took" not in row:
        return ""
    return f"{row['took']:g}" + (f" ({row['wall']:g})" if "wall" in row else "")


def mode_table(
    found: dict[str, Entry],  # as `entries`
    letters: dict[str, str],  # of the machines
) -> str:
    "The loss of each architecture in each mode; the best is bold."
    by_arch: dict[str, dict[str, dict]] = {}
    for name, entry in found.items():
        if name.startswith("mode: "):
            arch, mode = name.removeprefix("mode: ").split(", ")
            by_arch.setdefault(arch, {})[mode] = entry.first
    if not by_arch:
        return "Not measured yet."
    modes = list(dict.fromkeys(mode for rows in by_arch.values() for mode in rows))
    lines = []
    for arch, rows in by_arch.items():
        losses = {mode: row["nats"] for mode, row in rows.items()}
        lines.append([arch + _machine_note(rows.values(), letters), *(_marked(losses, mode) for mode in modes)])
    return table(["architecture", *modes], lines)


def _marked(by_mode, mode):
    if mode not in by_mode:
        return ""
    bold = "**" if by_mode[mode] == min(by_mode.values()) else ""
    return f"{bold}{by_mode[mode]:.4f}{bold}"


# other texts


def _rows_of_text(name, found):
    "The rows of a text, by what was measured."
    entries = {what: found.get(f"text: {name}, {what}") for what in ("n-grams", "lstm", "best")}
    return {what: entry for what, entry in entries.items() if entry}


def texts_table(
    found: dict[str, Entry],  # as `entries`
) -> str:
    "What the texts are."
    lines = []
    for spec in RECIPE_TEXTS:
        for entry in list(_rows_of_text(spec.name, found).values())[:1]:
            row = entry.first
            kind = "unseen" if spec.unseen else ""
            lines.append([spec.name, spec.about, kind, f"{row['chars']:,}", f"{row['vocab']:,}", f"`{row['digest']}`"])
    return table(["text", "what it is", "", "characters", "distinct", "digest"], lines) if lines else ""


def text_table(
    found: dict[str, Entry],  # as `entries`
    letters: dict[str, str],  # of the machines
) -> str:
    "The losses of n-grams, a plain network and the recipe on each text."
    columns = ["text", "n-grams", "`lstm`-512", "`best`", "best of the three", "what the recipe chose", "took", "speed"]
    lines = [
        _text_cells(spec.name, rows, letters) for spec in RECIPE_TEXTS if (rows := _rows_of_text(spec.name, found))
    ]
    return table([*columns, "--only"], lines) if lines else "Not measured yet."


def _text_cells(name, rows, letters):
    losses = [f"{rows[what].nats:.4f}" if what in rows else "" for what in ("n-grams", "lstm", "best")]
    lowest = min(rows, key=lambda what: rows[what].nats) if len(rows) == 3 else ""
    recipe = rows.get("best")
    chosen = [_choices(recipe.first), _took(recipe), _speed(recipe)] if recipe else ["", "", ""]
    note = _machine_note([entry.first for entry in rows.values()], letters)
    differ = len({entry.first["digest"] for entry in rows.values()}) > 1
    kept = "".join(sorted({_kept_note(entry.first) for entry in rows.values()}))
    what = name + note + kept + (" (rows of different texts)" if differ else "")
    return [what, *losses, lowest, *chosen, f'`"text: {name}"`']


def lesson_table(
    found: dict[str, Entry],  # as `entries`
    letters: dict[str, str],  # of the machines
) -> str:
    "Lesson 6's networks by its schedules."
    columns = ["network", "epochs", "seconds", "printed", "ours", ""]
    lines = [_lesson_cells(name, entry.first, letters) for name, entry in found.items() if name.startswith("lesson6")]
    return table(columns, lines)


def _lesson_cells(name, row, letters):
    network = f"`{name.removeprefix('lesson6 ')}`{', products in bf16' if row['bf16'] else ''}"
    difference = row["nats"] - row["printed"]
    losses = [f"{row['printed']:.4f}", f"{row['nats']:.4f}", f"{difference:+.4f}"]
    return [network, str(row["epochs"]), f"{row['seconds']:g}{_machine_note([row], letters)}", *losses]
