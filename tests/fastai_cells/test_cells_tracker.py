"""fastai's notebook 17, callback.tracker: callbacks that act on the best value of a loss or metric."""

import math

import numpy as np
import pytest
from fastai.basics import Callback
from fastai.callback.tracker import (
    EarlyStoppingCallback,
    ReduceLROnPlateau,
    SaveModelCallback,
    TerminateOnNaNCallback,
    TrackerCallback,
)
from tiny import nll

from fastai_charrnn.errors import TrainingError


def test_training_ends_at_the_first_loss_that_is_not_finite(learn):
    "17, TerminateOnNaNCallback: few batches, and all recorded losses are finite. Our learner raises as well."
    with pytest.raises(TrainingError):
        learn.fit(10, lr=1e30, cbs=TerminateOnNaNCallback())
    assert len(learn.recorder.losses) < 10 * len(learn.dls.train)
    assert all(math.isfinite(loss) for loss in learn.recorder.losses)


class FakeRecords(Callback):
    "Replaces a recorded number of each epoch."

    order = 51

    def __init__(self, monitor, values):
        self.monitor = monitor
        self.values = values

    def after_epoch(self):
        i = list(self.recorder.metric_names[1:]).index(self.monitor)
        self.recorder.values[-1][i] = self.values[self.epoch]


class Bests(Callback):
    "Collects what a tracker found after each epoch."

    order = 61

    def before_fit(self):
        self.bests = []
        self.news = []

    def after_epoch(self):
        self.bests.append(self.tracker.best)
        self.news.append(self.tracker.new_best)


@pytest.mark.parametrize(
    "monitor,tracking,bests,news",
    [
        ("valid_loss", {}, [0.2, 0.1], [True, True]),
        ("valid_loss", dict(min_delta=0.15), [0.2, 0.2], [True, False]),
        ("nll", {}, [0.2, 0.2], [True, False]),
        ("nll", dict(comp=np.less), [0.2, 0.1], [True, True]),
    ],
    ids=["loss", "min_delta", "metric", "comp"],
)
def test_a_tracker_keeps_the_best_value(windows, monitor, tracking, bests, news):
    "17, TrackerCallback: losses fall, other metrics rise unless `comp` says otherwise, `min_delta` asks for more."
    windows.metrics = nll
    watch = Bests()
    tracker = TrackerCallback(monitor=monitor, **tracking)
    windows.fit(2, cbs=[tracker, FakeRecords(monitor, [0.2, 0.1]), watch])
    assert watch.bests == bests
    assert watch.news == news


def test_a_tracker_may_keep_the_best_of_several_fits(windows):
    "17, TrackerCallback: with `reset_on_fit=False` a worse second fit keeps the best value."
    windows.metrics = nll
    tracker = TrackerCallback(monitor="nll", reset_on_fit=False)
    windows.add_cb(tracker)
    windows.fit(1)
    first = tracker.best
    windows.fit(1)
    assert tracker.best == first == windows.training_log.rows[0]["nll"]


def test_a_tracker_rests_during_the_search_for_a_rate(windows):
    "17, TrackerCallback: `lr_find` does not run it."
    windows.metrics = nll
    windows.add_cb(TrackerCallback(monitor="nll"))
    windows.lr_find(num_it=15, show_plot=False)
    assert not hasattr(windows.tracker, "new_best")


@pytest.mark.parametrize("monitor", ["nll", "valid_loss", "bits_per_char"])
def test_early_stopping_ends_a_fit_without_progress(windows, capsys, monitor):
    "17, EarlyStoppingCallback: two epochs of patience, for losses and metrics. `validate` works afterwards."
    windows.metrics = [*windows.metrics, nll]
    comp = None if monitor == "valid_loss" else np.less
    windows.fit(20, lr=1e-7, cbs=EarlyStoppingCallback(monitor=monitor, comp=comp, min_delta=0.1, patience=2))
    assert "No improvement since epoch 0" in capsys.readouterr().out
    assert len(windows.recorder.values) == 3
    last = windows.recorder.values[-1]
    assert windows.validate()[0] == pytest.approx(last[1], rel=1e-4)


def test_bits_per_character_have_to_fall(windows):
    "17, EarlyStoppingCallback: a callback that monitors our metric without `comp` does not stop while it falls."
    windows.fit(3, cbs=[EarlyStoppingCallback(monitor="bits_per_char"), FakeRecords("bits_per_char", [3.0, 2.0, 1.0])])
    assert len(windows.recorder.values) == 3


@pytest.mark.parametrize(
    "n_epoch,saving,files",
    [
        (2, {}, ["model"]),
        (2, dict(fname="end", at_end=True), ["end"]),
        (2, dict(every_epoch=True), ["model_0", "model_1"]),
        (4, dict(every_epoch=2), ["model_0", "model_2"]),
    ],
    ids=["best", "at_end", "every_epoch", "every_second"],
)
def test_models_are_saved_during_a_fit(windows, tmp_path, capsys, n_epoch, saving, files):
    "17, SaveModelCallback: the best model, the last, that of every epoch or of every second."
    windows.fit(n_epoch, cbs=SaveModelCallback(**saving))
    assert sorted(path.stem for path in (tmp_path / "models").iterdir()) == files


@pytest.mark.parametrize("lr,min_lr", [(1e-7, 0), (5e-8, 1e-8)], ids=["factor", "min_lr"])
def test_the_rate_is_reduced_on_a_plateau(windows, capsys, lr, min_lr):
    "17, ReduceLROnPlateau: a tenth after two epochs of patience, but not below `min_lr`."
    reduce = ReduceLROnPlateau(monitor="valid_loss", min_delta=0.1, patience=2, min_lr=min_lr)
    windows.fit(4, lr=lr, cbs=reduce)
    assert windows.opt.hypers[-1]["lr"] == pytest.approx(1e-8)
    assert "Epoch 2: reducing lr to" in capsys.readouterr().out
