"""`fit_minutes` trains for the given time, with a learning rate that follows the clock."""

import csv
import time

import pytest
import torch
from fastai.callback.all import (
    CSVLogger,
    EarlyStoppingCallback,
    ParamScheduler,
    ReduceLROnPlateau,
    SaveModelCallback,
    SchedCos,
    ShowGraphCallback,
)
from learner_helpers import quiet_fit, weights

from fastai_charrnn.all import CharDataLoaders, DataError, char_learner, human_numbers
from fastai_charrnn.callback.time_budget import TimeBudget


def _learner(n=12000, **kwargs):
    text = human_numbers()[:n]
    dls = CharDataLoaders.from_text(text, seq_len=16, bs=16, target="every", stateful=True, device="cpu", **kwargs)
    return char_learner(dls, "gru", n_hid=24, seed=0)


def test_the_fit_ends_in_time_with_a_low_learning_rate():
    learn = _learner()
    start = time.time()
    row = learn.fit_minutes(0.05, 1e-2)
    assert 2.9 < time.time() - start < 20
    lrs = learn.recorder.lrs
    assert len(lrs) == len(learn.recorder.losses)
    assert max(lrs) <= 1e-2
    assert lrs[-1] < 0.1 * max(lrs)
    assert lrs[0] < max(lrs)
    assert row is learn.training_log.rows[-1]
    assert row["minutes"] == 0.05
    assert row["epochs"] > 0
    assert row["valid_loss"] == pytest.approx(learn.validate()[0], abs=1e-6)
    assert row["valid_loss"] < 2.5


def test_without_warmup_the_first_rate_is_the_highest():
    learn = _learner()
    with learn.no_bar():
        learn.fit_minutes(0.01, 1e-2, warmup_pct=0)
    assert learn.recorder.lrs[0] == max(learn.recorder.lrs) == pytest.approx(1e-2, rel=0.1)


@pytest.mark.parametrize("bf16", [False, True])
def test_trackers_and_loggers_read_every_epoch_and_the_best_is_kept(tmp_path, bf16):
    """An older file of the same name is replaced and not loaded.

    Epochs are validated in 32 bits, as the kept weights are, also where training is in bfloat16."""
    learn = _learner(n=3000, path=tmp_path)
    learn.save("model")
    older = weights(learn)
    save = SaveModelCallback(monitor="bits_per_char")
    with learn.no_bar():
        row = learn.fit_minutes(0.02, 2e-2, bf16=bf16, cbs=[save, CSVLogger(), EarlyStoppingCallback(patience=10**6)])
    header, *history = csv.reader(open(tmp_path / "history.csv"))
    assert header == ["epoch", "train_loss", "valid_loss", "accuracy", "bits_per_char", "time"]
    epochs = [dict(zip(header, values, strict=True)) for values in history]
    assert len(epochs) >= 2
    assert len(learn.training_log.rows) == len(epochs) + 1
    assert row["bits_per_char"] == pytest.approx(min(float(epoch["bits_per_char"]) for epoch in epochs), abs=1e-5)
    assert row["valid_loss"] == pytest.approx(learn.validate()[0], abs=1e-6)
    assert not weights(learn).equal(older)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_fit_shorter_than_an_epoch_is_validated_and_saved(tmp_path, bf16):
    "The file of the only epoch holds the trained weights."
    learn = _learner(path=tmp_path)
    before = weights(learn)
    with learn.no_bar():
        row = learn.fit_minutes(0.0002, 1e-2, bf16=bf16, cbs=SaveModelCallback())
    assert 0 < row["epochs"] < 1
    assert not weights(learn).equal(before)
    epoch, last = learn.training_log.rows
    assert last["valid_loss"] == pytest.approx(epoch["valid_loss"], abs=1e-6)
    assert epoch["train_loss"] == pytest.approx(last["train_loss"])


def test_early_stopping_ends_the_fit_before_the_time():
    learn = _learner(n=3000)
    start = time.time()
    with learn.no_bar():
        learn.fit_minutes(1, 1e-3, cbs=EarlyStoppingCallback(min_delta=9.0))
    assert time.time() - start < 20
    assert len(learn.training_log.rows) == 3


def test_epochs_are_not_validated_for_callbacks_that_do_not_read_them():
    learn = _learner(n=3000)
    with learn.no_bar():
        learn.fit_minutes(0.01, 1e-2)
    assert all("valid_loss" not in row for row in learn.training_log.rows[:-1])


@pytest.mark.parametrize(
    "cb, message",
    [
        (ReduceLROnPlateau(), "ReduceLROnPlateau sets the learning rate, which follows the clock"),
        (ParamScheduler({"lr": SchedCos(1e-3, 0)}), "ParamScheduler sets the learning rate, which follows the clock"),
        (ShowGraphCallback(), "ShowGraphCallback draws on fastai's bar"),
    ],
)
def test_callbacks_that_cannot_work_are_refused_before_training(learn, cb, message):
    before = weights(learn)
    with pytest.raises(DataError, match=message):
        learn.fit_minutes(0.01, 1e-2, cbs=cb)
    assert weights(learn).equal(before)
    quiet_fit(learn, 1)


def test_old_names_of_parameters_warn(learn):
    with pytest.warns(DeprecationWarning, match=r"fit_minutes\(warm=…\) is now called warmup_pct"), learn.no_bar():
        row = learn.fit_minutes(0.001, 1e-2, warm=0.5)
    assert row["lr"] == 1e-2
    with pytest.warns(DeprecationWarning, match="now called lr_max"):
        budget = TimeBudget(5, lr=3e-3)
    assert budget.lr_max == 3e-3


def test_a_bar_counts_seconds_and_one_row_is_printed(capfd):
    learn = _learner()
    row = learn.fit_minutes(0.05, 1e-2)
    printed = capfd.readouterr().out.replace("\r", "\n").splitlines()
    bars = [line for line in printed if "/3 00:" in line]
    assert len(bars) >= 2
    assert "100.00% [3/3 00:0" in bars[-1]
    assert "epoch " in bars[-1]
    names, values = (line.split() for line in [line for line in printed if line.strip()][-2:])
    assert names == ["train_loss", "valid_loss", "accuracy", "bits_per_char", "epochs"]
    assert float(values[1]) == pytest.approx(row["valid_loss"], abs=1e-6)
    assert learn.logger is print
    assert hasattr(learn, "progress")
    assert not hasattr(learn, "clock_progress")


def test_without_a_bar_nothing_is_drawn(capfd):
    learn = _learner()
    with learn.no_bar():
        learn.fit_minutes(0.02, 1e-2)
    assert "%" not in capfd.readouterr().out


@pytest.mark.parametrize("target", ["next", "every"])
def test_it_trains_on_windows_too(target):
    dls = CharDataLoaders.from_text(human_numbers()[:6000], seq_len=8, bs=64, target=target, device="cpu")
    learn = char_learner(dls, "rnn", n_hid=24, seed=0)
    row = learn.fit_minutes(0.03, 1e-2)
    n_batches = len(dls.train)
    assert row["epochs"] == pytest.approx(len(learn.recorder.losses) / n_batches, abs=1 / n_batches)
    assert row["valid_loss"] < 3


def test_products_in_bf16_give_nearly_equal_losses():
    losses = []
    for bf16 in (False, True):
        learn = _learner()
        # a short warmup: the rate follows the clock, and other work on the machine delays the first steps
        row = learn.fit_minutes(0.04, 3e-3, warmup_pct=1e-4, bf16=bf16)
        assert row["bf16"] == bf16
        assert not torch.is_autocast_enabled("cpu")
        assert all(p.dtype is torch.float32 for p in learn.model.parameters())
        losses.append([float(loss) for loss in learn.recorder.losses[:20]])
    assert losses[0] == pytest.approx(losses[1], abs=0.1)
