"""Events reach every callback that handles them, as with fastai's own dispatch, and smoothed losses equal fastai's."""

import pytest
from fastai.basics import Callback, Learner
from fastai.callback.all import ShortEpochCallback, TerminateOnNaNCallback
from fastai.learner import AvgSmoothLoss

from fastai_charrnn.all import SmoothLoss, char_learner


class Recording(Callback):
    "Handles some events by a method, and others by a function passed to `__init__`."

    order = 70

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.events = []

    def before_batch(self):
        self.events.append("before_batch")

    def after_fit(self):
        self.events.append("after_fit")


class RecordingAll(Callback):
    "Handles all events by `__call__`."

    def __init__(self):
        self.events = []

    def __call__(self, event_name):
        self.events.append(event_name)


def _events(dls, dispatch=None):
    "What two callbacks have recorded, and what the learner has."
    recording = Recording(after_step=lambda self: self.events.append("after_step"))
    recording_all = RecordingAll()
    learn = char_learner(dls, n_hid=8, seed=0, cbs=[recording, recording_all, TerminateOnNaNCallback()])
    if dispatch:
        learn._call_one = dispatch.__get__(learn)
    with learn.no_bar(), learn.no_logging(), learn.added_cbs(ShortEpochCallback(0.1)):
        learn.fit(1, 1e-3)
    return {
        "some": recording.events,
        "all": recording_all.events,
        "log": learn.training_log.rows,
        "run": learn.predict_next_cb.run,
    }


def test_events_reach_every_callback_that_handles_them(dls):
    events = _events(dls)
    assert events == _events(dls, Learner._call_one)
    assert events["some"][:2] == ["before_batch", "after_step"]
    assert events["all"].count("after_batch") > 5


def test_an_unknown_event_raises(learn):
    with pytest.raises(Exception, match="missing after_lunch"):
        learn("after_lunch")


def _smoothed_losses(dls, metric):
    learn = char_learner(dls, n_hid=8, seed=0)
    assert isinstance(learn.recorder.smooth_loss, SmoothLoss)
    learn.recorder.smooth_loss = metric
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, 1e-3)
    return learn.recorder.losses


def test_smoothed_losses_equal_fastais(dls):
    losses = _smoothed_losses(dls, SmoothLoss())
    assert losses == _smoothed_losses(dls, AvgSmoothLoss())
    assert len(losses) == 2 * len(dls.train)
    assert all(loss.device.type == "cpu" for loss in losses)
