"""results/LEADERBOARD.md from the rows of the runs."""

from leaderboard_runs import seed

_about = (
    f"Written by `make leaderboard`, seed {seed}. "
    "The text is Nietzsche, unchanged; its last tenth is held out. "
    "Losses are in nats per character; one nat is 1.4427 bits.\n\n"
    "*Windows* predict one character from the 8 before it. *Chunks* predict each of 64 characters, beginning with a "
    "state of zeros. *Streams* carry the state from batch to batch. The loss in a network's own mode and the loss with "
    "the text as streams are different measurements, so both are listed.\n\n"
    "Networks have 256 hidden units unless listed otherwise, and train in one cycle of the given time with a highest "
    "learning rate of 5e-3. (The picture also has a cycle in a quarter of the time.) `best` is "
    "`charrnn train --recipe best`. Its hyper-parameters were chosen on the first 90% of the text. That a network "
    "memorises the text after some ten epochs was also seen on the last tenth, with an earlier recipe "
    "([measurements](EXPERIMENTS.md))."
)
_about_speed = (
    "Such machines differ. *Speed* is the speed of the recurrent product when the row was measured "
    "(`recipes.speed.measured_speed`; 1 is two cores of an EPYC with AVX512-BF16)."
)
_about_texts = (
    "`best`, which was chosen on Nietzsche. Python's reference and the numbers (*one*, *two* … to 9,999) validate on "
    "their last tenth. The lesson's text is split as for the lesson's own networks below, of which the best printed "
    "1.2524 after 65 epochs on a GPU. The last tenth of the numbers begins with *nine thousand*, which does not occur "
    "before it: one network of 768 units memorised the other nine tenths and reached .3882 there, a higher loss than "
    "that of n-grams."
)
_about_lessons = (
    "With the lesson's data and schedules (`lesson6`), seed 0. The text is lower-cased, rare characters are merged, "
    "and its first 493,747 characters train, 8 at a time from each stream (the lesson drew lengths of about 8). `seq` "
    "and `seq-identity` train on chunks of the unchanged text, and a random fifth of the chunks validates."
)


def page(
    rows: dict[str, dict],  # by the names of the runs
    machine: str,  # that measured them
) -> str:  # Markdown
    "The tables with their explanations."
    parts = [
        "# Leaderboard",
        _about,
        f"Machine: {machine}. {_about_speed}",
        "![loss against training time](pictures/leaderboard.png)",
        _main_table(rows),
        "## The recipe on other texts",
        _about_texts,
        _text_table(rows),
        "## The lesson's other networks",
        _about_lessons,
        _lesson_table(rows),
    ]
    return "\n\n".join(parts) + "\n"


def _table(columns, lines):
    lines = [columns, ["---"] * len(columns), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _main_table(rows):
    "Networks and n-grams, by loss."
    own = {name: row for name, row in rows.items() if not name.startswith(("lesson6", "text: "))}
    columns = ["what", "seconds of training", "nats, own mode", "nats, as streams", "weights", "speed"]
    by_loss = sorted(own.items(), key=lambda item: item[1]["nats"])
    return _table(columns, [_main_cells(name, row) for name, row in by_loss])


def _main_cells(name, row):
    # n-grams have neither streams nor weights
    streams = f"{row['streams_nats']:.4f}" if "weights" in row else ""
    weights = f"{row['weights']:,}" if "weights" in row else ""
    cells = [name + _note(row), f"{row['seconds']:g}", f"{row['nats']:.4f}"]
    return [*cells, streams, weights, f"{row['speed']:g}"]


def _note(row):
    "An addition to the name, in brackets."
    if "dynamic" in row:
        return f" ({_size(row)} hidden units, {row['epochs']} epochs; dynamic evaluation {row['dynamic']:.4f})"
    return f" (contexts to {row['context']})" if "context" in row else ""


def _size(row):
    return f"{row['n_models']} x {row['n_hid']}" if row.get("n_models", 1) > 1 else str(row["n_hid"])


def _text_table(rows):
    columns = ["text", "characters", "time, hidden units, epochs", "n-grams", "ours", "speed"]
    return _table(columns, [_text_cells(name, row) for name, row in rows.items() if name.startswith("text: ")])


def _text_cells(name, row):
    text, _, minutes = name.removeprefix("text: ").rpartition(", ")
    training = f"{minutes}, {_size(row)}, {row['epochs']}"
    losses = [f"{row['ngrams']:.4f}", f"{row['nats']:.4f}"]
    return [text, f"{row['chars']:,}", training, *losses, f"{row['speed']:g}"]


def _lesson_table(rows):
    columns = ["network", "epochs", "seconds", "printed", "ours", ""]
    return _table(columns, [_lesson_cells(name, row) for name, row in rows.items() if name.startswith("lesson6")])


def _lesson_cells(name, row):
    network = f"`{name.removeprefix('lesson6 ')}`{', products in bf16' if row['bf16'] else ''}"
    difference = row["nats"] - row["printed"]
    losses = [f"{row['printed']:.4f}", f"{row['nats']:.4f}", f"{difference:+.4f}"]
    return [network, str(row["epochs"]), f"{row['seconds']:g}", *losses]
