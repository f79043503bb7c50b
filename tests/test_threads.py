"""Other threads may generate while a learner trains: training and texts are those of each alone."""

import copy
import random
import threading

import pytest
import torch
from fastai.basics import Callback
from learner_helpers import quiet_fit, weights
from threads import KINDS, MODES, AskAt, ask, in_thread, make, race, try_one
from torch.overrides import TorchFunctionMode

from fastai_charrnn._utils import unwrap_model
from fastai_charrnn.all import dynamic_evaluation
from fastai_charrnn.errors import TrainingError
from fastai_charrnn.generation.checks import non_finite
from fastai_charrnn.generation.model_view import eval_view

EVENTS = ("before_batch", "after_pred", "after_backward", "after_step")


_quick = [("gru", "windows"), ("regularized", "windows"), ("module", "streams")]
_all = [(kind, mode) for kind in KINDS for mode in MODES]


@pytest.mark.parametrize("kind,mode", [pytest.param(*o, marks=[] if o in _quick else pytest.mark.slow) for o in _all])
def test_generating_within_a_batch_changes_neither_training_nor_texts(kind, mode):
    learn = make(kind, mode, lr=0.0)
    alone = copy.deepcopy(learn)
    expected = ask(alone, 5)
    asking = AskAt(EVENTS[:2])
    quiet_fit(learn, 1, cbs=asking)
    assert asking.answers
    assert all(answer == expected for answer in asking.answers)
    learn, alone = copy.deepcopy(alone), copy.deepcopy(alone)
    quiet_fit(learn, 1, 1e-2, cbs=AskAt(EVENTS, lambda o, seed: (o.predict_next("the qu", 3), o.next_probs("lazy"))))
    quiet_fit(alone, 1, 1e-2)
    assert torch.equal(weights(learn), weights(alone))
    assert [r["valid_loss"] for r in learn.training_log.rows] == [r["valid_loss"] for r in alone.training_log.rows]


class AskDuring(Callback):
    "Has another thread ask, from before a batch until after it. A hook holds the answer back."

    def __init__(self, question):
        self.question = question
        self.answers = []
        self.entered = threading.Event()
        self.leave = threading.Event()

    def before_fit(self):
        self.hook = unwrap_model(self.model).out.register_forward_hook(self._wait)

    def _wait(self, *_):
        if threading.current_thread() is not threading.main_thread():
            self.entered.set()
            assert self.leave.wait(60)

    def before_batch(self):
        self.entered.clear()
        self.leave.clear()
        self.thread = threading.Thread(target=lambda: self.answers.append(self.question(self.learn)))
        self.thread.start()
        assert self.entered.wait(60)

    def after_batch(self):
        self.leave.set()
        self.thread.join()

    def after_fit(self):
        self.hook.remove()


@pytest.mark.parametrize("mode", ["windows", "streams"])
@pytest.mark.parametrize(
    "question",
    [lambda o: o.predict_next("the qu", 3), lambda o: o.next_probs("lazy"), lambda o: o.score("fox").log_probs],
    ids=["predict_next", "next_probs", "score"],
)
def test_generating_during_a_batch_changes_neither_training_nor_texts(question, mode):
    learn = make("gru", mode, lr=0.0)
    alone = copy.deepcopy(learn)
    # with a hook, as in `AskDuring`, windows are read in another way, whose last bits differ
    unwrap_model(alone.model).out.register_forward_hook(lambda *_: None)
    expected = list(question(alone))
    asking = AskDuring(question)
    quiet_fit(learn, 1, cbs=asking)
    assert len(asking.answers) > 2
    assert all(list(answer) == expected for answer in asking.answers)
    learn, other = copy.deepcopy(alone), copy.deepcopy(alone)
    quiet_fit(learn, 1, 1e-2, cbs=AskDuring(question))
    quiet_fit(other, 1, 1e-2)
    assert torch.equal(weights(learn), weights(other))


@pytest.mark.parametrize(
    "use",
    [
        lambda o: o.fit(1),
        lambda o: o.lr_find(),
        lambda o: o.validate(),
        lambda o: o.get_preds(),
        lambda o: o.evaluate("the quick brown fox", by="windows"),
        lambda o: dynamic_evaluation(o, "the quick brown fox"),
    ],
    ids=["fit", "lr_find", "validate", "get_preds", "evaluate", "dynamic_evaluation"],
)
def test_what_would_disturb_a_training_is_refused_in_other_threads(use):
    learn = make("gru", "chunks")
    alone = copy.deepcopy(learn)
    asking = AskAt(EVENTS[:1], lambda o, seed: use(o))
    quiet_fit(learn, 1, cbs=asking)
    quiet_fit(alone, 1)
    assert all(isinstance(e, TrainingError) and "another thread trains" in str(e) for e in asking.answers)
    assert torch.equal(weights(learn), weights(alone))
    # after the fit, any thread may do it
    assert not isinstance(in_thread(lambda: use(learn)), Exception)


def test_two_threads_generate_while_one_trains():
    learn = make("mullstm", "streams")
    alone = copy.deepcopy(learn)
    quiet_fit(alone, 1)
    answers = race(learn, 2, 1)
    assert all(answers)
    assert torch.equal(weights(learn), weights(alone))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_random_cases_of_threads(seed, tmp_path):
    assert "equal" in try_one(random.Random(seed), tmp_path)


def test_a_view_is_complete_while_another_thread_moves_the_model():
    "PyTorch empties the lists of an RNN's weights while a model is moved."
    model = make("rnn", "chunks").model
    expected = model.rnn._flat_weights
    model.rnn._flat_weights = []
    model.rnn._flat_weight_refs = []
    view = eval_view(model)
    assert all(a is b for a, b in zip(view.rnn._flat_weights, expected, strict=True))
    assert not view.rnn._weights_have_changed()


class ChangesMeanwhile(TorchFunctionMode):
    "`isfinite` of a weight gives what it gives if another thread changes the weight between its two reads."

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        is_weight = func is torch.isfinite and isinstance(args[0], torch.nn.Parameter)
        return torch.zeros_like(out) if is_weight else out


def test_weights_that_change_while_they_are_looked_at_are_not_taken_for_nan():
    learn = make("rnn", "windows")
    with ChangesMeanwhile():
        assert non_finite(learn.model) == []
        learn.model.out.bias.data[3] = float("nan")
        assert non_finite(learn.model) == ["out.bias"]
