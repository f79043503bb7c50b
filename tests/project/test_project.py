"""Versions and descriptions agree, and the corpus is not in the project."""

import configparser
import re
import subprocess

from layout import root

import fastai_charrnn


def _settings():
    config = configparser.ConfigParser(delimiters=["="])
    config.read(root / "settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def test_the_versions_agree():
    version = fastai_charrnn.__version__
    assert _settings()["version"] == version
    assert f"## {version}" in (root / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_descriptions_agree():
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    for key, name in (("description", "description"), ("lib_name", "name")):
        assert f'{name} = "{_settings()[key]}"' in text


def test_the_corpus_is_not_in_the_project():
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True).stdout
    assert "nietzsche.txt" not in tracked
    models = [root / name for name in tracked.splitlines() if name.endswith(".safetensors")]
    assert [path.parent.name for path in models] == ["pretrained"] * 2
    for path in models:
        data = path.read_bytes()
        weights = data[8 + int.from_bytes(data[:8], "little") :]
        assert re.search(rb"[ -~\n]{40}", weights) is None
