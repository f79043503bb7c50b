"""Checkpoints of a training: when they are written, what they keep, and what may not differ when it is resumed."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from fastai.basics import Callback
from fastai.callback.all import CSVLogger, GradientAccumulation, GradientClip
from fastai.callback.progress import ProgressCallback
from fastai.optimizer import ranger
from resume_cases import Interrupt, KeepAll, differences, make_dls, make_learner, outcome

from fastai_charrnn.all import CharRnnWarning, CheckpointCallback, DataError, ModelFileError, ResumeError
from fastai_charrnn.callback.progress import RunProgress
from fastai_charrnn.callback.saved_fit import SavedFit
from fastai_charrnn.state.checkpoint_file import read_checkpoint, write_checkpoint


def test_a_script_can_be_started_again(tmp_path, capsys):
    for _ in range(2):
        learn = make_learner(cbs=CheckpointCallback(tmp_path / "run", every="epoch"))
        learn.logger = print
        learn.resume(tmp_path / "run", missing_ok=True).fit(1)
    assert len(learn.training_log.rows) == 1
    assert "fit 1 was finished before the checkpoint and is skipped" in capsys.readouterr().out
    with pytest.raises(ModelFileError, match="there is no checkpoint"):
        learn.resume(tmp_path / "absent")


def test_the_table_and_the_log_file_have_the_epochs_before_the_checkpoint(tmp_path, capsys):
    options = dict(path=tmp_path, cbs=KeepAll(tmp_path, every="epoch"))
    make_learner(**options).fit(2)
    learn = make_learner(path=tmp_path)
    learn.logger = print
    learn.resume(tmp_path / "1.safetensors").fit(2, cbs=CSVLogger())
    assert [line.split(",")[0] for line in (tmp_path / "history.csv").read_text().splitlines()] == ["epoch", "0", "1"]
    printed = capsys.readouterr().out
    assert printed.startswith("fit 1 continues in epoch 1\n")
    assert [printed.count(f"[{epoch}, ") for epoch in (0, 1)] == [1, 1]


@pytest.mark.parametrize("bars", [ProgressCallback, RunProgress])
def test_progress_bars_continue_in_a_later_epoch(bars, tmp_path, capsys):
    keeper = KeepAll(tmp_path, every="epoch")
    make_learner(cbs=keeper).fit(3)
    learn = make_learner().resume(keeper.written[1])
    learn.logger = print
    learn.add_cb(bars())
    learn.fit(3)
    printed = capsys.readouterr().out
    assert "fit 1 continues in epoch 1" in printed
    assert "100.00%" in printed


def test_lr_find_suggests_what_it_has_suggested_before(tmp_path):
    def found(learn):
        rate = learn.lr_find(num_it=6, show_plot=False).descent
        learn.fit_one_cycle(1, rate)
        return rate

    keeper = KeepAll(tmp_path)
    learn = make_learner(cbs=keeper)
    rate = found(learn)
    again = make_learner().resume(keeper.written[-2])
    assert found(again) == rate
    assert differences(outcome(again), outcome(learn)) == []


@pytest.mark.parametrize(
    "change,named",
    [
        (dict(dls=make_dls(size=1_900)), "text digest"),
        (dict(dls=make_dls(bs=32)), "batch size: 64 then, 32 now"),
        (dict(opt_func=ranger), "optimizer: FusedAdam then, ranger now"),
        (dict(cbs=GradientClip()), "callbacks: gradient_clip was not there"),
        (dict(wd=0.5), "weight decay"),
    ],
)
def test_another_training_is_refused_and_the_differences_are_named(change, named, tmp_path):
    make_learner(cbs=CheckpointCallback(tmp_path / "run")).fit(1)
    learn = make_learner(**change).resume(tmp_path / "run")
    with pytest.raises(ResumeError, match=named):
        learn.fit(1)


def test_another_fit_or_model_is_refused(tmp_path):
    make_learner(cbs=CheckpointCallback(tmp_path / "run")).fit(1, 1e-3, cbs=GradientAccumulation(100))
    learn = make_learner().resume(tmp_path / "run")
    for args, cbs, named in (
        ((2, 1e-3), GradientAccumulation(100), "epochs: 1 then, 2 now"),
        ((1, 1e-2), GradientAccumulation(100), "learning rate: 0.001 then, 0.01 now"),
        ((1, 1e-3), GradientAccumulation(50), "n_acc: 100 then, 50 now"),
        ((1, 1e-3), None, "gradient_accumulation is missing"),
    ):
        with pytest.raises(ResumeError, match=named):
            learn.fit(*args, cbs=cbs)
    # after the mistake is mended
    learn.fit(1, 1e-3, cbs=GradientAccumulation(100))
    with pytest.raises(ResumeError, match="another model"):
        make_learner(arch="lstm").resume(tmp_path / "run")


class Counts(Callback):
    "Has plain values, an object that cannot be kept, and one that can."

    def __init__(self):
        self.seen = {}
        self.handle = object()
        self.layer = torch.nn.Linear(2, 2)

    def after_batch(self):
        if self.training:
            self.seen[self.iter] = self.seen.get(self.iter, 0) + float(self.loss.detach())
            self.layer.weight.data += self.loss.detach()


def test_attributes_of_your_own_callback_are_kept_or_named(tmp_path):
    learn = make_learner(cbs=[KeepAll(tmp_path), Counts()])
    with pytest.warns(CharRnnWarning, match=r"Counts.handle, a object") as caught:
        learn.fit(2)
    assert len([w for w in caught if "Counts" in str(w.message)]) == 1
    again = make_learner(cbs=Counts()).resume(tmp_path / "5.safetensors")
    again.fit(2)
    assert again.counts.seen == learn.counts.seen
    assert torch.equal(again.counts.layer.weight, learn.counts.layer.weight)


@pytest.mark.parametrize("number,stage", [(0, "before validation"), (-1, "finished")])
def test_a_wrong_content_is_noticed_when_the_optimizer_is_used_later(number, stage, tmp_path):
    keeper = KeepAll(tmp_path, every="epoch")
    make_learner(cbs=keeper).fit(2)
    path = keeper.written[number]
    assert SavedFit.read(path).position.stage == stage
    tensors, state = read_checkpoint(path)
    # the number of steps of each weight becomes a list
    optimizer = json.dumps(state["optimizer"])
    changed = re.sub(r'("step": )(\d+)', r"\1[\2]", optimizer)
    assert changed != optimizer
    write_checkpoint(path, tensors, state | dict(optimizer=json.loads(changed)))
    learn = make_learner().resume(path)
    with pytest.raises(ModelFileError, match="training cannot continue from the checkpoint"):
        # the first of them is skipped if it was finished
        for _ in range(2):
            learn.fit(2)


def test_arguments_are_checked():
    for every in (0, -1, 1.5, "batch", True, np.array([1, 2])):
        with pytest.raises(DataError, match="every must be"):
            CheckpointCallback("run", every)
    for minutes in (0, -1.0, "5", float("nan"), np.array([1, 2])):
        with pytest.raises(DataError, match="minutes=.* is not a number above 0"):
            CheckpointCallback("run", minutes=minutes)


def test_checkpoints_by_time_are_written_in_a_validation_too(tmp_path):
    keeper = CheckpointCallback(tmp_path / "run", every=None, minutes=1e-9)
    learn = make_learner(cbs=[keeper, Interrupt(1, 0)])
    with pytest.raises(KeyboardInterrupt):
        learn.fit(2)
    assert SavedFit.read(tmp_path / "run").position.stage == "before validation"


@pytest.mark.parametrize(
    "place,value",
    [
        (["position", "stage"], "somewhere"),
        (["position", "batch"], -1),
        (["fits"], []),
        (["optimizer", "hypers"], {"$L": "abc"}),
        (["ranks", 0, "random", "torch"], None),
        (["ranks", 0, "progress", "rows"], 5),
        (["ranks", 0, "callbacks", "recorder", "attributes", "smooth_loss"], 3),
        (["ranks", 0, "loaders", 1, "rng"], {"$tuple": [1]}),
    ],
)
def test_a_checkpoint_with_a_wrong_content_is_refused(place, value, tmp_path):
    "Its checksum is right: another program may have written it."
    make_learner(cbs=KeepAll(tmp_path)).fit(1)
    tensors, state = read_checkpoint(tmp_path / "2.safetensors")
    *parents, last = place
    part = state
    for key in parents:
        part = part[key]
    part[last] = value
    write_checkpoint(tmp_path / "changed.safetensors", tensors, state)
    learn = make_learner()
    with pytest.raises(ModelFileError, match="training cannot continue from the checkpoint"):
        learn.resume(tmp_path / "changed").fit(1)


class LoseFolder(Callback):
    "Replace the folder of the checkpoints by a file in the second epoch."

    def __init__(self, folder):
        self.folder = folder

    def before_train(self):
        if self.epoch == 1:
            shutil.rmtree(self.folder)
            self.folder.write_text("")


@pytest.mark.parametrize("stops", [True, False])
def test_training_stops_or_goes_on_if_a_checkpoint_cannot_be_written(stops, tmp_path):
    checkpoints = CheckpointCallback(tmp_path / "folder" / "run", on_error="stop" if stops else "warn")
    learn = make_learner(cbs=[checkpoints, LoseFolder(tmp_path / "folder")])
    if stops:
        with pytest.raises(ModelFileError, match="cannot write"):
            learn.fit(2)
        # before an epoch is spent
        with pytest.raises(ModelFileError, match="cannot write"):
            learn.fit(1)
        assert len(learn.fits) == 1
    else:
        with pytest.warns(CharRnnWarning, match="training goes on"):
            learn.fit(2)
        assert len(learn.training_log.rows) == 2
