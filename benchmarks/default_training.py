"""Claim: by default, `charrnn train FILE` beats n-grams on texts of 30 KB, 300 KB and 3 MB within two minutes on two
cores.

`default_recipe` trains on each text, and the last tenth of the text validates. The texts are the beginnings of
Nietzsche, of the Python language reference, of the standard library's sources in random order, and of the English
docstrings of the installed packages. Seconds include the data, training, validation after every epoch and the n-grams,
but not the imports.

There is no promise for 300 KB of the Python reference: 88% of the 50-character strings of its last tenth also occur
before it. Contexts of six characters reproduce them, and n-grams win.
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
    "Python sources in one of the interpreter's folders, in a fixed random order."
    paths = sorted(Path(sysconfig.get_path(folder)).rglob("*.py"))
    random.Random(0).shuffle(paths)
    for path in paths:
        if folder == "stdlib" and "site-packages" in path.parts:
            continue
        try:
            yield path.read_text(encoding="utf-8").replace("\0", "")
        # some tests of the standard library have another encoding
        except UnicodeDecodeError:
            continue


def _docstrings(source: str) -> str:
    "The docstrings of a source."
    try:
        nodes = ast.walk(ast.parse(source))
    # some tests are invalid on purpose
    except (SyntaxError, ValueError):
        return ""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = (ast.get_docstring(node) for node in nodes if isinstance(node, kinds))
    return "\n\n".join(doc for doc in docs if doc)


def _first(pieces: Iterator[str], size: int) -> str:
    "The first `size` characters of the joined ASCII pieces."
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
    prose = read_text(nietzsche())
    reference = python_reference()
    return {
        "Nietzsche, 30 KB": prose[:small],
        "Python reference, 30 KB": reference[:small],
        "Nietzsche, 300 KB": prose[:medium],
        _repeats: reference[:medium],
        "standard library, 3 MB": _first(_sources("stdlib"), large),
        "docstrings, 3 MB": _first(map(_docstrings, _sources("purelib")), large),
    }


def measure(short: bool = False) -> list[Row]:
    "Train once on each text."
    _found.clear()
    rows = []
    for name, text in _texts(short).items():
        recipe = default_recipe(len(text))
        if short:
            recipe = recipe.but(epochs=1, n_hid=16)
        start = perf_counter()
        loss, counting = _losses(recipe, text)
        seconds = perf_counter() - start
        must = None if name == _repeats else 1.0
        rows += [
            Row(f"{name}: loss of n-grams / loss of the network", [counting / loss], "{:.3f}", must=must),
            Row(f"{name}: training and counting", [seconds], "{:.0f}", " s", must=120, at_most=True),
        ]
        better = "the network" if loss < counting else "counting"
        cells = [name, f"{len(text):,}", str(recipe), f"{seconds:.0f}", f"{loss:.4f}", f"{counting:.4f}", better]
        _found.append(cells)
    return rows


def _losses(recipe, text):
    "The validation losses of the network and of n-grams."
    dls = recipe.dls(text, device="cpu")
    learn = recipe.learner(dls)
    with learn.no_bar(), learn.no_logging():
        recipe.fit(learn)
    return learn.training_log.rows[-1]["valid_loss"], ngram_baseline(dls).best.nats


def more(folder: Path) -> str:
    "A table of the trainings."
    head = ["text", "characters", "recipe", "seconds", "loss in nats", "n-grams", "better"]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *_found)]
    return "\n".join(
        [f"Measured on: {machine(uses_gpu=False)}, PyTorch's threads: {torch.get_num_threads()}.\n", *lines]
    )
