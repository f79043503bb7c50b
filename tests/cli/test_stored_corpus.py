"""Large texts of `charrnn train` stay on disk while it trains. What it prints and saves is as for texts in memory."""

import io
import os
import re
import sys
from types import SimpleNamespace

import pytest

from fastai_charrnn.all import describe_model
from fastai_charrnn.cli import main, stored_corpus
from fastai_charrnn.cli.stored_corpus import is_large, text_folder

TINY = "--arch rnn --n-hid 8"


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    for i, name in enumerate(["a.txt", "b.txt", "c.txt"]):
        (folder / name).write_text(small[i * 1500 : (i + 1) * 1500] + "é" * i, encoding="utf-8")
    return folder


@pytest.fixture
def trained(folder, monkeypatch, capsys):
    "Train on texts in memory or on disk. Returns what was printed, and the description of the model."

    def run(line, min_stored):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(stored_corpus, "_min_stored", min_stored)
        assert main(["train", *line.split(), "--epochs", "1", "--out", "m", "--overwrite"]) == 0
        # the times differ
        printed = re.sub(r" +\d\d:\d\d\n", "\n", capsys.readouterr().out)
        return printed, describe_model(folder / "m")

    return run


TEXTS = {
    "one text": f"a.txt {TINY}",
    "a validation text": f"a.txt b.txt --valid c.txt {TINY}",
    "a drawn text": f"a.txt b.txt c.txt --valid random --target next --stride 3 {TINY}",
    "windows of several": f"a.txt b.txt c.txt --target every --valid-pct .2 --bs 16 {TINY}",
}


@pytest.mark.parametrize("line", TEXTS.values(), ids=TEXTS)
def test_a_text_on_disk_trains_the_same_model_and_prints_the_same(trained, folder, line):
    stored, in_memory = trained(line, 1), trained(line, 10**9)
    assert stored == in_memory
    assert any("digest" in name for name in stored[1]["data"])
    # nothing stays on disk
    assert {p.name for p in folder.iterdir()} == {"a.txt", "b.txt", "c.txt", "m.safetensors"}


def test_a_model_learns_new_characters_of_a_text_on_disk(trained, folder):
    trained(f"a.txt {TINY}", 10**9)
    os.replace(folder / "m.safetensors", folder / "old.safetensors")
    try:
        stored, in_memory = (trained("--from old b.txt c.txt", n) for n in (1, 10**9))
    finally:
        (folder / "old.safetensors").unlink()
    assert stored == in_memory
    assert "é" in stored[1]["vocab"][-3:]


def test_standard_input_may_be_large(trained, folder, monkeypatch):
    content = (folder / "a.txt").read_bytes()
    found = []
    for limit in (1, 10**9):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))
        found.append(trained(f"- {TINY}", limit))
    assert found[0] == found[1] == trained(f"a.txt {TINY}", 10**9)


def test_without_valid_pct_at_most_a_million_characters_validate(trained, monkeypatch):
    monkeypatch.setattr(stored_corpus, "_max_valid", 100)
    assert "valid    100 characters" in trained(f"a.txt {TINY}", 1)[0]
    assert "valid    150 characters" in trained(f"a.txt --valid-pct .1 {TINY}", 1)[0]


def test_n_grams_of_a_large_text_are_counted_in_a_part_that_is_named(trained, monkeypatch):
    from fastai_charrnn.cli import time_plan

    monkeypatch.setattr(time_plan, "MAX_COUNTED", 1000)
    assert "n-grams: counted in 1,000 training characters, scored on 150\n" in trained(f"a.txt {TINY}", 1)[0]


def test_sizes_count_as_after_unpacking(tmp_path):
    for name, size in {"a.txt": 2**23, "a.gz": 2**22}.items():
        with open(tmp_path / name, "wb") as f:
            f.truncate(size)
    assert is_large([tmp_path / "a.txt", tmp_path / "a.gz"])
    assert not is_large([tmp_path / "a.txt", "missing.txt"])


def test_folders_of_killed_runs_are_removed_and_those_of_living_ones_stay(tmp_path):
    out = tmp_path / "my[1].safetensors"
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    for name in (f".my[1].{pid}.texts", f".my[1].{os.getppid()}.texts", f".other.{pid}.texts"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.npy").touch()
    with text_folder(out) as folder:
        folder.mkdir()
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {f".my[1].{os.getppid()}.texts", f".other.{pid}.texts"}
