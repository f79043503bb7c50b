"""The texts of a command line: files, folders, patterns and standard input."""

import gzip
import io
import sys

import pytest

from fastai_charrnn.cli.texts import find_files, read_texts
from fastai_charrnn.errors import CharRnnError, CharRnnWarning, CorpusError, DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    "Has texts in three folders and files that are no texts. It is the current folder."
    (tmp_path / "d/sub/deep").mkdir(parents=True)
    (tmp_path / "d/.hidden").mkdir()
    (tmp_path / "d/b.txt").write_text("text b")
    (tmp_path / "d/sub/a.md").write_text("text a")
    (tmp_path / "d/sub/deep/c.TXT.gz").write_bytes(gzip.compress(b"text c"))
    (tmp_path / "d/.hidden/h.txt").write_text("hidden")
    (tmp_path / "d/.h.txt").write_text("hidden")
    (tmp_path / "d/nulls.txt").write_bytes(b"a\0b")
    (tmp_path / "d/empty.txt").touch()
    (tmp_path / "d/model.safetensors").write_text("no text")
    (tmp_path / "[1].txt").write_text("text 1")
    monkeypatch.chdir(tmp_path)


def test_a_folder_stands_for_its_text_files_and_the_others_are_counted(folder):
    message = "d: 3 text files; left out: 1 binary, 1 empty, 2 hidden, 1 with another ending"
    with pytest.warns(CharRnnWarning, match=message):
        texts = read_texts(["d"])
    assert texts == ["text b", "text a", "text c"]
    assert texts.names == ["d/b.txt", "d/sub/a.md", "d/sub/deep/c.TXT.gz"]


def test_a_pattern_stands_for_its_files_in_sorted_order(folder):
    assert find_files(["d/*.txt"]) == ["d/b.txt", "d/empty.txt", "d/nulls.txt"]
    assert find_files(["d/**/*.md", "d/**/*.gz"]) == ["d/sub/a.md", "d/sub/deep/c.TXT.gz"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(folder):
    assert read_texts(["[1].txt"]) == ["text 1"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_dash_is_standard_input(monkeypatch, pack):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(pack(b"from a pipe\r\n")))))
    with pytest.warns(CharRnnWarning, match="standard input: 1 CRLF"):
        texts = read_texts(["-"])
    assert texts == ["from a pipe\n"]
    assert texts.names == ["standard input"]


def test_an_error_in_standard_input_names_the_line(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"one\ntwo caf\xe9 "))))
    with pytest.raises(CorpusError, match=r"standard input is not valid utf-8: byte 0xe9 at position 11 \(line 2\)"):
        read_texts(["-"])


def test_closed_standard_input_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(CorpusError, match="standard input is closed; give a file"):
        read_texts(["-"])


@pytest.mark.parametrize(
    "names,message",
    [
        (["none.txt"], "cannot read none.txt: No such file"),
        (["*.none"], r"no file fits '\*.none'; check the pattern, and quote it"),
        (["https://example.org/a.txt"], "is an address, not a file; download it first"),
        (["d/b.txt", "./d/b.txt"], "./d/b.txt is given twice; leave one out"),
        (["d/b.txt", "d/*b.txt"], "d/b.txt is given twice"),
        (["-", "-"], "- is given twice"),
        (["d/nulls.txt"], "is a binary file"),
        (["d/empty.txt"], "d/empty.txt is empty"),
    ],
    ids=str,
)
def test_errors_name_the_file_and_the_way_out(folder, names, message):
    with pytest.raises(CharRnnError, match=message):
        read_texts(names)


def test_a_folder_without_texts_says_which_endings_texts_have(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a.bin").write_text("x")
    with pytest.raises(DataError, match=r"other has no files that end in .txt, .text, .*; its files end in .bin"):
        find_files(["other"])
    (tmp_path / "other/a.txt").touch()
    with pytest.raises(CorpusError, match=r"other has no texts \(1 empty, 1 with another ending\)"):
        find_files(["other"])


def test_many_changed_files_give_one_warning(folder, tmp_path):
    for i in range(3):
        (tmp_path / f"d/{i}.txt").write_bytes(b"a\r\nb")
    with pytest.warns(CharRnnWarning) as warned:
        read_texts(["d/[0-9].txt"])
    assert len(warned) == 1
    assert "3 of 3 files were changed while reading" in str(warned[0].message)
