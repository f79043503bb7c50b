"""A fit may end at any event, by Ctrl-C or by an error of a callback. The learner is then as usable as before."""

import copy
from contextlib import suppress

import pytest
import torch
from fastai.basics import Callback, CancelBatchException
from fastai.callback.hook import HookCallback
from fastai.callback.progress import CSVLogger
from learner_helpers import quiet_fit, weights

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.callback.fp16 import autocast_restored

TEXT = "the quick brown fox jumps over the lazy dog. " * 10


class RaiseAt(Callback):
    "Raises at one event of a fit, counted from 0, before or after all other callbacks. Notes the events before it."

    run_valid = True

    def __init__(self, number, error=KeyboardInterrupt, order=100):
        self.number = number
        self.error = error
        self.order = order
        self.seen = []

    def __call__(self, event_name):
        if event_name in ("after_create", "after_error"):
            return
        self.seen.append(event_name)
        if len(self.seen) - 1 == self.number:
            raise self.error


class Hooked(HookCallback):
    "Keeps a hook on the model until the end of a fit."

    def hook(self, module, inputs, output):
        pass


@pytest.fixture(scope="module")
def made():
    dls = CharDataLoaders.from_text(TEXT, seq_len=8, bs=128, valid="tail", device="cpu")
    return char_learner(dls, "gru", n_hid=8, emb_sz=4, seed=0, config=dict(output_p=0.2))


def _copied(learn):
    learn = copy.deepcopy(learn)
    learn.to_bf16()
    return learn


def _events_of(made, fit):
    "How many events a whole fit has."
    learn = _copied(made)
    counter = RaiseAt(-1)
    fit(learn, counter)
    return counter.seen


def _fit(learn, *cbs):
    quiet_fit(learn, 1, 1e-2, cbs=list(cbs))


def _fit_minutes(learn, *cbs):
    with learn.no_bar(), learn.no_logging():
        learn.fit_minutes(4e-3, 1e-2, bf16=True, cbs=list(cbs))


def _autocast():
    return torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"), torch.is_autocast_cache_enabled()


def _assert_usable(learn, made):
    "Nothing of the fit is left, and the learner computes what a new one with its weights computes."
    assert _autocast() == (False, torch.bfloat16, True)
    assert torch.autocast_increment_nesting() == 1
    assert torch.autocast_decrement_nesting() == 0
    assert not learn.training_now
    assert learn.logger is print
    assert sorted(cb.name for cb in learn.cbs) == sorted([*(cb.name for cb in made.cbs), "mixed_precision"])
    assert len({m.training for m in learn.model.modules()}) == 1
    assert all(p.grad is None or not p.grad.any() for p in learn.model.parameters())
    assert not any(m._forward_hooks for m in learn.model.modules())
    fresh = copy.deepcopy(made)
    fresh.model.load_state_dict(learn.model.state_dict())
    learn.to_fp32()
    assert learn.evaluate(TEXT) == fresh.evaluate(TEXT)


@pytest.mark.parametrize("order", [-100, 100])
@pytest.mark.parametrize("fit", [_fit, _fit_minutes])
def test_ctrl_c_at_any_event_leaves_a_usable_learner(made, fit, order):
    events = _events_of(made, fit)
    # a fit by the clock has more batches on a faster machine; the first ones have all events
    numbers = [*range(min(len(events) - 12, 40))][:: 1 if order > 0 and fit is _fit else 5]
    assert len(events) > 30
    for number in numbers:
        learn = _copied(made)
        cbs = [RaiseAt(number, order=order), Hooked()]
        with suppress(KeyboardInterrupt):
            fit(learn, *cbs)
            pytest.fail(f"no interrupt at event {number}, {events[number]}")
        _assert_usable(learn, made)


def test_an_error_of_a_callback_leaves_a_usable_learner(made):
    for number in range(0, 40, 3):
        learn = _copied(made)
        with pytest.raises(ZeroDivisionError):
            _fit(learn, RaiseAt(number, ZeroDivisionError), Hooked())
        _assert_usable(learn, made)


def test_the_fit_after_an_interrupt_begins_without_old_gradients(made):
    "The interrupt comes between the gradients of a batch and the step."
    learn, other = copy.deepcopy(made), copy.deepcopy(made)

    class Interrupt(Callback):
        def before_step(self):
            raise KeyboardInterrupt

    for o in (learn, other):
        with pytest.raises(KeyboardInterrupt):
            quiet_fit(o, 1, cbs=Interrupt())
    for p in other.model.parameters():
        p.grad = None
    for o in (learn, other):
        o.dls.train.seed(1)
        quiet_fit(o, 1)
    assert torch.equal(weights(learn), weights(other))


def test_an_interrupt_closes_files_and_bars(made, tmp_path):
    learn = copy.deepcopy(made)
    learn.path = tmp_path
    logger = CSVLogger()
    interrupt = RaiseAt(15)
    with pytest.raises(KeyboardInterrupt):
        learn.fit(1, cbs=[logger, interrupt])
    assert logger.file.closed
    # fastai's progress bar replaces it during a fit
    assert learn.logger is print


@pytest.mark.parametrize("name", ["before_batch", "after_pred", "after_backward"])
def test_a_cancelled_batch_turns_autocast_off(made, name):
    "fastai leaves it on until the end of the process."
    seen = []

    class Cancel(Callback):
        order = 100

        def after_cancel_batch(self):
            seen.append(torch.is_autocast_enabled("cpu"))

    def cancel(self):
        # fastai's recorder needs the prediction of some batch
        if self.iter:
            raise CancelBatchException

    setattr(Cancel, name, cancel)
    learn = _copied(made)
    quiet_fit(learn, 1, cbs=Cancel())
    assert seen
    assert not any(seen)


def test_autocast_around_a_fit_is_kept(made):
    learn = _copied(made)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = _autocast()
        with pytest.raises(KeyboardInterrupt):
            _fit(learn, RaiseAt(12))
        assert _autocast() == before
    assert not torch.is_autocast_enabled("cpu")


def test_autocast_that_was_entered_by_half_is_left():
    "As after an interrupt within PyTorch's own `__enter__`."
    with pytest.raises(KeyboardInterrupt), autocast_restored():
        torch.set_autocast_enabled("cpu", True)
        torch.autocast_increment_nesting()
        raise KeyboardInterrupt
    assert not torch.is_autocast_enabled("cpu")
    assert torch.autocast_increment_nesting() == 1
    assert torch.autocast_decrement_nesting() == 0
