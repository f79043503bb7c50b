"""fastai's notebook 13a, the training loop: what fastai's own cells test of a `Learner`, on a `CharLearner`."""

from functools import partial

import pytest
import torch
from fastai.basics import SGD, Callback, DataLoaders, OptimWrapper, TrainEvalCallback, find_device, norm_bias_params
from tiny import TRAIN_EVENTS, VALID_EVENTS, Events, batch_loss, tiny_learner
from torch.utils.data import DataLoader, TensorDataset

from fastai_charrnn.errors import VocabError


def test_some_epochs_make_the_model_better(learn):
    "13a, fit: the loss of a batch is lower after training."
    batch = learn.dls.valid.one_batch()
    before = batch_loss(learn, batch)
    learn.fit(3)
    assert batch_loss(learn, batch) < before - 0.2


def test_pytorchs_own_data_loaders_train(windows):
    "13a, fit: `learn.dls` may hold PyTorch's own DataLoaders, if they have a vocabulary."
    data = TensorDataset(torch.randint(1, windows.dls.c, (320, 8)), torch.full((320,), 3))
    dls = DataLoaders(DataLoader(data, batch_size=32, shuffle=True), DataLoader(data, batch_size=32))
    with pytest.raises(VocabError, match="dls.vocab"):
        windows.dls = dls
    dls.vocab = list(windows.dls.vocab)
    windows.dls = dls
    windows.fit(3)
    assert windows.recorder.values[-1][1] < 1 < windows.recorder.values[0][0]


class CheckTraining(Callback):
    "Checks the counters and modes of a fit at each event."

    run_after = TrainEvalCallback

    def before_fit(self):
        self.n_valid = 0
        assert [self.pct_train, self.train_iter] == [0.0, 0]

    def before_batch(self):
        assert find_device(self.xb) == next(self.learn.model.parameters()).device

    def after_batch(self):
        if self.training:
            done = self.epoch * self.n_iter + self.iter + 1
            assert self.train_iter == done
            assert self.pct_train == pytest.approx(done / (self.n_iter * self.n_epoch))

    def before_train(self):
        assert self.training and self.learn.model.training
        assert self.pct_train == pytest.approx(self.epoch / self.n_epoch)

    def before_validate(self):
        self.n_valid += 1
        assert not self.training and not self.learn.model.training


def test_counters_and_modes_are_right_during_a_fit(learn):
    "13a, fit: `pct_train`, `train_iter`, the device of a batch, and training or evaluation mode."
    learn.add_cb(CheckTraining)
    learn.fit(2)
    assert learn.check_training.n_valid == 2


def test_the_list_of_callbacks_may_have_any_order(windows):
    "13a, fit: callbacks run in their `order`, whatever their place in `windows.cbs`."
    windows.add_cb(CheckTraining)
    windows.cbs.items.reverse()
    windows.fit(1)
    assert windows.check_training.n_valid == 1


def test_weight_decay_leaves_biases_alone(windows):
    "13a, fit: with `wd_bn_bias=False` weight decay does not shrink the bias of a layer."
    windows.opt_func = partial(SGD, wd=1.0, decouple_wd=True)
    windows.add_cb(Callback(before_step=lambda self: [p.grad.zero_() for p in self.learn.model.parameters()]))
    bias, weight = windows.model.out.bias, windows.model.out.weight
    old_bias, old_weight = bias.detach().clone(), weight.detach().clone()
    assert any(p is bias for p in norm_bias_params(windows.model))
    windows.fit(1, lr=1e-2)
    torch.testing.assert_close(bias.detach(), old_bias)
    torch.testing.assert_close(weight.detach(), old_weight * 0.99 ** len(windows.dls.train))


def test_one_batch_sets_input_target_prediction_and_loss(learn):
    "13a, one_batch: `x`, `y`, `pred` and `loss` are those of the batch."
    learn.fit(1)
    batch = learn.dls.valid.one_batch()
    learn.one_batch(0, batch)
    assert learn.x.equal(batch[0]) and learn.y.equal(batch[1])
    learn.model.reset()
    pred = learn.model(learn.x)
    torch.testing.assert_close(learn.pred, pred)
    torch.testing.assert_close(learn.loss, learn.loss_func(pred, learn.y))


class CheckStep(Callback):
    "Checks weights and gradients around the optimizer's step, which is plain SGD."

    order = 100

    def before_batch(self):
        self.old = self._weights()

    def after_loss(self):
        torch.testing.assert_close(self.loss, self.loss_func(self.pred, self.y))
        assert all(p.grad is None or not p.grad.any() for p in self._parameters())

    def before_step(self):
        self.grads = [p.grad.clone() for p in self._parameters()]
        torch.testing.assert_close(self._weights(), self.old)

    def after_step(self):
        expected = [w - self.opt.hypers[0]["lr"] * g for w, g in zip(self.old, self.grads)]
        torch.testing.assert_close(self._weights(), expected)

    def after_batch(self):
        assert all(p.grad is None or not p.grad.any() for p in self._parameters())

    def _parameters(self):
        return list(self.learn.model.parameters())

    def _weights(self):
        return [p.detach().clone() for p in self._parameters()]


def test_a_batch_has_its_events_in_order_and_one_step(learn):
    "13a, one_batch: the events of a training batch, gradients before the step, weights after it, twice."
    learn.remove_cb(TrainEvalCallback)
    learn.opt_func = partial(SGD, mom=0.0, wd=0.0)
    learn.add_cbs([Events, CheckStep])
    learn.loss, learn.training, learn.dl = torch.tensor(0.0), True, learn.dls.train
    learn.create_opt()
    learn.recorder.before_fit()
    learn.train_iter = learn.epoch = learn.pct_train = 0
    batch = learn.dls.train.one_batch()
    for _ in range(2):
        learn.events.taken()
        learn.one_batch(42, batch)
        assert learn.events.taken() == TRAIN_EVENTS
        assert learn.iter == 42


def test_all_batches_has_the_events_of_every_batch(learn):
    "13a, all_batches: training counts iterations, validation does not and has no step."
    learn.add_cb(Events)
    learn.create_opt()
    n_train, n_valid = len(learn.dls.train), len(learn.dls.valid)
    learn.n_epoch = 1
    learn(["before_fit", "before_epoch"])
    learn.epoch, learn.dl = 0, learn.dls.train
    learn("before_train")
    learn.events.taken()
    learn.all_batches()
    assert learn.events.taken() == TRAIN_EVENTS * n_train
    assert learn.train_iter == n_train
    learn.dl = learn.dls.valid
    learn("before_validate")
    learn.events.taken()
    with torch.no_grad():
        learn.all_batches()
    assert learn.events.taken() == VALID_EVENTS * n_valid
    assert learn.train_iter == n_train


def test_the_events_before_an_epoch(windows):
    "13a, fit: `windows(['before_fit', 'before_epoch'])` sends both, and no loss was recorded yet."
    windows.add_cb(Events)
    windows.events.taken()
    windows(["before_fit", "before_epoch"])
    assert windows.events.taken() == ["before_fit", "before_epoch"]
    assert windows.recorder.losses == []


def test_an_epoch_of_training_and_one_of_validation_have_their_events(learn):
    "13a, fit: `before_train` … `after_train`, then `before_validate` … `after_validate`."
    learn.add_cb(Events)
    learn.create_opt()
    learn.n_epoch = 1
    learn(["before_fit", "before_epoch"])
    learn.epoch = 0
    learn.events.taken()
    learn._do_epoch_train()
    assert learn.events.taken() == ["before_train", *TRAIN_EVENTS * len(learn.dls.train), "after_train"]
    learn._do_epoch_validate()
    assert learn.events.taken() == ["before_validate", *VALID_EVENTS * len(learn.dls.valid), "after_validate"]


def test_create_opt_makes_the_optimizer_with_the_learners_rate(windows):
    "13a, create_opt: there is no optimizer before, and its rate is `learn.lr`."
    assert windows.opt is None
    windows.create_opt()
    assert windows.opt.hypers[0]["lr"] == windows.lr == 1e-2


@pytest.mark.parametrize("own_lr", [None, 0.5])
def test_a_pytorch_optimizer_may_be_wrapped(tmp_path, own_lr):
    "13a, create_opt: `OptimWrapper` with the learner's rate, or with its own, which wins."
    arguments = {} if own_lr is None else dict(lr=own_lr)
    opt_func = partial(OptimWrapper, opt=torch.optim.Adam, **arguments)
    learn = tiny_learner("windows", tmp_path, opt_func=opt_func)
    assert learn.opt is None
    learn.create_opt()
    assert learn.opt.hypers[0]["lr"] == (own_lr or 1e-2)
