"""The command `charrnn page`."""

import pytest
from charrnn_process import charrnn

from fastai_charrnn.cli import main


@pytest.fixture
def in_folder(model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return str(model_folder / "my.safetensors")


def test_the_page_has_the_name_of_the_model(in_folder, tmp_path, capsys):
    assert main(["page", in_folder]) == 0
    assert capsys.readouterr().out.startswith("saved my.html: ")
    assert (tmp_path / "my.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_that_exists_is_replaced_only_with_overwrite(in_folder, tmp_path, capsys):
    page = tmp_path / "my.html"
    page.write_text("mine")
    assert main(["page", in_folder]) == 1
    assert capsys.readouterr().err == "charrnn: my.html exists; pass --overwrite to replace it, or another --out\n"
    assert page.read_text() == "mine"
    assert main(["page", in_folder, "--overwrite", "--title", "Mine"]) == 0
    assert "<title>Mine</title>" in page.read_text(encoding="utf-8")


def test_with_the_text_of_the_training_the_page_has_its_n_grams(in_folder, model_folder, tmp_path):
    assert main(["page", in_folder, "--text", str(model_folder / "my.txt"), "--prompt", "the ", "--out", "new/a"]) == 0
    page = (tmp_path / "new/a.html").read_text(encoding="utf-8")
    assert '"ngram_loss": null' not in page and '"prompts": ["the "]' in page


def test_a_missing_text_is_an_error_of_one_line(in_folder, tmp_path):
    done = charrnn("page", in_folder, "--text", "no.txt", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("charrnn: ") and "no.txt" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "my.html").exists()
