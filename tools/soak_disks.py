"""Write files to a disk that is full, or nearly: `try_one`. The disk is a small tmpfs where one may be mounted.

A file is written twice, the second time a larger one. Each time the disk then has the new file, or it is as it was
before and an error of the package was raised.
"""

import functools
import random
from pathlib import Path

import numpy as np
import torch
from small_disk import small_disk
from soak_sharing import serve

from fastai_charrnn.all import CharDataLoaders, char_learner, encode_file, load_model, save_model
from fastai_charrnn.data.download import fetch_url
from fastai_charrnn.errors import CorpusError, DownloadError, ModelFileError
from fastai_charrnn.state.checkpoint_file import read_checkpoint, write_checkpoint

_sizes = (24, 96)


@functools.cache
def learners() -> list:  # a learner for each size
    "Learners whose model files have different sizes."
    dls = CharDataLoaders.from_text("abcdefgh" * 40, seq_len=8, bs=8, valid="tail", device="cpu")
    return [char_learner(dls, "rnn", n_hid=size, emb_sz=8, seed=0) for size in _sizes]


def _save_model(path, k):
    save_model(learners()[k], path)
    assert load_model(path, device="cpu").model.rnn.hidden_size == _sizes[k]


def _write_checkpoint(path, k):
    write_checkpoint(path, dict(w=torch.full((100, _sizes[k]), 1.0)), dict(size=_sizes[k]))
    tensors, state = read_checkpoint(path)
    assert tensors["w"].shape == (100, state["size"])


def _encode_file(path, k):
    source = path.parent.parent / f"{k}.txt"
    source.write_text("etaoin shrdlu" * 50 * _sizes[k], encoding="utf-8")
    assert len(np.load(encode_file(source, cache=path.parent).path)) == 13 * 50 * _sizes[k]


def _fetch_url(path, k):
    content = bytes(500 * _sizes[k])
    with serve(content) as url:
        fetch_url(url, path.with_name(f"{k}.txt"))
    assert path.with_name(f"{k}.txt").read_bytes() == content


_writers = {
    "save_model": (_save_model, ModelFileError),
    "write_checkpoint": (_write_checkpoint, ModelFileError),
    "encode_file": (_encode_file, CorpusError),
    "fetch_url": (_fetch_url, DownloadError),
}


def _content(disk):
    "All files of a disk by name."
    return {path.name: path.read_bytes() for path in disk.iterdir()}


def try_one(
    rng: random.Random,
    folder: Path,  # empty
) -> str:  # what was written, and whether it had room
    "Write a small and then a large file to a disk of a random size."
    name = rng.choice(list(_writers))
    write, error = _writers[name]
    n_written = 0
    with small_disk(folder, rng.randrange(4, 160) * 1024) as disk:
        for k in range(len(_sizes)):
            before = _content(disk)
            try:
                write(disk / "file.safetensors", k)
                n_written += 1
            except error:
                assert _content(disk) == before, "a write that failed has changed the disk"
        parts = [path.name for path in disk.iterdir() if path.name.endswith(".part")]
        assert parts == []
    return f"`{name}`, {n_written} of {len(_sizes)} had room"
