"""results/LEADERBOARD.md from the rows of the runs: `page`."""

from leaderboard_rows import Entry, curve_points, entries, machine_letters, recipe_points
from leaderboard_tables import curve_table, lesson_table, mode_table, reading_table, run_table, text_table, texts_table
from leaderboard_targets import targets_table

_about = (
    "Written by `make leaderboard`. The text is Nietzsche, unchanged; its last tenth is held out and was not used to "
    "choose anything. Losses are in nats per character; one nat is 1.4427 bits. `best` is "
    "`charrnn train --recipe best`; its hyper-parameters were chosen on the first nine tenths of the text "
    "([measurements](EXPERIMENTS.md))."
)
_about_picture = (
    "A point is the mean of a training of this length with the seeds listed below, and its bar goes from the lowest to "
    "the highest loss. Each training is one cycle of its own, so a line does not show how one training went. Both axes "
    "are logarithmic. Grey dashed lines are compressors, which learn while they read: compare them with the table "
    "further down."
)
_about_curves = (
    "The mean loss after so many seconds of training, with half the range over the seeds. Each architecture trains in "
    "its best [mode](#reading-modes). Networks have 256 hidden units (`mullstm` 384, `ensemble` three of 256) and a "
    "highest learning rate of 5e-3."
)
_about_targets = (
    "The losses *before* were measured at a speed of .84 to 1.06. *With the same work*, the recipe trains for longer "
    "than the time, by as much as the machine is slower than the reference machine. It then computes what that machine "
    "computes in the time. *Speed* is explained below."
)
_about_reading = (
    "These models learn from each part of the text after they predict it. Do not compare these losses with those of "
    "fixed weights above. A compressor's loss is the size of the compressed text minus that of its first nine tenths. "
    "Seconds are those of compressing the whole text, or of training. `best` is the network of the first seed, as "
    "`charrnn evaluate --dynamic` reads it; its counts begin with the text before the last tenth."
)
_about_runs = (
    "*Windows* and *chunks* are scored in the mode in which they train, see below, and also with the text as one "
    "stream. *Speed* is that of training steps when the row was measured (`recipes.speed.measured_speed`; 1 is two "
    "cores of an EPYC with AVX512-BF16). A star marks the speed of one matrix product, which was measured before: on "
    "machine A it is .10 to .20 where training steps have .14. How often the text was *read* counts all networks of a "
    "recipe. *Took* is the whole run in seconds, with reading, validation and scoring; for the recipe, the second "
    "number is the time of the whole command `charrnn train`. *Lesson's "
    "terms* is the lower-cased text with the lesson's split. The last column repeats a row: "
    "`python tools/leaderboard.py --only` and this name."
)
_about_modes = (
    "*Windows* predict one character from the 8 before it (`char3` from 3). *Chunks* predict each of 64 characters, "
    "beginning with a state of zeros. *Streams* carry the state from batch to batch. The mode of an architecture "
    "is the one with the lowest loss, in this mode, after 20 seconds of training on the first 81% of the text. "
    "The loss is that of the next 9%, so the held-out tenth chooses nothing."
)
_about_texts = (
    "Each text is divided as Nietzsche is: the last tenth is held out. Of a longer tenth, its first 200,000 characters "
    "are scored, for all models alike. `lstm` has 512 hidden units, reads streams, and trains for as long as `best` in "
    "one cycle with a highest learning rate of 5e-3 and without dropout. N-grams have the longest context, of up to 10 "
    "characters, that is best on the held-out part. *Unseen* texts were not used when the recipe was chosen. Digests "
    "are those of `python tools/recipe_texts.py`, which makes the texts; installed texts depend on the versions."
)
_about_lessons = (
    "With the lesson's data and schedules (`lesson6`), seed 0. The text is lower-cased, rare characters are merged, "
    "and its first 493,747 characters train, 8 at a time from each stream (the lesson drew lengths of about 8). `seq` "
    "and `seq-identity` train on chunks of the unchanged text, and a random fifth of the chunks validates."
)


def page(
    rows: dict[str, dict],  # by the names of the runs
    names: list[str],  # of all runs, also of those without a row
) -> str:  # Markdown
    "The tables with their explanations."
    found = entries(rows)
    letters = machine_letters(rows)
    parts = [
        "# Leaderboard",
        _about,
        _machines(letters),
        _not_measured(rows, names),
        "![loss against training time](pictures/leaderboard.png)",
        _about_picture,
        "## Losses by training time",
        _about_curves,
        curve_table(curve_points(found), recipe_points(found), found),
        "## Targets",
        _about_targets,
        targets_table(found),
        "## Learning while reading",
        _about_reading,
        reading_table(found, letters),
        "## Every run",
        _about_runs,
        run_table(_own_runs(found), letters),
        "## Reading modes",
        _about_modes,
        mode_table(found, letters),
        "## The recipe on other texts",
        _about_texts,
        texts_table(found),
        text_table(found, letters),
        "## The lesson's other networks",
        _about_lessons,
        lesson_table(found, letters),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _machines(letters):
    "The computers, in one paragraph."
    named = "; ".join(f"**{letter}** {machine}" for machine, letter in letters.items())
    others = " Rows from another machine than A have its letter, except in the first table." if len(letters) > 1 else ""
    return f"Machine: {named}. Such machines differ, so every row has its speed.{others}"


def _not_measured(rows, names):
    "How many runs have no row yet."
    n_missing = sum(name not in rows for name in names)
    if not n_missing:
        return ""
    return f"{n_missing} of {len(names)} runs have not been measured yet: `python tools/leaderboard.py --missing`."


def _own_runs(found: dict[str, Entry]) -> dict[str, Entry]:
    "Networks and n-grams on Nietzsche."
    others = ("lesson6", "text: ", "mode: ", "compressor: ")
    return {name: entry for name, entry in found.items() if not name.startswith(others)}
