"""An encoded text that is damaged or changed is encoded again or raises a typed error. No other text is read."""

import json
import os
import random
import traceback

import numpy as np
import pytest
import torch

from fastai_charrnn.all import CharDataLoaders, encode_file
from fastai_charrnn.data.ids import MappedIds
from fastai_charrnn.data.ids_file import IdsFile
from fastai_charrnn.data.text_file import TextFile
from fastai_charrnn.errors import CorpusError


@pytest.fixture
def file(tmp_path, small):
    path = tmp_path / "small.txt"
    path.write_text(small, encoding="utf-8")
    return path


def _damages(path, n, seed=0):
    "Change the bytes of a file in one place, n times, as its owner could with any editor; then restore them."
    raw = path.read_bytes()
    rng = random.Random(seed)
    for _ in range(n):
        damaged = bytearray(raw)
        at = rng.randrange(len(raw))
        kind = rng.randrange(4)
        if kind == 0:
            damaged[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            damaged[at : at + 40] = bytes(len(damaged[at : at + 40]))
        elif kind == 2:
            del damaged[at:]
        else:
            damaged[at:at] = rng.randbytes(rng.randrange(1, 9))
        path.write_bytes(damaged)
        yield
    path.write_bytes(raw)


@pytest.mark.parametrize("suffix", [".npy", ".json", ".edges.npy"])
def test_a_damaged_file_of_the_cache_is_never_used(tmp_path, small, suffix):
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path, text in zip(paths, (small[:300], small[300:500])):
        path.write_text(text)
    encoded = encode_file(paths)
    text = encoded.vocab.decode(np.load(encoded.path))
    for _ in _damages(encoded.path.with_suffix(suffix), 25):
        again = encode_file(paths)
        assert again == encoded
        assert again.vocab.decode(np.load(again.path)) == text
        assert np.load(again.edges).tolist() == np.cumsum([0, 301, len(text) - 301]).tolist()


def test_a_file_damaged_after_it_was_encoded_raises_an_error(file):
    encoded = encode_file(file)
    for _ in _damages(encoded.path, 40):
        with pytest.raises(CorpusError, match=r"encoded text .* make the dls again"):
            CharDataLoaders.from_text(encoded, device="cpu")
    assert len(CharDataLoaders.from_text(encoded, device="cpu").train_ds.ids) == len(encoded)


def test_borders_damaged_after_they_were_encoded_raise_an_error(tmp_path, small):
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_text(small[:400])
    encoded = encode_file(paths)
    for _ in _damages(encoded.edges, 20):
        with pytest.raises(CorpusError, match=r"edges.npy is damaged"):
            CharDataLoaders.from_text(encoded, device="cpu")
    encoded.edges.unlink()
    with pytest.raises(CorpusError, match=r"cannot be read"):
        CharDataLoaders.from_text(encoded, device="cpu")


def test_a_file_that_is_no_array_of_indices_raises_an_error(tmp_path):
    path = tmp_path / "ids.npy"
    arrays = [np.zeros(3), np.zeros((2, 2), np.uint8), np.zeros(3, ">i2"), np.zeros((), np.uint8)]
    for array in arrays:
        np.save(path, array)
        with pytest.raises(CorpusError, match="header"):
            MappedIds(path)
    for path in (tmp_path / "none.npy", tmp_path):
        with pytest.raises(CorpusError, match="cannot be read"):
            MappedIds(path)


def test_an_unchanged_file_is_verified_once(file, monkeypatch):
    calls = []
    crc = IdsFile.crc
    monkeypatch.setattr(IdsFile, "crc", lambda self: calls.append(self.path) or crc(self))
    encoded = encode_file(file)
    encode_file(file)
    MappedIds(encoded.path, check=encoded.check)
    assert not calls
    os.utime(encoded.path)
    encode_file(file)
    assert calls == [encoded.path]
    encode_file(file)
    assert calls == [encoded.path]


def _cut(path):
    os.truncate(path, os.path.getsize(path) // 3)


def _empty(path):
    path.write_bytes(b"")


def _overwrite(path):
    with open(path, "r+b") as f:
        f.seek(200)
        f.write(b"\0" * 100)


def _in_child(check):
    "Run a check in a process of its own, which a signal may end."
    pid = os.fork()
    if not pid:
        code = 1
        try:
            check()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("change", [_cut, _empty, _overwrite])
@pytest.mark.parametrize("mode", [dict(), dict(target="every"), dict(target="every", stateful=True)], ids=str)
def test_a_change_while_the_text_is_in_use_is_an_error_and_no_signal(file, change, mode):
    encoded = encode_file(file)

    def read():
        dls = CharDataLoaders.from_text(encoded, seq_len=8, bs=16, device="cpu", **mode)
        dls.one_batch()
        change(encoded.path)
        for dl in dls:
            with pytest.raises(CorpusError, match="while it was in use"):
                list(dl)
        with pytest.raises(CorpusError, match="while it was in use"):
            dls.train_ds.ids.stretch(10, 20)

    _in_child(read)


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_is_removed_or_replaced_is_read_as_it_was(file, replace):
    encoded = encode_file(file)
    dls = CharDataLoaders.from_text(encoded, seq_len=8, bs=64, device="cpu")
    expected = [x for x, _ in dls.valid]
    encoded.path.unlink()
    if replace:
        encoded.path.write_bytes(b"another file")
    assert all(map(torch.equal, [x for x, _ in dls.valid], expected))


def _rewrite(path):
    path.write_text("ac" * 900_000)


def _append(path):
    with open(path, "a") as f:
        f.write("more")


changes = pytest.mark.parametrize("change", [_cut, _empty, _rewrite, _append])


@changes
def test_a_source_that_changes_while_it_is_encoded_is_an_error(tmp_path, monkeypatch, change):
    path = tmp_path / "t.txt"
    path.write_text("ab" * 900_000)
    read_bytes = TextFile.read_bytes
    n_read = []

    def changing(self):
        for raw in read_bytes(self):
            n_read.append(raw)
            if len(n_read) == 3:
                # in the second pass, between two pieces
                change(path)
            yield raw

    monkeypatch.setattr(TextFile, "read_bytes", changing)
    with pytest.raises(CorpusError, match="changed while it was read"):
        encode_file(path)
    assert list(tmp_path.iterdir()) == [path]


@changes
def test_a_text_that_changes_while_it_is_read_is_an_error(tmp_path, change):
    path = tmp_path / "t.txt"
    path.write_text("ab" * 900_000)
    pieces = iter(TextFile(path))
    next(pieces)
    change(path)
    with pytest.raises(CorpusError, match="changed while it was read"):
        list(pieces)


def test_a_source_that_vanishes_is_an_error(tmp_path, monkeypatch):
    path = tmp_path / "t.txt"
    path.write_text("ab" * 900_000)
    pieces = TextFile(path)
    path.unlink()
    with pytest.raises(CorpusError, match="No such file"):
        list(pieces)
    path.write_text("ab")
    monkeypatch.setattr(TextFile, "__iter__", lambda self: iter([path.unlink() or "ab"]))
    with pytest.raises(CorpusError, match="No such file"):
        encode_file(path)


def test_files_of_one_name_share_a_folder(tmp_path):
    encoded = []
    for name, text in (("a", "some text"), ("b", "other text")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.txt").write_text(text)
        encoded.append(encode_file(tmp_path / name / "t.txt", cache=tmp_path))
    assert [file.vocab.decode(np.load(file.path)) for file in encoded] == ["some text", "other text"]


def test_a_description_of_another_format_is_written_again(file, small):
    encoded = encode_file(file)
    meta_path = encoded.path.with_suffix(".json")
    meta = json.loads(meta_path.read_text())
    for name, value in (("n_chars", 5), ("data_crc", None), ("vocab", "abc"), ("data_stamp", 3)):
        meta_path.write_text(json.dumps(meta | {name: value}))
        assert len(encode_file(file)) == len(small)
    meta_path.write_text("[" * 100_000)
    assert len(encode_file(file)) == len(small)
