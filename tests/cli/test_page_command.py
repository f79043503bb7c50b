"""The command `charrnn page`."""

import json
import re

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


def facts_of(page):
    return json.loads(re.search(r'"facts": ({.*?})', page.read_text(encoding="utf-8"))[1])


def test_a_trained_model_file_has_the_loss_of_n_grams_and_so_has_its_page(in_folder, model_folder, tmp_path):
    assert main(["page", in_folder]) == 0
    facts = facts_of(tmp_path / "my.html")
    printed = (model_folder / "printed").read_text()
    context, nats = re.search(r"^n-grams, contexts up to (\d+) +(\d\.\d+)", printed, re.M).groups()
    assert (facts["ngram_context"], round(facts["ngram_loss"], 4)) == (int(context), float(nats))


def test_the_text_of_the_training_gives_examples_and_the_same_n_grams(in_folder, model_folder, tmp_path):
    main(["page", in_folder])
    assert main(["page", in_folder, "--text", str(model_folder / "my.txt"), "--out", "new/a"]) == 0
    page = tmp_path / "new/a.html"
    assert facts_of(page) == facts_of(tmp_path / "my.html")
    first = json.loads(re.search(r'"prompts": (\[.*?"\])', page.read_text(encoding="utf-8"))[1])[0]
    assert first in (model_folder / "my.txt").read_text(encoding="utf-8")


def test_a_missing_text_is_an_error_of_one_line(in_folder, tmp_path):
    done = charrnn("page", in_folder, "--text", "no.txt", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("charrnn: ") and "no.txt" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "my.html").exists()
