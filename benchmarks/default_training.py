"""Claim: what `charrnn train FILE` does by default beats counting n-grams on texts of 30 KB, 300 KB and 3 MB, within two minutes on two cores.

Each text is trained on by `default_recipe`, and its last tenth is the validation part. The texts: the beginning of Nietzsche, of the
Python language reference, of the standard library's sources in random order, and of the English docstrings of the installed packages.
Seconds are of making the data, training, validating after every epoch, and counting; importing PyTorch and fastai takes some more.

There is no promise for 300 KB of the Python reference: 88% of the 50-character strings of its last tenth occur in the rest. Contexts of
six characters reproduce them, and counting wins.
"""

import ast
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import torch
from figures import Row
from machine import machine

from fastai_charrnn.all import default_recipe, ngram_baseline, nietzsche, python_reference, read_text

_repeats = "Python reference, 300 KB"
_found: list[list[str]] = []


def _sources(folder: str) -> Iterator[str]:
    "Python sources below one of the interpreter's folders, in a random order that is always the same."
    paths = sorted(Path(sysconfig.get_path(folder)).rglob("*.py"))
    random.Random(0).shuffle(paths)
    for path in paths:
        if folder == "stdlib" and "site-packages" in path.parts:
            continue
        try:
            yield path.read_text(encoding="utf-8").replace("\0", "")
        # sources in another encoding, which some tests of the standard library are
        except UnicodeDecodeError:
            continue


def _docstrings(source: str) -> str:
    "The docstrings of a source."
    try:
        nodes = ast.walk(ast.parse(source))
    # sources that are wrong on purpose, as some tests have them
    except (SyntaxError, ValueError):
        return ""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = (ast.get_docstring(node) for node in nodes if isinstance(node, kinds))
    return "\n\n".join(doc for doc in docs if doc)


def _first(pieces: Iterator[str], size: int) -> str:
    "The first `size` characters of pieces put together."
    text = ""
    for piece in pieces:
        if len(text) >= size:
            break
        if piece.isascii():
            text += piece + "\n\n"
    return text[:size]


def _texts(short: bool) -> dict[str, str]:
    "The texts by name."
    small, medium, large = (2_000, 3_000, 4_000) if short else (30_000, 300_000, 3_000_000)
    prose, reference = read_text(nietzsche()), python_reference()
    return {
        "Nietzsche, 30 KB": prose[:small],
        "Python reference, 30 KB": reference[:small],
        "Nietzsche, 300 KB": prose[:medium],
        _repeats: reference[:medium],
        "standard library, 3 MB": _first(_sources("stdlib"), large),
        "docstrings, 3 MB": _first(map(_docstrings, _sources("purelib")), large),
    }


def measure(short: bool = False) -> list[Row]:
    "One training a text."
    _found.clear()
    rows = []
    for name, text in _texts(short).items():
        recipe = default_recipe(len(text))
        if short:
            recipe = recipe.but(epochs=1, n_hid=16)
        start = perf_counter()
        dls = recipe.dls(text, device="cpu")
        learn = recipe.learner(dls)
        with learn.no_bar(), learn.no_logging():
            recipe.fit(learn)
        loss = learn.training_log.rows[-1]["valid_loss"]
        counting = ngram_baseline(dls).best.nats
        seconds = perf_counter() - start
        rows += [
            Row(
                f"{name}: loss of n-grams / loss of the network",
                [counting / loss],
                "{:.3f}",
                must=None if name == _repeats else 1.0,
            ),
            Row(f"{name}: training and counting", [seconds], "{:.0f}", " s", must=120, at_most=True),
        ]
        verdict = "the network" if loss < counting else "counting"
        _found.append(
            [name, f"{len(text):,}", str(recipe), f"{seconds:.0f}", f"{loss:.4f}", f"{counting:.4f}", verdict]
        )
    return rows


def more(folder: Path) -> str:
    "The trainings one by one."
    head = ["text", "characters", "recipe", "seconds", "loss in nats", "n-grams", "better"]
    lines = [f"| {' | '.join(o)} |" for o in (head, ["---"] * len(head), *_found)]
    return "\n".join([f"Measured on: {machine()}, PyTorch's threads: {torch.get_num_threads()}.\n", *lines])
