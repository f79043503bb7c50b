"""The command `charrnn push`, and models of the Hub by name. tests/share/test_hub.py runs both against a small Hub."""

import pytest

from fastai_charrnn.cli import main

pytest.importorskip("huggingface_hub")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("CHARRNN_OFFLINE", "1")


def test_a_push_that_fails_is_an_error_of_one_line(model_folder, capsys):
    assert main(["push", str(model_folder / "my.safetensors"), "me/mine"]) == 1
    assert capsys.readouterr().err == "charrnn: CHARRNN_OFFLINE=1 forbids the upload; unset it to push me/mine\n"


@pytest.mark.parametrize("command", [["info"], ["generate", "--prompt", "The "]], ids=str)
def test_a_model_of_the_hub_that_is_not_in_the_cache_is_an_error_of_one_line(command, capsys):
    name, *options = command
    assert main([name, "hf://me/no-such-model@v1", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("charrnn: model.safetensors of me/no-such-model is not in the cache, and CHARRNN_OFFLINE=1")
    assert error.count("\n") == 1


def test_a_wrong_name_of_the_hub_is_an_error_of_one_line(capsys):
    assert main(["info", "hf://"]) == 1
    assert "is not the name of a repository" in capsys.readouterr().err
