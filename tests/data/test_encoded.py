"""A text on disk gives the same windows as one in memory, is encoded once, never half, and takes no memory."""

import gzip
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from fastai.basics import set_seed
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastai_charrnn.all import (
    CharDataLoaders,
    CharVocab,
    EncodedFile,
    MappedIds,
    char_learner,
    encode_file,
    load_learner,
    ngram_baseline,
)
from fastai_charrnn.data.ids import CharIds
from fastai_charrnn.data.text_file import TextFile, read_text
from fastai_charrnn.errors import CharRnnWarning, CorpusError, DataError, UnknownCharError, VocabError


@pytest.fixture
def file(tmp_path, small):
    path = tmp_path / "small.txt"
    path.write_text(small, encoding="utf-8")
    return path


def _state(folder):
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.iterdir()}


@settings(deadline=None, max_examples=300)
@given(
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\ufeffaé€😀"), max_size=60),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be", "utf-7"]),
    st.integers(1, 9),
)
def test_text_in_pieces_is_the_text(tmp_path_factory, text, encoding, size):
    assume("\0" not in text or encoding.startswith(("utf-16", "utf-32")))
    path = tmp_path_factory.getbasetemp() / "pieces.txt"
    path.write_bytes(text.encode(encoding))
    want = io.TextIOWrapper(io.BytesIO(text.encode(encoding)), encoding).read().removeprefix("\ufeff")
    file = TextFile(path, encoding, size)
    if not want:
        with pytest.raises(CorpusError, match="is empty"):
            list(file)
    else:
        pieces = list(file)
        assert "".join(pieces) == want and file.n_chars == len(want) and all(pieces)
        assert bool(file.changes) == (want != text.encode(encoding).decode(encoding))
        if "\0" not in want:
            assert CharVocab.from_pieces(pieces) == CharVocab.from_text(want)


def test_a_gzip_file_is_encoded_as_its_text(file, small, tmp_path):
    with gzip.open(tmp_path / "small.txt.gz", "wt", encoding="utf-8") as f:
        f.write(small)
    packed = encode_file(tmp_path / "small.txt.gz")
    assert np.array_equal(np.load(packed.path), np.load(encode_file(file).path))
    assert encode_file(tmp_path / "small.txt.gz").path == packed.path


@pytest.mark.parametrize("size", [1, 7, 2**20])
def test_a_wrong_byte_is_named_wherever_pieces_end(tmp_path, size):
    path = tmp_path / "bad.txt"
    path.write_bytes("aé\n€\n".encode() + b"ok \xe2\x82x")
    with pytest.raises(CorpusError, match=r"byte 0xe2 at position 11 \(line 3\)"):
        list(TextFile(path, size=size))


@pytest.mark.parametrize("valid", ["random", "tail", "blocks", "last", [3, 5, -1]])
def test_same_batches_as_from_memory(file, small, valid):
    on_disk, in_memory = (
        CharDataLoaders.from_file(file, mmap=m, bs=100, valid=valid, device="cpu") for m in (True, False)
    )
    assert (
        isinstance(on_disk.train_ds.ids, MappedIds)
        and isinstance(in_memory.train_ds.ids, CharIds)
        and on_disk.vocab == in_memory.vocab
    )
    assert repr(on_disk) == repr(in_memory) and repr(on_disk.audit()) == repr(in_memory.audit())
    for a, b in zip(on_disk.loaders, in_memory.loaders):
        assert len(a) == len(b)
        for got, want in zip(a.seed(1), b.seed(1), strict=True):
            assert all(torch.equal(g, w) and g.dtype == torch.int64 for g, w in zip(got, want))


@pytest.mark.parametrize("piece", [1, 100, 2**24])
def test_sweeps_and_single_reads_gather_the_same(tmp_path, monkeypatch, piece):
    import fastai_charrnn.data.ids as ids_module

    monkeypatch.setattr(ids_module, "_max_mapped", piece)
    for dtype in (np.uint8, np.int16, np.int32):
        a = np.random.default_rng(0).integers(0, 200, 5_000).astype(dtype)
        np.save(tmp_path / "a.npy", a)
        ids = MappedIds(tmp_path / "a.npy")
        starts = torch.from_numpy(np.random.default_rng(1).integers(0, 5_000 - 6, 300))
        starts[:3] = torch.tensor([0, 5_000 - 7, 0])
        want = torch.from_numpy(a).unfold(0, 7, 1)[starts]
        for read in (ids._scan, ids._read):
            assert np.array_equal(read(starts.numpy(), 7), want) and read(starts.numpy(), 7).dtype == dtype
        assert torch.equal(torch.cat(list(ids.gather(starts, 7, 64))), want) and torch.equal(
            next(pickle.loads(pickle.dumps(ids)).gather(starts, 7, 300)), want
        )


def test_encoded_once_and_again_only_when_the_source_changed(file, small):
    def ids(e):
        return e.vocab.decode(np.load(e.path))

    first = encode_file(file)
    assert (
        isinstance(first, EncodedFile)
        and ids(first) == small
        and len(first) == len(small)
        and np.load(first.path).dtype == np.uint8
    )
    made = _state(file.parent)
    assert len(made) == 3 and encode_file(file) == first and _state(file.parent) == made  # nothing was written
    os.utime(file)  # another time, the same bytes: compared by checksum, kept
    assert ids(encode_file(file)) == small and _state(file.parent)[first.path.name] == made[first.path.name]
    file.write_text(small[::-1])  # as long, and other
    assert ids(encode_file(file)) == small[::-1]
    file.write_text("other, and shorter")
    assert ids(encode_file(file)) == "other, and shorter" and len(_state(file.parent)) == 3
    whole = first.path.read_bytes()
    for damage in (whole[:-1], b""):  # cut short
        first.path.write_bytes(damage)
        assert ids(encode_file(file)) == "other, and shorter"
    told = first.path.with_suffix(".json")
    for damage in ("", "{", "[]", '{"format": 99}', "null"):
        told.write_text(damage)
        assert ids(encode_file(file)) == "other, and shorter" and json.loads(told.read_text())["n_chars"] == 18
    told.unlink()
    assert ids(encode_file(file)) == "other, and shorter"


def test_each_vocabulary_encoding_and_treatment_has_its_own(file, small, tmp_path):
    cache = tmp_path / "made" / "here"
    vocab = CharVocab("\0" + "".join(sorted(set(small) - {"e"})))
    plain = encode_file(file, cache=cache)
    with pytest.raises(UnknownCharError, match="'e' \\(U\\+0065\\) at position") as e:
        encode_file(file, vocab=vocab, cache=cache)
    assert e.value.positions == (small.index("e"),)
    skipped = encode_file(file, vocab=vocab, unk="skip", cache=cache)
    put = encode_file(file, vocab=vocab, unk="a", cache=cache)
    assert len({plain.path, skipped.path, put.path, encode_file(file, "latin-1", cache=cache).path}) == 4
    assert skipped.vocab.decode(np.load(skipped.path)) == small.replace("e", "") and put.vocab.decode(
        np.load(put.path)
    ) == small.replace("e", "a")
    assert not [o for o in cache.iterdir() if o.name.startswith(".")] and list(file.parent.glob("small.txt.*")) == []


def test_wide_vocabularies_and_positions_across_pieces(tmp_path):
    wide = "".join(chr(0x4E00 + i) for i in range(2_000))
    (tmp_path / "wide.txt").write_text(wide * 2, encoding="utf-8")
    with pytest.warns(CharRnnWarning, match="2,000 distinct characters"):
        e = encode_file(tmp_path / "wide.txt")
    assert np.load(e.path).dtype == np.int16 and e.vocab.decode(np.load(e.path)) == wide * 2
    (tmp_path / "late.txt").write_text("ab" * 600_000 + "é\0", encoding="utf-8")
    with pytest.raises(UnknownCharError, match="at position 1200000 "):
        encode_file(tmp_path / "late.txt", vocab=CharVocab("\0ab"))
    with pytest.raises(VocabError, match="padding character '\\\\0' at position 1,200,001"):
        encode_file(tmp_path / "late.txt")
    (tmp_path / "crlf.txt").write_bytes(b"\xef\xbb\xbfab\r\n" * 5)
    for _ in range(2):
        with pytest.warns(CharRnnWarning, match="byte order mark was dropped and 5 CRLF"):
            e = encode_file(tmp_path / "crlf.txt")
    with pytest.warns(CharRnnWarning):
        assert e.vocab.decode(np.load(e.path)) == read_text(tmp_path / "crlf.txt")


def test_refusals_name_the_way_out(file, tmp_path, small):
    for call, says in (
        (lambda: encode_file(tmp_path / "none.txt"), "cannot read .*none.txt: No such file"),
        (lambda: encode_file(tmp_path), "is not a plain file"),
        (lambda: encode_file(file, cache=file), "cannot write .*pass cache="),
        (lambda: encode_file(file, "rot13"), "unknown encoding"),
        (lambda: CharDataLoaders.from_file(tmp_path / "none.txt", mmap=True), "cannot read"),
        (lambda: CharDataLoaders.from_file(tmp_path / "none.txt"), "cannot read"),
    ):
        with pytest.raises(CorpusError, match=says):
            call()
    with pytest.raises(VocabError, match="unk='long'"):
        encode_file(file, vocab=CharVocab("\0ab"), unk="long")
    e = encode_file(file)
    with pytest.raises(DataError, match="comes with its vocabulary"):
        CharDataLoaders.from_text(e, vocab=CharVocab("\0ab"))
    (tmp_path / "bad.txt").write_bytes(b"abc\xff")
    with pytest.raises(CorpusError, match="position 3"):
        encode_file(tmp_path / "bad.txt")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["bad.txt", "small.txt", e.path.name, e.path.with_suffix(".json").name]
    )
    with pytest.raises(DataError, match="counted in memory"):
        ngram_baseline(CharDataLoaders.from_text(e, device="cpu"))


def test_a_learner_over_a_mapped_text(file, tmp_path):
    losses = []
    for mmap in (True, False):
        set_seed(1)
        learn = char_learner(
            CharDataLoaders.from_file(file, mmap=mmap, device="cpu", bs=256, valid="tail", path=tmp_path),
            n_hid=32,
            seed=0,
        )
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, 1e-2)
        losses.append(learn.validate())
    assert losses[0] == losses[1]
    learn.export("mapped.pkl")
    assert load_learner(tmp_path / "mapped.pkl").predict_next("the ", n=9) == learn.predict_next("the ", n=9)
    learn.dls.show_batch(max_n=2)


@pytest.mark.slow
def test_killed_half_way_leaves_nothing_that_is_taken_for_whole(tmp_path, small):
    big = tmp_path / "big.txt"
    with open(big, "w") as f:
        for _ in range(4_000):
            f.write(small)
    code = f"from fastai_charrnn.data.encoded import encode_file; print('go', flush=True); encode_file({str(big)!r})"
    for wait in (0.15, 0.4, 0.8):
        p = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        p.stdout.readline()
        time.sleep(wait)
        p.send_signal(signal.SIGKILL)
        p.communicate()
        told = list(tmp_path.glob("big.txt.*.json"))
        if told:
            assert np.load(told[0].with_suffix(".npy"), mmap_mode="r").shape == (
                json.loads(told[0].read_text())["n_chars"],
            )
    assert len(encode_file(big)) == 4_000 * len(small)


_memory = """
import itertools,sys
def peak(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])/1024
import torch
from fastai_charrnn.data.loaders import CharDataLoaders
from fastai_charrnn.data.encoded import encode_file
base = peak()
encode_file(sys.argv[1])
made = peak()
for i,_ in enumerate(itertools.islice(CharDataLoaders.from_file(sys.argv[1], device="cpu").train, 1000)): pass
print(i+1, made-base, peak()-base)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_text(tmp_path, small):
    with open(tmp_path / "big.txt", "w") as f:
        for _ in range(10_000):
            f.write(small)  # 300 MB
    out = subprocess.run(
        [sys.executable, "-c", _memory, tmp_path / "big.txt"], capture_output=True, text=True, check=True
    ).stdout
    n, encoding, drawing = map(float, out.split("\r")[-1].split("]")[-1].split()[-3:])
    assert n == 1000 and encoding < 200 and drawing < 100, out
