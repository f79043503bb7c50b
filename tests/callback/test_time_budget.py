"""Training by the clock: `fit_minutes`."""

import time

import pytest
import torch

from fastai_charrnn.all import CharDataLoaders, DataError, char_learner, human_numbers


def _learn(**kw):
    dls = CharDataLoaders.from_text(
        human_numbers()[:12000], seq_len=16, bs=16, target="every", stateful=True, device="cpu"
    )
    return char_learner(dls, "gru", n_hid=24, seed=0, **kw)


def test_a_fit_by_the_clock_ends_in_time_and_its_rate_has_come_down():
    learn, t = _learn(), time.time()
    row = learn.fit_minutes(0.05, 1e-2)
    assert (
        2.9 < time.time() - t < 20
        and row is learn.training_log.rows[-1]
        and row["minutes"] == 0.05
        and row["epochs"] > 0
    )
    lrs = learn.recorder.lrs
    assert (
        max(lrs) <= 1e-2 and lrs[-1] < 0.1 * max(lrs) and lrs[0] < max(lrs) and len(lrs) == len(learn.recorder.losses)
    )
    assert row["valid_loss"] == pytest.approx(learn.validate()[0], abs=1e-6) and row["valid_loss"] < 2.5
    for bad in (0, -1, float("nan"), float("inf"), "5"):
        with pytest.raises(DataError, match="is not a time above 0"):
            learn.fit_minutes(bad, 1e-2)


def test_a_fit_by_the_clock_shows_one_bar_of_seconds_and_one_line(capfd):
    learn = _learn()
    row = learn.fit_minutes(0.05, 1e-2)
    shown = capfd.readouterr().out.replace("\r", "\n").splitlines()
    seconds = [line for line in shown if "/3 00:" in line]
    assert len(seconds) >= 2 and "100.00% [3/3 00:0" in seconds[-1] and "epoch " in seconds[-1]
    head, line = (o.split() for o in [o for o in shown if o.strip()][-2:])
    assert head == ["train_loss", "valid_loss", "accuracy", "bits_per_char", "epochs"] and float(
        line[1]
    ) == pytest.approx(row["valid_loss"], abs=1e-6)
    assert learn.logger is print and hasattr(learn, "progress") and not hasattr(learn, "clock_progress")
    with learn.no_bar():
        learn.fit_minutes(0.02, 1e-2)
    assert "%" not in capfd.readouterr().out


@pytest.mark.parametrize("target", ["next", "every"])
def test_windows_are_trained_by_the_clock_too(target):
    learn = char_learner(
        CharDataLoaders.from_text(human_numbers()[:6000], seq_len=8, bs=64, target=target, device="cpu"),
        "rnn",
        n_hid=24,
        seed=0,
    )
    row = learn.fit_minutes(0.03, 1e-2)
    steps = len(learn.recorder.losses)
    assert (
        row["epochs"] == pytest.approx(steps / len(learn.dls.train), abs=1 / len(learn.dls.train))
        and row["valid_loss"] < 3
    )


def test_products_in_bf16_train_as_well():
    "The weights stay in 32 bits, and follow the same losses."
    losses = []
    for low in (False, True):
        learn = _learn()
        row = learn.fit_minutes(
            0.04, 3e-3, warm=1e-4, bf16=low
        )  # no long rise: the rate follows the clock, which other work on the machine delays
        assert not torch.is_autocast_enabled("cpu")  # nor is it left on
        assert row["bf16"] == low and all(p.dtype is torch.float32 for p in learn.model.parameters())
        losses.append([float(o) for o in learn.recorder.losses[:20]])
    assert losses[0] == pytest.approx(losses[1], abs=0.1)
