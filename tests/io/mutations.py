"""Model files that were changed at random: `try_one` loads one, and uses what loads. `make soak` runs it many times.

    python -c "import random, pathlib, mutations as m; print(m.try_one(random.Random(1), pathlib.Path('/tmp')))"

A changed file may raise `ModelFileError`, or load and work as a model does. Nothing else is right.
"""

import io
import json
import random
import tempfile
from argparse import Namespace
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

from raw_files import RawFile, change_bytes, change_entries, change_text, change_value, read_raw, to_bytes

from fastai_charrnn.all import CharDataLoaders, char_learner, describe_model, list_archs, load_model, save_model
from fastai_charrnn.cli.generate import info
from fastai_charrnn.errors import GenerationError, ModelFileError
from fastai_charrnn.io.generator import load_generator
from fastai_charrnn.models.registry import RENAMED

_text = "the quick brown fox jumps over the lazy dog, and the five boxing wizards jump quickly. " * 20
_config = dict(lstm=dict(n_layers=2, layer_norm=True), gru=dict(tie_weights=True, emb_sz=8))
_config["ensemble"] = dict(arch="gru", n_models=2)


@cache
def good_files() -> list[RawFile]:
    "Small models of every architecture and way to read, in the formats 1 to 3."
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for arch in list_archs():
            for reading in (dict(), dict(target="every"), dict(target="every", stateful=True)):
                if arch != "char3" or not reading:
                    files.append(read_raw(_saved(arch, reading, Path(folder))))
    with_windows = [file for file in files if file.description["target"] == "next"]
    return files + [_older(file, 1) for file in with_windows] + [_older(file, 2) for file in files]


def _older(file, version):
    "A file with the names of version 0.1."
    old = file.copy()
    old_names = {new: old for old, new in RENAMED.items()}
    config = {old_names.get(name, name): value for name, value in old.description["config"].items()}
    old.description.update(format=version, window=old.description.pop("seq_len"), config=config)
    return old


def _saved(arch, reading, folder):
    seq_len = 3 if arch == "char3" else 8
    dls = CharDataLoaders.from_text(_text, seq_len=seq_len, bs=16, device="cpu", **reading)
    config = dict(_config.get(arch, {}))
    learn = char_learner(dls, arch, n_hid=8, emb_sz=config.pop("emb_sz", 4), config=config, seed=0)
    learn.training_log.rows.append(dict(train_loss=2.0, valid_loss=2.5, lr=1e-3))
    info = dls.train_ds.info
    info["documents"] = dict(train=1, valid=1)
    info["document_digests"] = dict(train=["0123456789abcdef"], valid=["f" * 16])
    info["earlier"] = [dict(n_chars=10, stride=1, split="the last 10% of the text", digest="a" * 64)]
    return save_model(learn, folder / "m")


def changed_file(rng: random.Random) -> tuple[str, bytes]:
    "How a file was changed, and its bytes."
    file = rng.choice(good_files()).copy()
    kind = rng.choice(["field"] * 10 + ["text"] * 2 + ["tensor"] * 5 + ["bytes"] * 3)
    described = None
    if kind == "field":
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            change_value(file.description, rng)
    elif kind == "text":
        described = change_text(json.dumps(file.description), rng)
    elif kind == "tensor":
        file = change_entries(file, rng)
    raw = to_bytes(file, described)
    return kind, change_bytes(raw, rng) if kind == "bytes" else raw


def try_one(rng: random.Random, folder: Path) -> str:
    "Load a changed file, and use what loads. Returns how it was changed and the outcome."
    kind, raw = changed_file(rng)
    path = folder / "m.safetensors"
    path.write_bytes(raw)
    _described(path)
    found = [_loaded(load, path) for load in (load_generator, load_model)]
    assert (found[0] is None) == (found[1] is None), "load_generator and load_model disagree"
    if found[0] is None:
        return f"{kind}: refused"
    works = [_uses(learn) for learn in found]
    assert works[0] == works[1], "load_generator and load_model disagree on a model"
    return f"{kind}: loads and works" if works[0] else f"{kind}: loads, weights are not finite"


def _described(path):
    "Print the description of a file, if there is one."
    try:
        describe_model(path)
    except ModelFileError as e:
        _check_message(e, path)
        return
    out = io.StringIO()
    with redirect_stdout(out):
        info(Namespace(model=path, json=False))
    lines = out.getvalue().splitlines()
    assert all(line.isprintable() for line in lines), out.getvalue()
    assert len(out.getvalue()) < 2 * 10**5
    out = io.StringIO()
    with redirect_stdout(out):
        info(Namespace(model=path, json=True))
    assert out.getvalue().isascii()


def _loaded(load, path):
    try:
        return load(path, device="cpu")
    except ModelFileError as e:
        _check_message(e, path)
        return None


def _check_message(error, path):
    message = str(error)
    assert message.isprintable(), message
    assert len(message) < 700 + len(str(path)), message


def _uses(learn) -> bool:
    "Generate, predict and score. Returns whether the weights are finite."
    chars = [c for c in learn.dls.vocab if len(c) == 1 and c != "\0"]
    prompt = "".join(chars[:3])
    try:
        text = learn.generate(prompt, 4, seed=1)
        probs = learn.next_probs(prompt)
        score = learn.score(prompt)
    except GenerationError as e:
        assert "NaN or infinit" in str(e), e
        return False
    assert len(text.new) == 4 and set(text.new) <= set(learn.dls.vocab)
    assert abs(sum(probs.values()) - 1) < 1e-4
    assert len(score.log_probs) == len(prompt) and (score.log_probs <= 0).all()
    assert all(c.isprintable() or c in "\n\t\u200c\u200d" or c.isspace() for c in repr(text) + text._repr_html_())
    return True
