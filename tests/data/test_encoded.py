"""A text is encoded once, completely or not at all, and in constant memory."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fastai.basics import set_seed

from fastai_charrnn.all import (
    CharDataLoaders,
    CharVocab,
    EncodedFile,
    char_learner,
    encode_file,
    load_learner,
    ngram_baseline,
)
from fastai_charrnn.data.text_file import read_text
from fastai_charrnn.errors import CharRnnWarning, CorpusError, DataError, UnknownCharError, VocabError


@pytest.fixture
def file(tmp_path, small):
    path = tmp_path / "small.txt"
    path.write_text(small, encoding="utf-8")
    return path


def _state(folder):
    "What changes when a file of the folder is written."
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.iterdir()}


def _ids(encoded):
    return np.load(encoded.path)


def _text(encoded):
    return encoded.vocab.decode(_ids(encoded))


def test_a_gzip_file_is_encoded_as_its_text(file, small, tmp_path):
    path = tmp_path / "small.txt.gz"
    with gzip.open(path, "wt", encoding="utf-8") as f:
        f.write(small)
    encoded = encode_file(path)
    assert np.array_equal(_ids(encoded), _ids(encode_file(file)))
    assert encode_file(path).path == encoded.path


def test_a_text_is_encoded_once(file, small):
    encoded = encode_file(file)
    assert isinstance(encoded, EncodedFile)
    assert _text(encoded) == small
    assert len(encoded) == len(small)
    assert _ids(encoded).dtype == np.uint8
    before = _state(file.parent)
    assert len(before) == 3
    assert encode_file(file) == encoded
    assert _state(file.parent) == before


def test_an_unchanged_text_with_another_time_is_not_encoded_again(file, small):
    encoded = encode_file(file)
    before = _state(file.parent)[encoded.path.name]
    os.utime(file)
    assert _text(encode_file(file)) == small
    assert _state(file.parent)[encoded.path.name] == before


def test_a_changed_text_is_encoded_again(file, small):
    encode_file(file)
    reverse = small[::-1]  # of the same length
    file.write_text(reverse)
    assert _text(encode_file(file)) == reverse
    file.write_text("another, shorter text")
    assert _text(encode_file(file)) == "another, shorter text"
    assert len(_state(file.parent)) == 3


def test_damaged_data_is_encoded_again(file, small):
    path = encode_file(file).path
    complete = path.read_bytes()
    for damaged in (complete[:-1], b""):
        path.write_bytes(damaged)
        assert _text(encode_file(file)) == small


def test_a_damaged_or_missing_description_is_written_again(file, small):
    meta_path = encode_file(file).path.with_suffix(".json")
    for damaged in ("", "{", "[]", '{"format": 99}', "null"):
        meta_path.write_text(damaged)
        assert _text(encode_file(file)) == small
        assert json.loads(meta_path.read_text())["n_chars"] == len(small)
    meta_path.unlink()
    assert _text(encode_file(file)) == small


def test_each_vocabulary_encoding_and_treatment_has_its_own_result(file, small, tmp_path):
    cache = tmp_path / "cache" / "folder"
    vocab = CharVocab("\0" + "".join(sorted(set(small) - {"e"})))
    plain = encode_file(file, cache=cache)
    with pytest.raises(UnknownCharError, match="'e' \\(U\\+0065\\) at position") as e:
        encode_file(file, vocab=vocab, cache=cache)
    assert e.value.positions == (small.index("e"),)
    skipped = encode_file(file, vocab=vocab, unk="skip", cache=cache)
    replaced = encode_file(file, vocab=vocab, unk="a", cache=cache)
    latin = encode_file(file, "latin-1", cache=cache)
    assert len({plain.path, skipped.path, replaced.path, latin.path}) == 4
    assert _text(skipped) == small.replace("e", "")
    assert _text(replaced) == small.replace("e", "a")
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]
    assert list(file.parent.glob("small.txt.*")) == []


def test_a_large_vocabulary_warns_and_takes_two_bytes(tmp_path):
    path = tmp_path / "wide.txt"
    text = "".join(chr(0x4E00 + i) for i in range(2_000)) * 2
    path.write_text(text, encoding="utf-8")
    with pytest.warns(CharRnnWarning, match="2,000 distinct characters"):
        encoded = encode_file(path)
    assert _ids(encoded).dtype == np.int16
    assert _text(encoded) == text


def test_positions_in_errors_count_from_the_start_of_the_text(tmp_path):
    path = tmp_path / "late.txt"
    path.write_text("ab" * 600_000 + "é\0", encoding="utf-8")
    with pytest.raises(UnknownCharError, match="at position 1200000 "):
        encode_file(path, vocab=CharVocab("\0ab"))
    with pytest.raises(VocabError, match="padding character '\\\\0' at position 1,200,001"):
        encode_file(path)


def test_changed_line_ends_are_reported_by_every_call(tmp_path):
    path = tmp_path / "crlf.txt"
    path.write_bytes(b"\xef\xbb\xbfab\r\n" * 5)
    for _ in range(2):
        with pytest.warns(CharRnnWarning, match="byte order mark was dropped and 5 CRLF"):
            encoded = encode_file(path)
    with pytest.warns(CharRnnWarning):
        assert _text(encoded) == read_text(path)


def test_errors_name_the_way_out(file, tmp_path):
    for call, message in (
        (lambda: encode_file(tmp_path / "none.txt"), "cannot read .*none.txt: No such file"),
        (lambda: encode_file(tmp_path), "is not a plain file"),
        (lambda: encode_file(file, cache=file), "cannot write .*pass cache="),
        (lambda: encode_file(file, "rot13"), "unknown encoding"),
        (lambda: CharDataLoaders.from_file(tmp_path / "none.txt", mmap=True), "cannot read"),
        (lambda: CharDataLoaders.from_file(tmp_path / "none.txt"), "cannot read"),
    ):
        with pytest.raises(CorpusError, match=message):
            call()
    with pytest.raises(VocabError, match="unk='long'"):
        encode_file(file, vocab=CharVocab("\0ab"), unk="long")


def test_an_encoded_text_has_its_vocabulary_and_cannot_be_counted(file):
    encoded = encode_file(file)
    with pytest.raises(DataError, match="comes with its vocabulary"):
        CharDataLoaders.from_text(encoded, vocab=CharVocab("\0ab"))
    with pytest.raises(DataError, match="counted in memory"):
        ngram_baseline(CharDataLoaders.from_text(encoded, device="cpu"))


def test_an_unreadable_text_leaves_no_files(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"abc\xff")
    with pytest.raises(CorpusError, match="position 3"):
        encode_file(tmp_path / "bad.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.txt"]


def test_a_learner_trains_alike_on_disk_and_in_memory(file, tmp_path):
    losses = []
    for mmap in (True, False):
        set_seed(1)
        dls = CharDataLoaders.from_file(file, mmap=mmap, device="cpu", bs=256, valid="tail", path=tmp_path)
        learn = char_learner(dls, n_hid=32, seed=0)
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, 1e-2)
        losses.append(learn.validate())
    assert losses[0] == losses[1]
    learn.export("mapped.pkl")
    loaded = load_learner(tmp_path / "mapped.pkl")
    assert loaded.predict_next("the ", n=9) == learn.predict_next("the ", n=9)
    learn.dls.show_batch(max_n=2)


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_that_counts_as_complete(tmp_path, small):
    path = tmp_path / "big.txt"
    path.write_text(small * 4_000)
    code = f"from fastai_charrnn.data.encoded import encode_file; print('go', flush=True); encode_file({str(path)!r})"
    for seconds in (0.15, 0.4, 0.8):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for meta_path in tmp_path.glob("big.txt.*.json"):
            n_chars = json.loads(meta_path.read_text())["n_chars"]
            assert np.load(meta_path.with_suffix(".npy"), mmap_mode="r").shape == (n_chars,)
    assert len(encode_file(path)) == 4_000 * len(small)


_memory = """
import itertools, sys
def peak(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
import torch
from fastai_charrnn.data.loaders import CharDataLoaders
from fastai_charrnn.data.encoded import encode_file
before = peak()
encode_file(sys.argv[1])
encoded = peak()
dls = CharDataLoaders.from_file(sys.argv[1], device="cpu")
n_batches = sum(1 for _ in itertools.islice(dls.train, 1000))
print(n_batches, encoded - before, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_text(tmp_path, small):
    path = tmp_path / "big.txt"
    with open(path, "w") as f:
        for _ in range(10_000):
            f.write(small)  # 300 MB
    command = [sys.executable, "-c", _memory, path]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # the last numbers, after the progress bars
    n_batches, encoding_mb, total_mb = map(float, out.split("\r")[-1].split("]")[-1].split()[-3:])
    assert n_batches == 1000, out
    assert encoding_mb < 200, out
    assert total_mb < 100, out
