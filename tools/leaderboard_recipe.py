"""Run `charrnn train --recipe best` as users do, and score the model file that it saves; each run returns a row."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from leaderboard_networks import cut_text, held_out, network_row

from fastai_charrnn.all import learning_while_reading, load_model

root = Path(__file__).parents[1]


def train_recipe(
    text: str,
    minutes: float,  # `--minutes`
    seed: int = 42,
    pct: float = 0.1,  # how much of the text is held out
    options: tuple[str, ...] = (),  # further options of the command
    max_scored: int | None = None,  # score at most so many of the held-out characters
    dynamic: bool = False,  # whether to evaluate it also with learning while reading
) -> dict:  # the row; `wall` is the time of the whole command in seconds, `read` how often the text was read
    "Train by the recipe in a process of its own. The model is scored on the held-out part read as one stream."
    with tempfile.TemporaryDirectory() as folder:
        source, model = Path(folder, "text.txt"), Path(folder, "model.safetensors")
        source.write_text(text, encoding="utf-8", newline="")
        start = time.perf_counter()
        command = ["train", source, "--recipe", "best", "--minutes", minutes, "--seed", seed]
        printed = charrnn(*command, "--valid-pct", cut_text(text, pct)[1], "--out", model, *options)
        wall = time.perf_counter() - start
        learn = load_model(model)
    part = held_out(text, pct, max_scored)
    read = round(learn.training_log.rows[-1]["epochs"], 1)
    row = network_row(learn, part, 60 * minutes) | dict(wall=round(wall, 1), decided=decision(printed), read=read)
    return row | (while_reading(learn, text, part) if dynamic else {})


def charrnn(
    *args,  # of the command
) -> str:  # what it prints
    "Run the command of this checkout. Its errors and warnings are shown."
    command = [sys.executable, "-m", "fastai_charrnn", *map(str, args)]
    return subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout


def decision(
    printed: str,  # by `charrnn train --recipe`
) -> str:
    "The line that says what the recipe chose."
    found = re.search(r"^.*\bhidden units\b.*$", printed, re.M)
    if not found:
        raise ValueError(f"the command has no line with the choices of the recipe: {printed!r}")
    return found[0].strip()


def while_reading(
    learn,  # a trained learner
    text: str,
    part: str,  # the end of the text, which is scored; its first character is given
) -> dict:  # dynamic: the model alone, counts: counts alone, mixed: both
    "The losses of a model that learns while it reads the end of a text, and of counts that know all before it."
    scored = part[1:]
    found = learning_while_reading(learn, scored, before=text[: -len(scored)])
    return {name: found[f"{name}_loss"] for name in ("dynamic", "counts", "mixed")}
