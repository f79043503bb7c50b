"""The ready-made corpora: lesson 6's, and two texts that need no network."""

import subprocess
import sys

import pytest

from fastai_charrnn.data.corpus import human_numbers, nietzsche, python_reference
from fastai_charrnn.errors import CorpusError, DownloadError


@pytest.mark.corpus
def test_nietzsche_is_found_in_the_folder_named_by_charrnn_data(text):
    assert nietzsche().name == "nietzsche.txt"
    assert len(text) == 600_893


def test_a_wrong_local_copy_is_refused(tmp_path, monkeypatch):
    (tmp_path / "nietzsche.txt").write_text("God is dead")
    monkeypatch.setenv("CHARRNN_DATA", str(tmp_path))
    with pytest.raises(DownloadError, match="11 bytes instead of 600,901"):
        nietzsche()


def test_python_reference_is_the_text_of_pydoc():
    text = python_reference()
    assert len(text) > 300_000
    assert "The standard type hierarchy" in text
    assert text == python_reference()
    if sys.version_info[:2] == (3, 11):
        assert abs(len(text) - 465_000) < 10_000


def test_human_numbers_are_spelled_as_in_the_course():
    text = human_numbers()
    lines = text.split("\n")
    assert text.startswith("one \ntwo \nthree \n")
    assert text.endswith("nine thousand nine hundred ninety nine \n")
    assert len(lines) - 1 == 9_998
    assert lines[20] == "twenty one "
    assert lines[100] == "one hundred one "
    assert lines[1233] == "one thousand two hundred thirty four "
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz \n")
    assert " and " not in text


def test_human_numbers_are_split_as_in_the_course():
    train = human_numbers("train")
    valid = human_numbers("valid")
    assert train + valid == human_numbers()
    assert train.count("\n") == 7_999
    assert valid.startswith("eight thousand one \n")
    with pytest.raises(CorpusError, match='part must be "all", "train" or "valid", got \'test\''):
        human_numbers("test")


def test_corpus_and_vocab_do_not_import_torch():
    code = (
        "import sys; import fastai_charrnn.data.corpus as c, fastai_charrnn.data.vocab; "
        "c.python_reference(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
