"""`PredictNextCallback` prints, keeps and logs samples after each epoch, and does not change training."""

import csv
import os
import subprocess
import sys
import warnings

import pytest
import torch
from fastai.basics import Recorder, load_learner

from fastai_charrnn.all import CharDataLoaders, PredictNextCallback, char_learner
from fastai_charrnn.callback.core import StateResetter
from fastai_charrnn.callback.finite import FiniteLoss
from fastai_charrnn.callback.training_log import TrainingLog
from fastai_charrnn.errors import GenerationError, UnknownCharError


def fit(learn, n=1, quiet=True):
    with learn.no_bar():
        if quiet:
            with learn.no_logging():
                learn.fit(n, 5e-3)
        else:
            learn.fit(n, 5e-3)


def test_continuations_are_printed_and_kept_after_each_epoch(dls, capsys):
    learn = char_learner(dls, n_hid=32, prompts=["the valu", "for"], temperature=0, seed=0)
    fit(learn, 2, quiet=False)
    samples = learn.predict_next_cb.samples
    assert [(s.epoch, s.prompt) for s in samples] == [(0, "the valu"), (0, "for"), (1, "the valu"), (1, "for")]
    assert samples[-1].text == learn.predict_next("for", n=40)
    printed = capsys.readouterr().out
    assert all(repr(s.text) in printed for s in samples)


def test_the_default_temperature_is_8_tenths(dls):
    learn = char_learner(dls, n_hid=32, prompts="the valu", seed=0)
    fit(learn)
    assert learn.predict_next_cb.samples[-1].text == learn.generate("the valu", 40, temperature=0.8, seed=42).text


def test_char_learner_takes_the_options_of_the_callback(dls):
    learn = char_learner(dls, n_hid=32, prompts="the valu", temperature=0.5, top_k=5, n=12, num=2, every=2, seed=0)
    fit(learn, 2)
    samples = learn.predict_next_cb.samples
    expected = learn.generate("the valu", 12, temperature=0.5, top_k=5, num=2, seed=42)
    assert [(s.epoch, s.text) for s in samples] == [(1, o.text) for o in expected]
    with pytest.raises(GenerationError, match="temperature=-1"):
        char_learner(dls, prompts="the valu", temperature=-1)


def test_nothing_is_sampled_without_prompts_and_without_training(dls, capsys):
    learn = char_learner(dls, n_hid=16, seed=0)
    fit(learn)
    assert learn.predict_next_cb.samples == []
    learn.predict_next_cb.prompts.append("the")
    with learn.no_bar():
        learn.lr_find(show_plot=False)
        learn.validate()
        learn.get_preds()
        learn.show_results()
    assert learn.predict_next_cb.samples == []
    fit(learn)
    assert len(learn.predict_next_cb.samples) == 1


def test_every_skips_epochs(dls):
    learn = char_learner(dls, n_hid=16, seed=0)
    learn.remove_cb(learn.predict_next_cb)
    learn.add_cb(PredictNextCallback("the", n=7, every=2))
    fit(learn, 5)
    samples = learn.predict_next_cb.samples
    assert [s.epoch for s in samples] == [1, 3]
    assert all(len(s.text) == 10 for s in samples)


def test_the_callback_does_not_hide_the_method_predict_next(learn):
    assert callable(learn.predict_next)
    assert len(learn.predict_next("the")) == 1
    assert isinstance(learn.predict_next_cb, PredictNextCallback)


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(temperature=0),
        dict(temperature=0.8, top_p=0.9, num=2, repetition_penalty=1.1),
        dict(beam=3),
        dict(temperature=1, seed=None),
    ],
    ids=str,
)
def test_weights_and_numbers_are_equal_with_and_without_it_bit_for_bit(small, options):
    def run(prompts):
        dls = CharDataLoaders.from_text(small, bs=512, valid="tail", device="cpu")
        learn = char_learner(dls, n_hid=32, seed=3)
        learn.remove_cb(learn.predict_next_cb)
        learn.add_cb(PredictNextCallback(prompts, **options))
        fit(learn, 2)
        return learn

    a = run(["the valu", ""])
    b = run([])
    assert len(a.predict_next_cb.samples)
    assert all(torch.equal(x, y) for x, y in zip(a.model.parameters(), b.model.parameters()))
    assert a.training_log.rows == b.training_log.rows


def test_prompts_set_later_are_checked_before_training(learn):
    learn.predict_next_cb.prompts.append("漢")
    with pytest.raises(UnknownCharError):
        fit(learn)
    assert learn.training_log.rows == []


def with_callback(dls, *args, **kw):
    learn = char_learner(dls, n_hid=16, seed=0)
    learn.remove_cb(learn.predict_next_cb)
    learn.add_cb(PredictNextCallback(*args, **kw))
    return learn


def test_every_option_of_generate_reaches_the_text(dls):
    options = dict(temperature=0.9, top_k=20, top_p=0.95, min_p=0.01, repetition_penalty=1.1, stop="e", num=2)
    learn = with_callback(dls, ["the valu", "a"], 30, seed=9, return_prompt=False, **options)
    fit(learn, 1)
    expected = [o.new for o in learn.generate(["the valu", "a"], 30, seed=9, **options)]
    assert [s.text for s in learn.predict_next_cb.samples] == expected
    learn = with_callback(dls, "the valu", 6, beam=3)
    fit(learn, 1)
    expected = [o.text for o in learn.generate("the valu", 6, beam=3)]
    assert [s.text for s in learn.predict_next_cb.samples] == expected


def test_samples_have_the_losses_of_their_epoch(dls):
    learn = with_callback(dls, "the valu", 20, 0.8)
    fit(learn, 2)
    found = [(s.epoch, s.train_loss, s.valid_loss, s.seed) for s in learn.predict_next_cb.samples]
    assert found == [(i, r["train_loss"], r["valid_loss"], 42) for i, r in enumerate(learn.training_log.rows)]
    last = learn.predict_next_cb.samples[-1]
    assert last.bits_per_char == learn.generate("the valu", 20, seed=42).bits_per_char


def test_the_file_has_all_samples_of_two_fits_with_quotes_commas_and_newlines(dls):
    learn = with_callback(dls, ['the "valu', "a,b\n"], 30, 2.0, fname="logs/samples.csv", unk="skip")
    fit(learn, 2)
    fit(learn, 1)
    rows = list(csv.DictReader((learn.path / "logs/samples.csv").open(encoding="utf-8", newline="")))
    samples = learn.predict_next_cb.samples
    read = [(int(r["epoch"]), r["prompt"], r["text"], float(r["valid_loss"])) for r in rows]
    assert read == [(s.epoch, s.prompt, s.text, s.valid_loss) for s in samples]
    assert len(rows) == 6
    assert os.listdir(learn.path / "logs") == ["samples.csv"]


def test_it_works_in_mixed_precision(dls):
    learn = with_callback(dls, "the valu", 10, 0.8)
    fit(learn.to_bf16())
    assert learn.predict_next_cb.samples[0].text == learn.generate("the valu", 10, seed=42).text


def test_it_is_exported_with_its_samples(dls, tmp_path):
    learn = with_callback(dls, "the valu", 10, 0.8, fname="s.csv")
    fit(learn)
    learn.export(tmp_path / "m.pkl")
    again = load_learner(tmp_path / "m.pkl")
    assert again.predict_next_cb.samples == learn.predict_next_cb.samples
    assert again.generate("the", 20, seed=1).text == learn.generate("the", 20, seed=1).text


def test_in_distributed_training_only_rank_0_samples(tmp_path):
    code = f"""
import os, sys, torch
from fastai_charrnn.all import *

torch.distributed.init_process_group("gloo", init_method="file://{tmp_path}/group", rank=0, world_size=1)
os.environ["RANK"] = sys.argv[1]
dls = CharDataLoaders.from_text(python_reference()[:5000], bs=64, valid="tail", device="cpu")
learn = char_learner(dls, n_hid=16, seed=0, prompts=["the valu"])
learn.model = torch.nn.parallel.DistributedDataParallel(learn.model)
with learn.no_bar():
    learn.fit(1)
next_char = learn.predict_next("the")
print(len(learn.predict_next_cb.samples), next_char == learn.generate("the", 1, temperature=0).new, end=" ")
print(len(learn.score("the").nll))
"""
    for rank, expected in ((0, "1 True 3"), (1, "0 True 3")):
        out = subprocess.run([sys.executable, "-c", code, str(rank)], capture_output=True, text=True, cwd=tmp_path)
        assert out.stdout.endswith(expected + "\n"), out.stderr
        assert ("'the valu" in out.stdout) == (rank == 0)
        (tmp_path / "group").unlink(missing_ok=True)


@pytest.mark.parametrize("options", [dict(temperature=-1), dict(top_p=3), dict(beam=2, num=3)], ids=str)
def test_invalid_options_raise_when_the_callback_is_made(options):
    with pytest.raises(GenerationError):
        PredictNextCallback("the", **options)


def test_greedy_loops_do_not_warn_and_samples_without_losses_are_kept(dls):
    learn = with_callback(dls, "the", 300, temperature=0)
    learn.recorder.valid_metrics = learn.recorder.train_metrics = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(learn)
    assert len(learn.predict_next_cb.samples) == 1


def test_a_callback_of_one_fit_samples_beside_the_learners_own(dls):
    "Afterwards the learner's own has its name again."
    learn = char_learner(dls, n_hid=16, prompts="the ", seed=0)
    own = learn.predict_next_cb
    extra = PredictNextCallback("for ")
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=extra)
        assert learn.predict_next_cb is own
        learn.fit(1)
    assert [s.prompt for s in extra.samples] == ["for "]
    assert [s.prompt for s in own.samples] == ["the ", "the "]


@pytest.mark.parametrize("make", [TrainingLog, FiniteLoss, StateResetter, Recorder])
def test_the_learners_own_callback_keeps_its_name(dls, make):
    learn = char_learner(dls, n_hid=16, seed=0)
    name = make().name
    own = getattr(learn, name)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=make())
    assert getattr(learn, name) is own
    assert len(learn.training_log.rows) == 1
    learn.remove_cb(own)
    assert not hasattr(learn, name)
