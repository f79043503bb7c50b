"""Signals let a batch end, have callbacks save, and leave the fit as they would without a handler."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest
import torch
from fastai.basics import Callback
from fastai.callback.tracker import SaveModelCallback
from learner_helpers import quiet_fit, weights

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.callback.checkpoint import CheckpointCallback
from fastai_charrnn.callback.signals import StopOnSignal
from fastai_charrnn.data.protocol import n_targets
from fastai_charrnn.state.checkpoint_file import read_checkpoint

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Saves(Callback):
    "Remembers the weights when a signal stops the fit, and holds a lock during it."

    def __init__(self):
        self.saved = []
        self.is_held = False

    @contextmanager
    def during_fit(self):
        self.is_held = True
        try:
            yield
        finally:
            self.is_held = False

    def on_stop(self):
        assert self.is_held
        self.saved.append(weights(self.learn))


class Signals(Callback):
    "Sends signals to the process in the middle of a batch, of training or of validation."

    def __init__(self, *numbers, step=2, training=True):
        self.numbers = list(numbers)
        self.step = step
        self.in_training = training

    def state_dict(self):
        "A checkpoint does not send them again."
        return {}

    def load_state_dict(self, state):
        pass

    def after_pred(self):
        if self.iter == self.step and self.training is self.in_training:
            while self.numbers:
                os.kill(os.getpid(), self.numbers.pop(0))


@pytest.fixture
def handlers():
    "Handlers as in a new process, and as they were after the test."
    before = {number: signal.getsignal(number) for number in HANDLED}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: [signal.getsignal(number) for number in HANDLED]
    for number, handler in before.items():
        signal.signal(number, handler)


def _steps(learn):
    return len(learn.recorder.losses)


@pytest.mark.parametrize("training", [True, False])
def test_ctrl_c_ends_the_batch_then_callbacks_save_then_it_is_an_interrupt(learn, handlers, training):
    before = handlers()
    saves = Saves()
    with learn.no_bar(), learn.no_logging(), pytest.raises(KeyboardInterrupt):
        learn.fit(2, cbs=[Signals(signal.SIGINT, step=2 if training else 0, training=training), saves])
    assert len(saves.saved) == 1
    torch.testing.assert_close(saves.saved[0], weights(learn), rtol=0, atol=0)
    assert not saves.is_held
    assert handlers() == before
    assert not learn.training_now
    # the batch of the signal was the third; in validation all of an epoch were trained
    assert _steps(learn) == (3 if training else len(learn.dls.train))
    assert learn.epoch == 0


def test_without_a_callback_that_saves_ctrl_c_interrupts_at_once(learn, handlers):
    with learn.no_bar(), learn.no_logging(), pytest.raises(KeyboardInterrupt):
        learn.fit(2, cbs=Signals(signal.SIGINT))
    assert _steps(learn) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_another_signal_is_sent_again_after_the_callbacks_saved(learn, handlers, number):
    received = []
    signal.signal(number, lambda *_: received.append(saves.is_held))
    saves = Saves()
    with learn.no_bar(), learn.no_logging(), pytest.raises(KeyboardInterrupt):
        learn.fit(2, cbs=[Signals(number), saves])
    # the handler of before runs when the lock is released
    assert received == [False]
    assert len(saves.saved) == 1
    assert _steps(learn) == 3


def test_a_process_without_a_handler_dies_by_the_signal(learn, handlers):
    pid = os.fork()
    if not pid:
        with learn.no_bar(), learn.no_logging():
            learn.fit(2, cbs=[Signals(signal.SIGTERM), Saves()])
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGTERM


def test_a_second_signal_interrupts_at_once(learn, handlers):
    before = handlers()
    saves = Saves()
    with learn.no_bar(), learn.no_logging(), pytest.raises(KeyboardInterrupt):
        learn.fit(2, cbs=[Signals(signal.SIGINT, signal.SIGINT), saves])
    assert saves.saved == []
    assert not saves.is_held
    assert _steps(learn) == 2
    assert handlers() == before


def test_an_ignored_signal_stays_ignored(learn, handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    saves = Saves()
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=[Signals(signal.SIGHUP), saves])
    assert saves.saved == []
    assert _steps(learn) == len(learn.dls.train)


def test_a_signal_after_the_last_batch_is_an_interrupt_after_the_fit(learn, handlers):
    class Late(Callback):
        def after_fit(self):
            os.kill(os.getpid(), signal.SIGINT)

    with learn.no_bar(), learn.no_logging(), pytest.raises(KeyboardInterrupt):
        learn.fit(1, cbs=[Late(), Saves()])
    assert len(learn.training_log.rows) == 1


def test_outside_the_main_thread_nothing_is_handled(learn, handlers):
    before = handlers()
    inside = []

    class Looks(Saves):
        def before_fit(self):
            inside.append(handlers())

    def train():
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, cbs=Looks())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert inside == [before]
    assert len(learn.training_log.rows) == 1


def test_as_a_block_around_fits_a_signal_is_an_interrupt(dls, handlers):
    before = handlers()
    stopping = StopOnSignal(send_again=False)
    learn = char_learner(dls, n_hid=16, seed=0, cbs=stopping)
    with learn.no_bar(), learn.no_logging():
        with pytest.raises(KeyboardInterrupt), stopping:
            learn.fit(1, cbs=Signals(signal.SIGTERM))
        assert _steps(learn) == 3
        assert handlers() == before
        # the same object works again, also in a validation outside a fit
        with pytest.raises(KeyboardInterrupt), stopping:
            os.kill(os.getpid(), signal.SIGTERM)
            learn.validate()


def test_an_interrupted_fit_does_not_load_older_weights(learn, handlers):
    saves = Saves()
    with learn.no_bar(), learn.no_logging():
        tracker = SaveModelCallback()
        with pytest.raises(KeyboardInterrupt):
            learn.fit(3, cbs=[tracker, saves, _InEpoch(1)])
    assert tracker.last_saved_path.exists()
    torch.testing.assert_close(saves.saved[0], weights(learn), rtol=0, atol=0)


class _InEpoch(Signals):
    def __init__(self, epoch):
        super().__init__(signal.SIGINT)
        self.in_epoch = epoch

    def after_pred(self):
        if self.learn.epoch == self.in_epoch:
            super().after_pred()


@pytest.mark.parametrize("bf16", [False, True])
def test_an_interrupted_fit_by_the_clock_keeps_weights_and_writes_its_row(learn, handlers, bf16):
    start = weights(learn)
    began = time.perf_counter()
    with learn.no_bar(), pytest.raises(KeyboardInterrupt):
        learn.fit_minutes(5, 1e-3, bf16=bf16, cbs=Signals(signal.SIGINT))
    assert not torch.equal(weights(learn), start)
    (row,) = learn.training_log.rows
    assert row.keys() == {"train_loss", "lr", "minutes", "epochs", "bf16"}
    assert 0 < row["minutes"] < (time.perf_counter() - began) / 60
    assert row["epochs"] == pytest.approx(3 * 256 / n_targets(learn.dls))
    assert not torch.is_autocast_enabled("cpu")
    assert learn.cbs.filter(lambda cb: isinstance(cb, Signals)) == []


@pytest.mark.parametrize("training", [True, False])
def test_ctrl_c_writes_a_checkpoint_from_which_the_fit_continues(small, tmp_path, handlers, training):
    path = tmp_path / "run"
    when = dict(step=2 if training else 0, training=training)

    def learner(*cbs):
        dls = CharDataLoaders.from_text(small, bs=256, valid="tail", seed=1, device="cpu", path=tmp_path)
        return char_learner(dls, n_hid=16, seed=0, cbs=[CheckpointCallback(path), *cbs])

    whole = learner()
    quiet_fit(whole, 2)
    path.with_suffix(".safetensors").unlink()
    stopped = learner()
    with pytest.raises(KeyboardInterrupt):
        quiet_fit(stopped, 2, cbs=Signals(signal.SIGINT, **when))
    position = read_checkpoint(path.with_suffix(".safetensors"))[1]["position"]
    assert (position["stage"], position["batch"]) == (("in training", 3) if training else ("before validation", 0))
    again = learner().resume(path)
    quiet_fit(again, 2, cbs=Signals(**when))
    torch.testing.assert_close(weights(again), weights(whole), rtol=0, atol=0)
