"""A command takes a model file or the name of a pretrained model."""

import shutil

import pytest

from fastai_charrnn.all import describe_model, load_pretrained, pretrained_path
from fastai_charrnn.cli import main


@pytest.fixture
def called(tmp_path, monkeypatch, capsys):
    "Call a command in an empty folder. Returns the exit code, the output and the errors."
    monkeypatch.chdir(tmp_path)

    def call(*args):
        code = main([*map(str, args)])
        return code, *capsys.readouterr()

    return call


def test_a_name_stands_for_the_pretrained_model(called, tmp_path):
    code, out, err = called("generate", "nietzsche", "--prompt", "The ", "-n", 40, "--seed", 1)
    assert (code, err) == (0, "charrnn: seed 1\n")
    assert out == f"{load_pretrained('nietzsche').generate('The ', 40, temperature=0.8, seed=1)}\n"
    assert list(tmp_path.iterdir()) == []


def test_info_tells_the_file_of_a_pretrained_model(called):
    code, out, _ = called("info", "python")
    assert code == 0
    assert out.startswith(f"{pretrained_path('python')}: mullstm, ")


def test_a_file_of_the_same_name_is_used(called, tmp_path):
    shutil.copy(pretrained_path("python"), tmp_path / "nietzsche.safetensors")
    for name in ("nietzsche", "nietzsche.safetensors", "./nietzsche"):
        code, out, _ = called("info", name)
        assert code == 0
        assert out.startswith(f"{name.removeprefix('./')}: mullstm, ")
        assert "465," in out.partition("text ")[2]


@pytest.mark.parametrize("name", ["nietsche", "nietzsche.safetensors", "folder/nietzsche", "Python"])
def test_an_unknown_name_names_the_file_and_the_pretrained_models(called, name):
    code, _, err = called("generate", name, "--prompt", "a")
    assert code == 1
    assert err.startswith("charrnn: there is no model file ")
    assert err.endswith("; charrnn train makes one, or name a pretrained model: nietzsche, python\n")


def test_a_pretrained_model_is_trained_further(called, tmp_path):
    (tmp_path / "my.txt").write_text("What is done out of love is done. " * 60)
    code, out, _ = called("train", "--from", "nietzsche", "my.txt", "--epochs", 1, "--prompt", "What", "--out", "more")
    assert code == 0
    assert "nietzsche.safetensors, trained for 24 epochs: mullstm, 352 hidden units, 1 epoch more" in out
    assert describe_model(tmp_path / "more")["training"]["epochs"] == 25
