"""Checkpoints that were changed at random: `try_one` resumes a training from one. `make soak` runs it many times.

Bytes are changed, or the state and the tensors, with a right checksum. A changed checkpoint may be refused by an error
of this package when it is read or when the fit continues, or the fit ends as fits do. Nothing else is right.
"""

import random
import tempfile
import warnings
from functools import cache
from pathlib import Path

import torch
from raw_files import change_bytes, change_value
from resume_cases import READINGS, KeepAll, make_learner

from fastai_charrnn.errors import CharRnnError, ModelFileError
from fastai_charrnn.state.checkpoint_file import read_checkpoint, write_checkpoint

_runs = [(arch, reading) for arch in ("rnn", "mullstm") for reading in READINGS]
_fit = (2, 1e-2)


def _learner(run, cbs=None):
    arch, reading = run
    return make_learner(reading, arch, cbs)


@cache
def good_files() -> list:  # (run, bytes) of each
    "The checkpoints of some trainings: early and late, between epochs and at the end."
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for run in _runs:
            keep = KeepAll(Path(folder), every=2)
            _learner(run, keep).fit(*_fit)
            chosen = dict.fromkeys([*keep.written[:2], *keep.written[-3:]])
            files += [(run, path.read_bytes()) for path in chosen]
    return files


def try_one(
    rng: random.Random,  # draws the checkpoint and the changes
    folder: Path,  # empty
) -> str:  # how it was changed, and the outcome
    "Change a checkpoint and resume from it."
    run, raw = rng.choice(good_files())
    path = folder / "run.safetensors"
    kind = rng.choice(["bytes", "bytes of the newest", "state", "state", "tensors"])
    if kind.startswith("bytes"):
        path.write_bytes(change_bytes(raw, rng))
    if kind == "bytes of the newest":
        (folder / "run.1.safetensors").write_bytes(raw)
    if kind in ("state", "tensors"):
        path.write_bytes(raw)
        _change_content(path, kind, rng)
    learn = _learner(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = _resumed(learn, path)
    if kind == "bytes of the newest":
        assert outcome == "resumed", outcome
    return f"{kind}, {outcome}"


def _change_content(path, kind, rng):
    "Change the state or the tensors of a checkpoint, with a right checksum."
    tensors, state = read_checkpoint(path)
    if kind == "state":
        for _ in range(rng.choice([1, 1, 2])):
            state = change_value(state, rng)
    else:
        _change_tensor(tensors, rng)
    try:
        write_checkpoint(path, tensors, state)
    except ModelFileError:
        # above a limit of checkpoints
        path.write_bytes(b"")


def _change_tensor(tensors, rng):
    "Change, add, rename or remove a tensor."
    name = rng.choice(list(tensors))
    tensor = tensors.pop(name)
    kind = rng.randrange(6)
    if kind == 0:
        tensors[rng.choice(["x", "\x1b[2J", "0.", name + ".0"])] = tensor
    elif kind == 1:
        tensors[name] = tensor.to(rng.choice([torch.float64, torch.float16, torch.int64, torch.bool, torch.uint8]))
    elif kind == 2:
        tensors[name] = torch.zeros(rng.choice([(), (0,), (3,), (2, 3), (1, 1, 1, 1)]), dtype=tensor.dtype)
    elif kind == 3:
        tensors[name] = tensor.reshape(-1)[: tensor.numel() // 2]
    elif kind == 4:
        other = rng.choice([float("nan"), float("inf"), 1e30, -1.0, 0.0])
        tensors[name] = torch.full_like(tensor.double(), other).to(tensor.dtype)


def _resumed(learn, path):
    "Resume and fit. Returns how that ended."
    try:
        learn.resume(path)
    except CharRnnError as error:
        _check_message(error, path)
        return "refused"
    try:
        learn.fit(*_fit)
    except CharRnnError as error:
        _check_message(error, path)
        return "refused by the fit"
    return "resumed"


def _check_message(error, path):
    message = str(error)
    assert message.isprintable(), message
    assert len(message) < 1200 + 2 * len(str(path)), message
