"""`charrnn evaluate`, run as a process."""

import re
from math import log

import pytest
from charrnn_process import run

from fastai_charrnn.all import load_model


def _nats(printed):
    return float(re.search(r"([\d.]+) nats", printed)[1])


def test_the_text_of_the_training_is_scored_on_its_validation_part(model_folder):
    printed = run("evaluate", "my", "my.txt", cwd=model_folder).stdout
    message = "the model was trained on this text; of its 30,000 characters, only the 3,000 of the validation part"
    assert message in printed
    learn = load_model(model_folder / "my")
    assert _nats(printed) == pytest.approx(learn.training_log.rows[-1]["valid_loss"], abs=1e-3)
    bits = float(re.search(r"([\d.]+) bits per char", printed)[1])
    assert bits == pytest.approx(_nats(printed) / log(2), abs=2e-3)


def test_all_scores_the_whole_text_and_warns(model_folder, small):
    done = run("evaluate", "my", "my.txt", "--all", cwd=model_folder)
    loss = load_model(model_folder / "my").evaluate(small)["loss"]
    assert _nats(done.stdout) == pytest.approx(loss, abs=1e-3)
    assert "the model was trained on this text, so the loss below is too low" in done.stderr


def test_another_text_is_scored_whole_without_a_warning(model_folder, small):
    (model_folder / "other.txt").write_text(small[:5000], encoding="utf-8")
    done = run("evaluate", "my", "other.txt", cwd=model_folder)
    assert done.stdout.startswith("other.txt: 5,000 characters: ")
    assert done.stderr == ""


def test_learning_while_reading_prints_its_parts_and_what_was_counted(model_folder, small):
    printed = run("evaluate", "my", "my.txt", "--dynamic", cwd=model_folder).stdout
    assert "27,000 characters of the training part were counted before" in printed
    assert len(printed.splitlines()) == 3
    pattern = r"fixed weights ([\d.]+), with steps ([\d.]+), counts ([\d.]+)"
    fixed, *parts = map(float, re.search(pattern, printed).groups())
    assert _nats(printed.partition("learning while reading")[2]) < min(parts) + 1e-3
    assert fixed == pytest.approx(
        load_model(model_folder / "my").evaluate(small[27_000:], by="streams")["streams_loss"], abs=1e-3
    )
