"""`fit_minutes` trains for the given time, with a learning rate that follows the clock."""

import time

import pytest
import torch

from fastai_charrnn.all import CharDataLoaders, DataError, char_learner, human_numbers
from fastai_charrnn.callback.time_budget import TimeBudget


def _learner():
    text = human_numbers()[:12000]
    dls = CharDataLoaders.from_text(text, seq_len=16, bs=16, target="every", stateful=True, device="cpu")
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


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), "5"])
def test_minutes_must_be_positive(learn, minutes):
    with pytest.raises(DataError, match=f"minutes must be positive, got {minutes!r}"):
        learn.fit_minutes(minutes, 1e-2)


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
