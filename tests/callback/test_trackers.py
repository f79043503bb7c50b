"""fastai's trackers keep the best epoch, whichever way their metric improves, and rest outside of fits."""

import operator

import numpy as np
import pytest
from fastai.basics import Callback
from fastai.callback.progress import CSVLogger
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback
from fastai.metrics import Perplexity
from learner_helpers import quiet_fit, weights

from fastai_charrnn.all import BitsPerChar, CharAccuracy, CharDataLoaders, CharLoss, char_learner
from fastai_charrnn.errors import CharRnnWarning, DataError, TrainingError


class Spoil(Callback):
    "Raise the learning rate so far that epochs from `first` on are worse."

    def __init__(self, first):
        self.first = first
        self.weights = []

    def before_train(self):
        self.opt.set_hypers(lr=5e-3 if self.epoch < self.first else 0.3)

    def after_train(self):
        self.weights.append(weights(self.learn))


class Uncertainty(CharLoss):
    "A metric of a user that says how it improves."

    lower_is_better = True
    name = "uncertainty"

    def total_of(self, learn):
        return -learn.pred.max(-1).values.sum()


@pytest.fixture
def learn(small, tmp_path):
    dls = CharDataLoaders.from_text(small[:6000], bs=128, valid="tail", device="cpu", path=tmp_path)
    metrics = [CharAccuracy(), BitsPerChar(), Perplexity(), Uncertainty()]
    return char_learner(dls, n_hid=16, seed=0, metrics=metrics)


@pytest.mark.parametrize("monitor", ["bits_per_char", "perplexity", "accuracy", "valid_loss"])
def test_the_best_epoch_is_kept_and_not_the_worst(learn, monitor):
    spoil = Spoil(2)
    rows = quiet_fit(learn, 4, cbs=[spoil, SaveModelCallback(monitor=monitor)])
    values = [row[monitor] for row in rows]
    assert values.index(max(values) if monitor == "accuracy" else min(values)) == 1
    assert weights(learn).equal(spoil.weights[1])


def test_an_improving_fit_keeps_the_last_epoch(learn):
    spoil = Spoil(9)
    quiet_fit(learn, 3, cbs=[spoil, SaveModelCallback(monitor="bits_per_char")])
    assert weights(learn).equal(spoil.weights[2])


def test_training_stops_early_only_after_worse_epochs(learn):
    rows = quiet_fit(learn, 5, cbs=[Spoil(3), EarlyStoppingCallback(monitor="bits_per_char")])
    assert len(rows) == 4


def test_min_delta_is_the_least_fall_that_counts(learn):
    rows = quiet_fit(learn, 5, cbs=EarlyStoppingCallback(monitor="bits_per_char", min_delta=9.0))
    assert len(rows) == 2
    assert rows[1]["bits_per_char"] < rows[0]["bits_per_char"]


def test_the_rate_falls_only_on_a_plateau(learn):
    assert [row["lr"] for row in quiet_fit(learn, 3, cbs=ReduceLROnPlateau(monitor="bits_per_char"))] == [1e-3] * 3
    learn.training_log.rows.clear()
    rows = quiet_fit(learn, 3, cbs=ReduceLROnPlateau(monitor="bits_per_char", min_delta=9.0))
    assert [row["lr"] for row in rows] == pytest.approx([1e-3, 1e-3, 1e-4])


def test_names_of_training_and_validation_are_understood(learn):
    learn.recorder.train_metrics = True
    tracker = SaveModelCallback(monitor="valid_bits_per_char")
    quiet_fit(learn, 1, cbs=tracker)
    assert tracker.comp is np.less


@pytest.mark.parametrize("comp", [operator.gt, np.less])
def test_a_comp_of_the_user_is_used(learn, comp):
    trackers = [SaveModelCallback(monitor=monitor, comp=comp) for monitor in ("bits_per_char", "accuracy")]
    for tracker in trackers:
        quiet_fit(learn, 1, cbs=tracker)
        assert tracker.comp is comp


def test_a_metric_of_the_user_can_say_that_it_improves_downwards(learn):
    tracker = SaveModelCallback(monitor="uncertainty")
    quiet_fit(learn, 2, cbs=tracker)
    assert tracker.best == min(values[5] for values in learn.recorder.values)


def test_an_unknown_monitor_is_named_before_training(learn):
    before = weights(learn)
    with pytest.raises(DataError, match="monitors 'bpc', which is not recorded; choose one of train_loss, valid_loss"):
        quiet_fit(learn, 1, cbs=SaveModelCallback(monitor="bpc"))
    assert weights(learn).equal(before)


def test_trackers_and_loggers_of_a_learner_rest_under_validate_and_get_preds(learn):
    tracker = EarlyStoppingCallback(monitor="valid_loss", reset_on_fit=False)
    learn.add_cbs([tracker, CSVLogger()])
    quiet_fit(learn, 1)
    history = (learn.path / "history.csv").read_text()
    best = tracker.best
    with learn.no_bar():
        learn.validate()
        learn.get_preds()
    assert tracker.best == best == learn.training_log.rows[0]["valid_loss"]
    assert (learn.path / "history.csv").read_text() == history
    quiet_fit(learn, 1)
    assert tracker.best < best


def test_a_fit_without_a_complete_epoch_loads_no_older_file(learn):
    quiet_fit(learn, 1, cbs=SaveModelCallback())

    class Look(Callback):
        order = 100

        def after_fit(self):
            self.last = weights(self.learn)

    look = Look()
    diverges = pytest.raises(TrainingError, match="lower learning rate")
    with diverges, pytest.warns(CharRnnWarning, match="saved nothing, because no epoch was complete"):
        quiet_fit(learn, 1, 1e8, cbs=[SaveModelCallback(), look])
    assert weights(learn).equal(look.last)
