"""fastai's notebooks 18a, 18b and 14a: short epochs, accumulated and clipped gradients, dropout in predictions."""

from functools import partial

import pytest
import torch
from fastai.basics import SGD, Callback
from fastai.callback.data import CollectDataCallback
from fastai.callback.preds import MCDropoutCallback
from fastai.callback.training import GradientAccumulation, GradientClip, ShortEpochCallback
from learner_helpers import weights
from tiny import tiny_dls, tiny_learner


def test_a_short_epoch_trains_and_validates_little(learn):
    "18a, ShortEpochCallback: one batch of each part, and no losses for the epoch."
    learn.fit(1, cbs=ShortEpochCallback())
    assert learn.train_iter <= 2
    assert learn.recorder.values[-1] == []


def test_a_short_epoch_may_validate_in_full(learn):
    "18a, ShortEpochCallback: with `short_valid=False` the validation loss is that of all batches."
    learn.fit(1, cbs=ShortEpochCallback(short_valid=False))
    assert learn.train_iter <= 2
    loss = learn.recorder.values[-1][0]
    assert loss == pytest.approx(learn.validate()[0], rel=1e-4)


class Gradients(Callback):
    "Keeps the gradients of the last step."

    run_valid = False
    order = GradientAccumulation.order + 1

    def before_step(self):
        self.grads = torch.cat([p.grad.flatten() for p in self.learn.model.parameters()]).clone()


def _one_step(bs, n_batches, cbs=()):
    "Train on 64 windows in the order of the text. Returns the gradients of the last step and the validation loss."
    learn = tiny_learner("windows", cbs=[Gradients, *cbs])
    learn.dls = tiny_dls("windows", bs=bs)
    first = learn.dls.train.new(shuffle=False, bs=64).one_batch()
    x, y = (part.split(64 // n_batches) for part in first)
    learn.dls.loaders[0].create_batches = lambda samples: zip(x, y)
    learn.fit(1, lr=0.01)
    return learn.gradients.grads, learn.validate()[0]


def test_accumulated_gradients_equal_those_of_a_large_batch():
    "18a, GradientAccumulation: 8 batches of 8 make the step of one batch of 64."
    large, loss_large = _one_step(64, 1)
    small, loss_small = _one_step(8, 8, [GradientAccumulation(n_acc=64)])
    torch.testing.assert_close(small, large, rtol=1e-3, atol=1e-6)
    assert loss_small == pytest.approx(loss_large, rel=1e-4)


def test_accumulation_over_more_than_an_epoch_trains_nothing(windows):
    "18a, GradientAccumulation: no step, so equal weights."
    before = weights(windows)
    windows.fit(1, lr=0.01, cbs=GradientAccumulation(n_acc=100_000))
    assert weights(windows).equal(before)


def test_clipped_gradients_keep_training_stable(windows):
    "18a, GradientClip: at a rate that is too high the loss is lower with clipped gradients."

    def loss_with(cbs):
        windows.model.load_state_dict(start)
        windows.fit(2, lr=2.0, cbs=cbs, reset_opt=True)
        return windows.recorder.values[-1][1]

    windows.opt_func = partial(SGD, mom=0.9)
    start = {name: w.clone() for name, w in windows.model.state_dict().items()}
    assert loss_with(GradientClip(0.05)) < loss_with([])


def test_predictions_may_keep_dropout(learn):
    "18b, MCDropoutCallback: ten predictions of the same text differ, and dropout is off again afterwards."
    learn = tiny_learner(learn.dls.mode.replace("chunks", "every"), arch="mullstm", config=dict(output_p=0.5))
    draws = torch.stack([learn.get_preds(cbs=MCDropoutCallback())[0] for _ in range(10)])
    assert draws.shape[0] == 10 and draws.shape[-1] == learn.dls.c
    assert draws.std(0).max() > 1e-3
    first, second = (learn.get_preds()[0] for _ in range(2))
    assert first.equal(second)


def test_the_data_of_every_batch_are_collected(learn):
    "14a, CollectDataCallback: inputs, targets, predictions and losses of all batches of a fit."
    learn.fit(1, cbs=(collect := CollectDataCallback()))
    assert len(collect.data) == len(learn.dls.train) + len(learn.dls.valid)
    xb, yb, *outputs = collect.data[-1]
    assert [output.shape for output in outputs] == [(*yb[0].shape, learn.dls.c), ()]
    assert len(xb[0]) == len(yb[0])
