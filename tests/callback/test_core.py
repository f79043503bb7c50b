"""Each callback of fastai does its job on a `CharLearner`, and ours do theirs: what they change, not that they return."""

import csv
import re

import pytest
import torch
from fastai.basics import Callback, Tensor
from fastai.callback.all import (
    CSVLogger,
    EarlyStoppingCallback,
    GradientClip,
    SaveModelCallback,
    ShortEpochCallback,
    ShowGraphCallback,
)
from fastai.callback.progress import ProgressCallback

from fastai_charrnn.errors import TrainingError


def test_mixed_precision_trains(learn):  # more in test_precision.py
    with learn.no_bar(), learn.no_logging():
        learn.to_bf16().fit(2, 5e-3)
    rows = learn.training_log.rows
    assert rows[-1]["valid_loss"] < rows[0]["valid_loss"] and hasattr(learn, "mixed_precision")


def test_csv_logger_writes_every_epoch(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, cbs=CSVLogger())
    rows = list(csv.reader(open(learn.path / "history.csv")))
    assert rows[0] == ["epoch", "train_loss", "valid_loss", "accuracy", "bits_per_char", "time"] and len(rows) == 3
    assert float(rows[2][2]) == pytest.approx(learn.training_log.rows[1]["valid_loss"])


def test_save_model_keeps_the_best(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, 5e-3, cbs=SaveModelCallback(fname="best"))
    best = min(r["valid_loss"] for r in learn.training_log.rows)
    assert (learn.path / "models/best.pth").is_file() and learn.validate()[0] == pytest.approx(best, abs=1e-4)


def test_early_stopping_stops(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit(9, 5e-3, cbs=EarlyStoppingCallback(monitor="bits_per_char", min_delta=9.0, patience=1))
    assert len(learn.training_log.rows) == 2


def test_gradient_clip_limits_the_norm(learn):
    norms = []

    class Watch(GradientClip):
        order = GradientClip.order + 1

        def before_step(self):
            norms.append(torch.stack([p.grad.norm() for p in self.model.parameters()]).norm().item())

    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=[GradientClip(0.1), Watch()])
    assert max(norms) <= 0.1 + 1e-5 and len(norms) == len(learn.dls.train)


def test_short_epoch_is_short(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=ShortEpochCallback(pct=0.1, short_valid=False))
    assert learn.train_iter == 12 < len(learn.dls.train)  # 11 are a tenth of 106 batches; the next one begins


def test_show_graph_is_given_both_curves(learn, capsys):
    drawn = []

    class Graph(ShowGraphCallback):
        def after_epoch(self):
            super().after_epoch()
            drawn.append((len(self.nb_batches), len(self.learn.recorder.losses)))

    with learn.no_logging():
        learn.fit(2, cbs=Graph())
    assert [n for n, _ in drawn] == [1, 2] and drawn[1][1] == 2 * len(learn.dls.train)


def test_the_bar_prints_a_table(learn, capsys):
    learn.fit(1)
    out = capsys.readouterr().out
    assert "train_loss" in out and "bits_per_char" in out and isinstance(learn.progress, ProgressCallback)


def test_the_training_log_has_every_trained_epoch_and_no_other(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit(2)
    learn.validate()
    learn.get_preds()
    assert len(learn.training_log.rows) == 2 and set(learn.training_log.rows[0]) == {
        "train_loss",
        "valid_loss",
        "accuracy",
        "bits_per_char",
        "lr",
    }


def test_losses_of_an_epoch_are_no_tensors_until_it_ends(learn):
    "Small pieces of the heap that outlive a batch would have it grow; after the epoch they are fastai's again, number by number."
    seen = []

    class Look(Callback):
        order = 90

        def after_batch(self):
            if self.training:
                seen.append(float(self.smooth_loss))
                assert type(self.recorder.losses[-1]) is (float if self.dls.device.type == "cpu" else Tensor)

    with learn.no_bar(), learn.no_logging():
        learn.fit(2, 1e-3, cbs=Look())
    losses = learn.recorder.losses
    assert (
        len(losses) == len(seen)
        and all(isinstance(o, Tensor) and o.dtype is torch.float32 and o.dim() == 0 for o in losses)
        and [float(o) for o in losses] == seen
    )


def test_training_stops_at_the_first_loss_that_is_not_finite(learn):
    with learn.no_bar(), learn.no_logging(), pytest.raises(TrainingError) as e:
        learn.fit(3, 1e8)
    step = int(re.search(r"the loss is nan at step (\d+) \(epoch 0, learning rate 1e\+08\)", str(e.value))[1])
    assert step == len(learn.recorder.losses) + 1
    assert all(torch.isfinite(o) for o in learn.recorder.losses)
    assert learn.training_log.rows == []


def test_a_stopped_fit_leaves_the_learner_usable(learn):
    with pytest.raises(TrainingError):
        learn.fit(1, 1e8)
    assert learn.logger is print
    assert not learn.training_now
    assert not torch.is_autocast_enabled("cpu")


def test_weights_that_are_nan_from_before_are_named(learn):
    with torch.no_grad():
        next(learn.model.parameters()).fill_(float("nan"))
    with learn.no_bar(), pytest.raises(TrainingError, match="the weights were NaN or infinite before training"):
        learn.fit(1, 1e-3)


def test_a_fit_by_the_clock_stops_at_a_loss_that_is_not_finite_too(learn):
    with learn.no_bar(), pytest.raises(TrainingError, match="train with a lower learning rate"):
        learn.fit_minutes(0.2, 1e8, bf16=True)
    assert not torch.is_autocast_enabled("cpu")
