"""Trials of lesson 6's networks, their table, and the report of `make reproduce`."""

import platform
import re

import pytest
import torch

from fastai_charrnn.recipes.lesson6 import RECIPES, pytorch_adam
from fastai_charrnn.recipes.reproduce import Reproduction, Trial, reproduce, run_schedule


def test_the_lessons_adam_has_pytorchs_defaults():
    opt = pytorch_adam([torch.nn.Parameter(torch.zeros(3))], lr=1e-3)
    hypers = opt.hypers[0]
    assert (hypers["mom"], hypers["sqr_mom"]) == (0.9, 0.999)
    assert (hypers["eps"], hypers["wd"]) == (1e-8, 0.0)


def _trial(arch, shift):
    "A trial whose losses are the printed ones plus `shift`."
    losses = [(train + shift, valid + shift) for train, valid in RECIPES[arch].printed]
    return Trial(losses, dict(RECIPES[arch].examples))


@pytest.fixture
def found():
    schedule = {arch: [_trial(arch, shift) for shift in (0.1, 0.3, 0.2)] for arch in ("char3", "rnn")}
    return Reproduction(schedule, {"rnn": _trial("rnn", -0.05)})


def test_final_losses_are_of_validation_except_for_char3(found):
    char3, rnn = found.final_losses()
    assert (char3["arch"], char3["epochs"], char3["loss"]) == ("char3", 2, "train")
    assert (rnn["arch"], rnn["epochs"], rnn["loss"]) == ("rnn", 6, "valid")
    assert char3["printed"] == 1.863796
    assert rnn["ours"] == pytest.approx([1.608043, 1.808043, 1.708043])
    assert char3["one_cycle"] is None
    assert rnn["one_cycle"] == pytest.approx(1.458043)


def test_a_reproduction_prints_as_a_table_with_medians_and_texts(found):
    lines = str(found).splitlines()
    assert lines[0].split() == ["arch", "epochs", "loss", "lesson", "6", "ours", "one", "cycle", "difference"]
    assert lines[1].split() == ["char3", "2", "train", "1.8638", "2.0638"]
    assert lines[2].split() == ["rnn", "6", "valid", "1.5080", "1.7080", "1.4580", "-0.0500"]
    assert lines[3] == "char3 continues 'y. ': lesson 6 'y. T', ours 'y. T', 'y. T', 'y. T'"
    assert len(lines) == 6


def test_the_report_has_final_losses_epochs_and_texts(found):
    from reproduction import page

    md = page(found)
    assert "with 3 seeds" in md
    assert f"Python {platform.python_version()}" in md
    assert "| `char3` | 2 | train | 1.8638 | 2.0638 (1.9638–2.1638) |  |  |" in md
    assert "| `rnn` | 6 | valid | 1.5080 | 1.7080 (1.6080–1.8080) | 1.4580 | -0.0500 |" in md
    assert "| `rnn` | 0.0001 | 6 | 1.480211 | 1.6802 (1.5802–1.7802) | 1.508043 | 1.7080 (1.6080–1.8080) |" in md
    assert "| `char3` | `'y. '` | `'y. T'` | `'y. T'` <br> `'y. T'` <br> `'y. T'` |" in md
    assert len(re.findall(r"^\| `rnn` \| [\d.]+ \| \d \|", md, re.M)) == 6


def test_reproduce_trains_every_seed_and_one_cycle(small):
    lines = []
    found = reproduce(small[:3000], ["char3"], seeds=2, progress=lines.append)
    assert [line.split(":")[0] for line in lines] == ["char3, seed 0", "char3, seed 1", "char3, one cycle"]
    assert len(found.schedule["char3"]) == 2
    assert [len(trial.losses) for trial in (*found.schedule["char3"], found.one_cycle["char3"])] == [2, 2, 2]
    assert set(found.one_cycle["char3"].examples) == {"y. ", " an"}
    trial, learn = run_schedule("char3", small[:3000], seed=1)
    assert trial == found.schedule["char3"][1]
    # the second rate of the schedule
    assert learn.opt.hypers[-1]["lr"] == 1e-3
    assert reproduce(small[:3000], ["char3"], seeds=1, one_cycle=False).one_cycle == {}
