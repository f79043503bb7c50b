"""fastai's notebook 13a, the callbacks of a learner: adding, removing, ordering, and changing a batch."""

import torch
from fastai.basics import Callback, Recorder, TrainEvalCallback
from fastai.learner import before_batch_cb
from tiny import Events, tiny_learner


class Plain(Callback):
    "Does nothing before a fit."

    def before_fit(self):
        "Nothing."


def test_callbacks_become_attributes(windows):
    "13a, callbacks: fastai's defaults and those passed to the learner are its attributes."
    assert isinstance(windows.train_eval, TrainEvalCallback)
    assert isinstance(windows.recorder, Recorder)
    learn = tiny_learner("windows", cbs=Plain())
    assert isinstance(learn.plain, Plain)
    assert learn.plain in learn.cbs


def test_calling_the_learner_sends_an_event(windows):
    "13a, __call__: `learn('after_fit')` reaches the callbacks."
    windows.add_cb(Events)
    windows.events.taken()
    windows("after_fit")
    assert windows.events.taken() == ["after_fit"]


def test_an_added_callback_has_the_learner(windows):
    "13a, add_cb: the callback is the last of the list and its `learn` is the learner."
    n_cbs = len(windows.cbs)
    windows.add_cb(Plain())
    assert len(windows.cbs) == n_cbs + 1
    assert windows.cbs[-1] is windows.plain
    assert windows.plain.learn is windows
    assert windows.train_eval.learn is windows


def test_several_callbacks_are_added(windows):
    "13a, add_cbs: all of a list."
    n_cbs = len(windows.cbs)
    windows.add_cbs([Plain(), Plain()])
    assert len(windows.cbs) == n_cbs + 2


def test_callbacks_may_be_added_for_a_while(windows):
    "13a, added_cbs: they are gone after the block."
    before = list(windows.cbs)
    with windows.added_cbs(Plain()):
        assert len(windows.cbs) == len(before) + 1
    assert list(windows.cbs) == before


def test_ordered_callbacks_of_an_event(windows):
    "13a, ordered_cbs: those that handle the event, in their order."
    windows.add_cb(Plain())
    ordered = windows.ordered_cbs("before_fit")
    assert ordered == sorted(ordered, key=lambda cb: cb.order)
    assert windows.plain in ordered and windows.train_eval in ordered
    assert all(hasattr(cb, "before_fit") for cb in ordered)


def test_a_removed_callback_has_no_learner(windows):
    "13a, remove_cb: neither list nor attribute keeps it."
    before = list(windows.cbs)
    windows.add_cb(Plain())
    cb = windows.plain
    windows.remove_cb(cb)
    assert list(windows.cbs) == before
    assert cb.learn is None
    assert not hasattr(windows, "plain")


def test_a_class_removes_all_its_callbacks(windows):
    "13a, remove_cb: a class stands for every callback of that class."
    before = list(windows.cbs)
    windows.add_cbs([Plain(), Plain()])
    windows.remove_cb(Plain)
    assert list(windows.cbs) == before
    assert not hasattr(windows, "plain")


def test_several_callbacks_are_removed(windows):
    "13a, remove_cbs: all of a list."
    before = list(windows.cbs)
    added = [Plain() for _ in range(3)]
    windows.add_cbs(added)
    windows.remove_cbs(added)
    assert list(windows.cbs) == before


def test_callbacks_may_be_removed_for_a_while(windows):
    "13a, removed_cbs: they are back after the block."
    cb = Plain()
    windows.add_cb(cb)
    with windows.removed_cbs(cb):
        assert cb not in windows.cbs
    assert cb in windows.cbs


def test_the_training_loop_is_shown(windows, capsys):
    "13a, show_training_loop: every step with its callbacks, ours included."
    windows.show_training_loop()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Start Fit" and lines[-1].startswith(" - after_fit")
    assert any("after_loss" in line and "FiniteLoss" in line for line in lines)
    assert any("before_train" in line and "TrainEvalCallback" in line for line in lines)


def test_a_callback_may_change_the_batch(learn):
    "13a, before_batch: the model reads the input and the loss the target that the callback sets."
    seen = []

    class Swap(Callback):
        order = 10

        def before_batch(self):
            self.learn.xb = (torch.ones_like(self.x),)
            self.learn.yb = (torch.full_like(self.y, 2),)

        def after_loss(self):
            seen.append(self.x.eq(1).all() and self.y.eq(2).all())
            torch.testing.assert_close(self.learn.loss, self.learn.loss_func(self.pred, self.y))

    learn.fit(2, cbs=Swap())
    assert all(seen) and len(seen) == 2 * (len(learn.dls.train) + len(learn.dls.valid))
    # the one target is soon predicted
    assert learn.recorder.values[-1][1] < 1.5


def test_a_function_may_change_the_batch(windows):
    "13a, before_batch_cb: a function from (xb, yb) to (xb, yb) becomes a callback."

    @before_batch_cb
    def swap(self, xb, yb):
        return (torch.ones_like(xb[0]),), (torch.full_like(yb[0], 2),)

    windows.fit(2, cbs=swap)
    assert windows.recorder.values[-1][1] < 1.5
