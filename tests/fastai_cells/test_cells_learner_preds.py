"""fastai's notebook 13a, inference and transfer learning: validate, get_preds, predict, freeze."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from fastai.basics import SGD, Callback, CrossEntropyLossFlat, TfmdDL
from tiny import groups, log_probs_of, nll, tiny_dls, tiny_learner, whole_validation
from torch.utils.data import TensorDataset


@pytest.fixture
def trained(learn):
    "A learner whose predictions are not uniform."
    learn.fit(1)
    return learn


def test_validate_returns_the_loss_of_the_whole_set(trained):
    "13a, validate: the loss and a metric that computes it equal the loss of the whole validation part."
    trained.metrics = nll
    res = trained.validate()
    _, y, pred = whole_validation(trained)
    assert res[0] == pytest.approx(nll(pred, y).item(), rel=1e-4)
    assert res[1] == pytest.approx(res[0], rel=0.02)


def test_validate_may_read_another_loader(trained):
    "13a, validate: `dl=` and `ds_idx=` name the part."
    by_dl = trained.validate(dl=trained.dls.train)
    by_number = trained.validate(ds_idx=0)
    assert by_dl[0] == pytest.approx(by_number[0], rel=1e-3)
    assert by_dl[0] != pytest.approx(trained.validate()[0], rel=1e-3)


def test_predictions_are_those_of_the_model(trained):
    "13a, get_preds: probabilities and targets of the validation part; `act` replaces the activation."
    preds, targs = trained.get_preds()
    _, y, pred = whole_validation(trained)
    assert targs.equal(y)
    torch.testing.assert_close(preds, pred.exp())
    preds, _ = trained.get_preds(act=torch.sigmoid)
    torch.testing.assert_close(preds, pred.sigmoid())


def test_predictions_of_a_part_that_fills_no_batch(mode, tmp_path):
    "13a, get_preds: the last batch may be smaller, and nothing is left out."
    learn = tiny_learner(mode, tmp_path)
    learn.dls = tiny_dls(mode, bs=30)
    n_targets = sum(y.numel() for _, y in learn.dls.train)
    for preds, targs in (learn.get_preds(ds_idx=0), learn.get_preds(dl=learn.dls.train)):
        assert len(preds) == len(targs) or preds.shape[:-1] == targs.shape
        assert targs.numel() == n_targets


def test_predictions_of_another_loader(trained):
    "13a, get_preds: `dl=` with losses and with inputs."
    dl = trained.dls.valid
    x, y, pred = whole_validation(trained)
    preds, targs, losses = trained.get_preds(dl=dl, with_loss=True)
    assert targs.equal(y)
    torch.testing.assert_close(preds, pred.exp())
    torch.testing.assert_close(losses.flatten(), F.nll_loss(pred, y, reduction="none"))
    inputs, preds, targs = trained.get_preds(dl=dl, with_input=True)
    assert inputs.equal(x) and targs.equal(y)
    torch.testing.assert_close(preds, pred.exp())


def test_predictions_without_targets(trained):
    "13a, get_preds: a loader without targets has predictions, and the targets are None."
    x = torch.randint(1, trained.dls.c, (40, 8))
    preds, targs = trained.get_preds(dl=TfmdDL(TensorDataset(x), bs=16))
    assert targs is None
    assert preds.shape[0] == len(x) and preds.shape[-1] == trained.dls.c
    first = log_probs_of(trained, x[:16]).exp()
    torch.testing.assert_close(preds[:16], first)


def test_the_activation_belongs_to_the_loss(trained):
    "13a, get_preds: cross-entropy of fastai means softmax; ours means the exponential."
    trained.loss_func = CrossEntropyLossFlat()
    preds, _ = trained.get_preds()
    _, _, pred = whole_validation(trained)
    torch.testing.assert_close(preds, pred.softmax(-1))


def test_predictions_of_a_shuffled_loader_are_in_order(windows):
    "13a, get_preds: with `shuffle=True` predictions are in the order of the text."
    dl = windows.dls.valid.new(shuffle=True)
    _, targs = windows.get_preds(dl=dl)
    assert targs.equal(whole_validation(windows)[1])


def test_decoded_predictions_are_the_likeliest(trained):
    "13a, get_preds: of the training part, with input and with decoded predictions."
    found = trained.get_preds(ds_idx=0, with_input=True, with_decoded=True)
    inputs, preds, targs = found[:3]
    decoded = found[3]
    assert decoded.equal(preds.argmax(-1))
    assert decoded.shape == targs.shape
    assert len(inputs) == len(preds)


def test_the_loss_of_every_target_is_available(trained):
    "13a, loss_not_reduced: one loss a target within the block, their mean after it."
    x, y = trained.dls.valid.one_batch()
    pred = log_probs_of(trained, x)
    with trained.loss_not_reduced():
        losses = trained.loss_func(pred, y)
    assert losses.numel() == y.numel()
    torch.testing.assert_close(losses, F.nll_loss(pred.flatten(0, -2), y.flatten(), reduction="none"))
    torch.testing.assert_close(trained.loss_func(pred, y), losses.mean())


# transfer learning


@pytest.fixture
def grouped(tmp_path):
    "A learner with three groups, plain SGD and gradients of one: a step changes a weight by the learning rate."

    def ones(self):
        for p in self.learn.model.parameters():
            if p.requires_grad:
                p.grad = torch.ones_like(p)

    cb = Callback(before_step=ones)
    return tiny_learner("windows", tmp_path, opt_func=partial(SGD, mom=0.0), splitter=groups, cbs=cb)


def _changes(learn):
    "How far an epoch moves the first weight of each group."
    first = [group[0] for group in groups(learn.model)]
    before = [p.detach().clone() for p in first]
    learn.fit(1, 1e-2, wd=0.0)
    n_steps = len(learn.dls.train)
    return [round(((old - new.detach()) / 1e-2 / n_steps).mean().item(), 4) for old, new in zip(before, first)]


def test_frozen_groups_do_not_train(grouped):
    "13a, freeze: only the last group trains."
    grouped.freeze()
    assert _changes(grouped) == [0, 0, 1]


def test_groups_are_frozen_up_to_one_and_unfrozen(grouped):
    "13a, freeze_to and unfreeze: the last two groups train, then all."
    grouped.freeze_to(-2)
    assert _changes(grouped) == [0, 1, 1]
    grouped.unfreeze()
    assert _changes(grouped) == [1, 1, 1]
