"""The tests on a second Python: which interpreter `make other-python` takes."""

import sys

import other_python
import pytest

this = sys.version_info[:2]
name = "{}.{}".format(*this)


@pytest.fixture
def pyenv(tmp_path, monkeypatch):
    "A folder of pyenv, and no interpreter on PATH."
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    return tmp_path


def _interpreter(pyenv, patch, script):
    path = pyenv / "versions" / f"{name}.{patch}" / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_an_interpreter_that_does_not_start_is_passed_over(pyenv):
    _interpreter(pyenv, 0, "exit 127")
    works = _interpreter(pyenv, 1, f'exec {sys.executable} "$@"')
    assert other_python.find_python([this]) == (works, name)


def test_an_interpreter_of_another_version_is_passed_over(pyenv):
    _interpreter(pyenv, 0, "echo 2.7")
    assert other_python.find_python([this]) is None


def test_the_newest_other_version_is_preferred():
    versions = other_python.wanted([])
    assert versions == sorted(versions, reverse=True)
    assert this not in versions


def test_a_version_can_be_chosen():
    assert other_python.wanted(["3.12"]) == [(3, 12)]
