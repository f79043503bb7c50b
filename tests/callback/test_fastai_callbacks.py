"""fastai's own callbacks have their effect on a `CharLearner`."""

import csv

import pytest
import torch
from fastai.callback.all import CSVLogger, GradientClip, SaveModelCallback, ShortEpochCallback, ShowGraphCallback
from fastai.callback.progress import ProgressCallback


def test_mixed_precision_trains(learn):  # more in test_fp16.py
    with learn.no_bar(), learn.no_logging():
        learn.to_bf16().fit(2, 5e-3)
    first, last = learn.training_log.rows
    assert last["valid_loss"] < first["valid_loss"]
    assert hasattr(learn, "mixed_precision")


def test_csv_logger_writes_every_epoch(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, cbs=CSVLogger())
    header, *rows = csv.reader(open(learn.path / "history.csv"))
    assert header == ["epoch", "train_loss", "valid_loss", "accuracy", "bits_per_char", "time"]
    assert len(rows) == 2
    assert float(rows[1][2]) == pytest.approx(learn.training_log.rows[1]["valid_loss"])


def test_save_model_keeps_the_best(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, 5e-3, cbs=SaveModelCallback(fname="best"))
    best = min(row["valid_loss"] for row in learn.training_log.rows)
    assert (learn.path / "models/best.pth").is_file()
    assert learn.validate()[0] == pytest.approx(best, abs=1e-4)


def test_gradient_clip_limits_the_norm(learn):
    norms = []

    class RecordNorm(GradientClip):
        order = GradientClip.order + 1

        def before_step(self):
            norms.append(torch.stack([p.grad.norm() for p in self.model.parameters()]).norm().item())

    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=[GradientClip(0.1), RecordNorm()])
    assert max(norms) <= 0.1 + 1e-5
    assert len(norms) == len(learn.dls.train)


def test_a_short_epoch_is_short(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=ShortEpochCallback(pct=0.1, short_valid=False))
    # a tenth of 106 batches is 11, and the next one begins
    assert learn.train_iter == 12 < len(learn.dls.train)


def test_show_graph_receives_both_curves(learn, capsys):
    drawn = []

    class RecordGraph(ShowGraphCallback):
        def after_epoch(self):
            super().after_epoch()
            drawn.append((len(self.nb_batches), len(self.learn.recorder.losses)))

    with learn.no_logging():
        learn.fit(2, cbs=RecordGraph())
    assert [n_epochs for n_epochs, _ in drawn] == [1, 2]
    assert drawn[1][1] == 2 * len(learn.dls.train)


def test_the_progress_bar_prints_a_table(learn, capsys):
    learn.fit(1)
    printed = capsys.readouterr().out
    assert "train_loss" in printed
    assert "bits_per_char" in printed
    assert isinstance(learn.progress, ProgressCallback)
