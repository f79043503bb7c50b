"""What training saves of fastai's own work, and that nothing is lost by it: events reach whoever handles them, smoothed losses are the same."""

import pytest
from fastai.basics import Callback, Learner
from fastai.callback.all import ShortEpochCallback, TerminateOnNaNCallback
from fastai.learner import AvgSmoothLoss

from fastai_charrnn.all import SmoothLoss, char_learner


class Heard(Callback):
    "Hears some events as fastai offers them: a method, a function given to `__init__`, and all by `__call__`."

    order = 70

    def __init__(self, **kw):
        super().__init__(**kw)
        self.heard = []

    def before_batch(self):
        self.heard.append("before_batch")

    def after_fit(self):
        self.heard.append("after_fit")


class HearsAll(Callback):
    def __init__(self):
        self.all = []

    def __call__(self, event_name):
        self.all.append(event_name)


def test_events_reach_whoever_handles_them_as_with_fastais_own_dispatch(dls):
    heard = []
    for dispatch in (None, Learner._call_one):
        learn = char_learner(
            dls,
            n_hid=8,
            seed=0,
            cbs=[Heard(after_step=lambda self: self.heard.append("after_step")), HearsAll(), TerminateOnNaNCallback()],
        )
        if dispatch:
            learn._call_one = dispatch.__get__(learn)
        with learn.no_bar(), learn.no_logging(), learn.added_cbs(ShortEpochCallback(0.1)):
            learn.fit(1, 1e-3)
        heard.append((learn.heard.heard, learn.hears_all.all, learn.training_log.rows, learn.predict_next_cb.run))
    assert (
        heard[0] == heard[1]
        and heard[0][0][:2] == ["before_batch", "after_step"]
        and heard[0][1].count("after_batch") > 5
    )
    with pytest.raises(Exception, match="missing after_lunch"):
        learn("after_lunch")


def test_smoothed_losses_are_fastais(dls):
    losses = []
    for cls in (SmoothLoss, AvgSmoothLoss):
        learn = char_learner(dls, n_hid=8, seed=0)
        assert isinstance(learn.recorder.smooth_loss, SmoothLoss)
        learn.recorder.smooth_loss = cls()
        with learn.no_bar(), learn.no_logging():
            learn.fit(2, 1e-3)
        losses.append(learn.recorder.losses)
    assert (
        len(losses[0]) == 2 * len(dls.train)
        and losses[0] == losses[1]
        and all(o.device.type == "cpu" for o in losses[0])
    )
