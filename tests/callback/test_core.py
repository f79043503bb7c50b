"""Training stops at the first loss that is not finite, and a model's state is reset between passes over the data."""

import re

import pytest
import torch
from fastai.basics import Callback

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.errors import TrainingError


def test_training_stops_at_the_first_loss_that_is_not_finite(learn):
    with learn.no_bar(), learn.no_logging(), pytest.raises(TrainingError) as e:
        learn.fit(3, 1e8)
    step = int(re.search(r"the loss is nan at step (\d+) \(epoch 0, learning rate 1e\+08\)", str(e.value))[1])
    assert step == len(learn.recorder.losses) + 1
    assert all(torch.isfinite(loss) for loss in learn.recorder.losses)
    assert learn.training_log.rows == []


def test_a_stopped_fit_leaves_the_learner_usable(learn):
    with pytest.raises(TrainingError):
        learn.fit(1, 1e8)
    assert learn.logger is print
    assert not learn.training_now
    assert not torch.is_autocast_enabled("cpu")


def test_weights_that_were_nan_before_training_are_named(learn):
    with torch.no_grad():
        next(learn.model.parameters()).fill_(float("nan"))
    with learn.no_bar(), pytest.raises(TrainingError, match="the weights were NaN or infinite before training"):
        learn.fit(1, 1e-3)


def test_fit_minutes_stops_at_a_loss_that_is_not_finite_too(learn):
    with learn.no_bar(), pytest.raises(TrainingError, match="train with a lower learning rate"):
        learn.fit_minutes(0.2, 1e8, bf16=True)
    assert not torch.is_autocast_enabled("cpu")


class WithoutReset(torch.nn.Module):
    "An architecture that is no `CharModel`."

    def __init__(self, vocab_sz, emb_sz=16, n_hid=32):
        super().__init__()
        self.emb = torch.nn.Embedding(vocab_sz, emb_sz)
        self.out = torch.nn.Linear(emb_sz, vocab_sz)

    def forward(self, x):
        return self.out(self.emb(x[:, -1])).log_softmax(-1)


def test_a_model_without_reset_trains(dls):
    learn = char_learner(dls, WithoutReset, n_hid=16, seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1)
    assert len(learn.training_log.rows) == 1


def test_a_model_inside_a_wrapper_is_reset(small):
    "`nn.DataParallel` without GPUs calls the model it wraps."
    dls = CharDataLoaders.from_text(small, seq_len=16, bs=16, target="every", stateful=True, device="cpu")
    learn = char_learner(dls, n_hid=16, seed=0)
    model = learn.model
    learn.model = torch.nn.DataParallel(model)
    has_state = []

    class Look(Callback):
        def before_batch(self):
            has_state.append((self.training, self.iter, model.state is not None))

    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=Look())
    assert {training for training, *_ in has_state} == {True, False}
    assert all(found == (i > 0) for _, i, found in has_state)
    assert model.state is None
