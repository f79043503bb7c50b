"""Training that diverges stops with a typed error, and keeps the last finite files. Rates are checked before a fit."""

import copy
import math

import pytest
import torch
from fastai.basics import Callback, CancelValidException
from fastai.callback.schedule import ParamScheduler, SchedLin
from fastai.callback.tracker import SaveModelCallback
from fastai.callback.training import GradientClip
from learner_helpers import quiet_fit, weights

from fastai_charrnn.all import CharDataLoaders, char_learner, load_model, save_model
from fastai_charrnn.callback.checkpoint import CheckpointCallback
from fastai_charrnn.callback.fp16 import DeviceMixedPrecision
from fastai_charrnn.errors import DataError, ModelFileError, TrainingError
from fastai_charrnn.io.checkpoint import SaveModelFile
from fastai_charrnn.state.checkpoint_file import read_checkpoint

TEXT = "the quick brown fox jumps over the lazy dog. " * 12
NAN = float("nan")


@pytest.fixture(scope="module")
def made():
    dls = CharDataLoaders.from_text(TEXT, seq_len=8, bs=128, valid="tail", device="cpu")
    return char_learner(dls, "gru", n_hid=8, emb_sz=4, seed=0)


@pytest.fixture
def learn(made, tmp_path):
    learn = copy.deepcopy(made)
    learn.path = tmp_path
    return learn


class SpoilGradients(Callback):
    "Makes the gradients of one step infinite, while all losses are finite."

    def __init__(self, step, name="out.bias"):
        self.step = step
        self.parameter = name

    def before_step(self):
        if self.train_iter == self.step:
            dict(self.model.named_parameters())[self.parameter].grad.fill_(math.inf)


class SpoilValidation(Callback):
    "Makes the validation loss of one epoch NaN."

    order = -1

    def __init__(self, epoch, value=NAN):
        self.at = epoch
        self.value = value

    def after_loss(self):
        if not self.training and self.epoch == self.at:
            self.learn.loss = self.learn.loss * self.value


def _last_step(learn):
    return len(learn.dls.train) - 1


def test_gradients_that_overflow_in_the_last_step_of_a_fit_are_noticed(learn):
    match = (
        r"weights are NaN or infinite after step 4, in out\.bias \(epoch 0, learning rate 0\.001\), so training stopped"
    )
    with pytest.raises(TrainingError, match=match):
        quiet_fit(learn, 1, 1e-3, cbs=SpoilGradients(_last_step(learn)))
    assert learn.training_log.rows == []


class SpoilWeights(Callback):
    "Makes weights NaN after the last step of an epoch, which no loss shows. A fit by the clock ends there."

    def after_step(self):
        if self.train_iter < _last_step(self.learn):
            return
        with torch.no_grad():
            self.model.emb.weight[0].fill_(NAN)
        if hasattr(self, "time_budget"):
            self.time_budget.seconds = 1e-9


def test_a_fit_without_validation_checks_its_weights(learn):
    class NoValidation(Callback):
        def before_validate(self):
            raise CancelValidException

    with pytest.raises(TrainingError, match=r"weights are NaN or infinite after step 4, in emb\.weight"):
        quiet_fit(learn, 1, cbs=[SpoilWeights(), NoValidation()])


def test_a_fit_by_the_clock_checks_its_last_step(learn):
    with learn.no_bar(), pytest.raises(TrainingError, match=r"weights are NaN or infinite after step \d+, in emb"):
        learn.fit_minutes(1, 1e-3, bf16=False, cbs=SpoilWeights())


@pytest.mark.parametrize("value", [NAN, math.inf])
def test_a_validation_loss_that_is_not_finite_stops_training(learn, value):
    with pytest.raises(TrainingError, match=rf"the validation loss is {value} after step 8 \(epoch 1"):
        quiet_fit(learn, 3, cbs=SpoilValidation(1, value))
    assert len(learn.training_log.rows) == 1


@pytest.mark.parametrize("options", [{}, dict(every_epoch=True), dict(at_end=True)], ids=str)
@pytest.mark.parametrize("spoil", [SpoilValidation(1), SpoilGradients(5), SpoilGradients(7, "emb.weight")], ids=str)
def test_epochs_that_are_not_finite_replace_no_file_of_fastai(learn, options, spoil):
    quiet_fit(learn, 1, cbs=SaveModelCallback(**options))
    quiet_fit(learn, 1, cbs=SaveModelCallback(at_end=True, fname="good"))
    with pytest.raises(TrainingError):
        quiet_fit(learn, 3, cbs=[SaveModelCallback(**options), spoil])
    for path in (learn.path / "models").iterdir():
        learn.load(path.stem)
        assert weights(learn).isfinite().all()


@pytest.mark.parametrize("seconds", [None, 0], ids=["epochs", "seconds"])
@pytest.mark.parametrize("step", [5, 7])
def test_epochs_that_are_not_finite_replace_no_model_file(learn, seconds, step):
    path = learn.path / "model.safetensors"
    saver = SaveModelFile(path, seconds)
    with pytest.raises(TrainingError, match=rf"The last weights that were saved are in {path}"):
        quiet_fit(learn, 3, cbs=[saver, SpoilGradients(step)])
    assert saver.saved == (1 if seconds is None else step)
    assert weights(load_model(path)).isfinite().all()


@pytest.mark.parametrize("every", ["epoch", 1])
@pytest.mark.parametrize("spoil", [SpoilGradients(5), SpoilGradients(7, "emb.weight"), SpoilValidation(1)], ids=str)
def test_steps_that_are_not_finite_replace_no_checkpoint(learn, every, spoil):
    saver = CheckpointCallback(learn.path / "run", every)
    with pytest.raises(TrainingError, match=r"The last weights that were saved are in .*run\.safetensors"):
        quiet_fit(learn, 3, cbs=[saver, spoil])
    tensors, _ = read_checkpoint(saver.path)
    assert all(t.isfinite().all() for t in tensors.values())


def test_the_error_names_the_last_file_of_fastai(learn):
    with pytest.raises(TrainingError, match=r"The last weights that were saved are in .*model\.pth"):
        quiet_fit(learn, 3, cbs=[SaveModelCallback(), SpoilValidation(1)])
    # fastai loads the best epoch at the end of a fit
    assert weights(learn).isfinite().all()


def test_a_model_that_is_not_finite_is_not_saved(learn):
    path = save_model(learn, learn.path / "model")
    before = path.read_bytes()
    with torch.no_grad():
        learn.model.out.bias[0] = NAN
    with pytest.raises(ModelFileError, match=r"out\.bias"):
        save_model(learn, path)
    assert path.read_bytes() == before


def test_steps_that_a_scaler_skips_do_not_stop_training(learn):
    "The first scale overflows in 32 bits, so the scaler halves it until the gradients are finite."

    class Scaled(DeviceMixedPrecision):
        def before_fit(self):
            super().before_fit()
            self.learn.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, backoff_factor=2.0**-60)

        def before_backward(self):
            self.learn.loss_grad = self.loss_grad * 2.0**20
            super().before_backward()

    skipped = []

    class Note(Callback):
        def after_batch(self):
            if self.training:
                skipped.append(self.mixed_precision.skipped)

    before = weights(learn)
    quiet_fit(learn, 3, cbs=[Scaled("bf16"), Note()])
    assert skipped[0]
    assert not skipped[-1]
    assert weights(learn).isfinite().all()
    assert not torch.equal(weights(learn), before)


def test_lr_find_reaches_rates_that_diverge(learn):
    before = weights(learn)
    with learn.no_bar():
        learn.lr_find(start_lr=1.0, end_lr=1e9, num_it=20, stop_div=False, show_plot=False)
    assert torch.equal(weights(learn), before)
    quiet_fit(learn, 1, cbs=GradientClip(1.0))
    assert len(learn.training_log.rows) == 1


@pytest.mark.parametrize("lr", [math.inf, NAN, -1e-3, slice(1e-4, NAN), [1e-3, 1e-3, -1.0], "fast"], ids=str)
@pytest.mark.parametrize("fit", ["fit", "fit_one_cycle", "fit_flat_cos", "fit_minutes", "fine_tune", "set_lrs"])
def test_wrong_learning_rates_are_refused_before_the_first_step(learn, fit, lr):
    if (isinstance(lr, str) and fit not in ("fit", "fit_minutes", "set_lrs")) or (
        fit == "fine_tune" and not isinstance(lr, float)
    ):
        pytest.skip("fastai computes with it before")
    args = dict(set_lrs=[lr], fit_minutes=[0.01, lr]).get(fit, [1, lr])
    before = weights(learn)
    with learn.no_bar(), pytest.raises(DataError, match="is not a number of at least 0"):
        getattr(learn, fit)(*args)
    assert torch.equal(weights(learn), before)


def test_wrong_decays_schedules_and_numbers_of_epochs_are_refused(learn):
    with pytest.raises(DataError, match="wd=.* is not a number of at least 0"):
        quiet_fit(learn, 1, wd=NAN)
    with pytest.raises(DataError, match="wd=.* is not a number of at least 0"):
        learn.fit_one_cycle(1, wd=-1)
    with pytest.raises(DataError, match="lr=.* is not a number of at least 0"):
        quiet_fit(learn, 1, cbs=ParamScheduler(dict(lr=SchedLin(1e-3, math.inf))))
    for n_epoch in (-1, 1.5, "2", None):
        with pytest.raises(DataError, match="n_epoch=.* is not a whole number, at least 0"):
            learn.fit(n_epoch)


@pytest.mark.parametrize("lr", [1e-2, slice(1e-2), slice(1e-4, 1e-2), [1e-4, 1e-3, 1e-2]], ids=str)
def test_rates_by_parameter_group_follow_the_clock_in_proportion(learn, lr):
    seen = []

    class Note(Callback):
        def after_batch(self):
            seen.append([h["lr"] for h in self.opt.hypers])

    with learn.no_bar(), learn.no_logging():
        row = learn.fit_minutes(2e-3, lr, warmup_pct=0, bf16=False, cbs=Note())
        learn.fit_one_cycle(1, lr)
    learn.opt.set_hypers(lr=lr)
    expected = torch.tensor([h["lr"] for h in learn.opt.hypers])
    for rates in seen:
        torch.testing.assert_close(torch.tensor(rates) / rates[-1], expected / expected[-1])
    assert row["lr"] == 1e-2


def test_a_loaded_model_without_text_cannot_look_for_a_rate(learn):
    path = save_model(learn, learn.path / "model")
    with pytest.raises(DataError, match="hold no text to train on"):
        load_model(path).lr_find()
