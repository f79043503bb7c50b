"""Checks of the verbs that train."""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from fastai.basics import Callback
from fastai.callback.all import EarlyStoppingCallback, SaveModelCallback
from learner_helpers import weights
from pytest import approx
from verb_list import verb

GROUP = "Train"


@verb(GROUP, "learn.fit(2)", "the losses of all batches are recorded; the validation loss falls")
def fit(case):
    before = case.learn.validate()[0]
    case.learn.fit(2, 1e-2)
    assert len(case.learn.recorder.losses) == 2 * case.n_batches
    assert case.learn.validate()[0] < before
    assert case.learn.training_log.rows[-1]["valid_loss"] == approx(case.learn.validate()[0])


@verb(GROUP, "learn.fit_one_cycle(1, 1e-2)", "the rate rises to 1e-2 and falls to nearly 0")
def fit_one_cycle(case):
    case.learn.fit_one_cycle(1, 1e-2)
    lrs = case.learn.recorder.lrs
    assert len(lrs) == case.n_batches
    assert max(lrs) == approx(1e-2, rel=0.05)
    assert lrs[0] < 1e-3
    assert lrs[-1] < 5e-4


@verb(GROUP, "learn.fit_flat_cos(2, 1e-2)", "the rate is 1e-2 for three quarters of the batches, then falls")
def fit_flat_cos(case):
    case.learn.fit_flat_cos(2, 1e-2)
    lrs = case.learn.recorder.lrs
    n_flat = sum(lr == approx(1e-2) for lr in lrs)
    assert n_flat / len(lrs) == approx(0.75, abs=0.05)
    assert lrs[-1] < 1e-3


@verb(GROUP, "learn.fit_sgdr(2, 1, 1e-2)", "three epochs; the rate starts again once")
def fit_sgdr(case):
    case.learn.fit_sgdr(2, 1, 1e-2)
    lrs = torch.tensor(case.learn.recorder.lrs)
    assert len(lrs) == 3 * case.n_batches
    assert int((lrs.diff() > 0).sum()) == 1
    assert float(lrs.max()) == approx(1e-2)


@verb(GROUP, "learn.fine_tune(1)", "only the last parameter group changes in the first epoch, then all do")
def fine_tune(case):
    before = [p.detach().clone() for p in case.learn.model.parameters()]
    changed = []

    def after_train(cb):
        changed.append([not torch.equal(p, o) for p, o in zip(cb.learn.model.parameters(), before)])

    case.learn.fine_tune(1, 1e-2, cbs=Callback(after_train=after_train))
    n_last = len(case.learn.opt.param_lists[-1])
    frozen, unfrozen = changed
    assert sum(frozen) == n_last < len(before)
    assert all(unfrozen)


@verb(GROUP, "learn.freeze(), unfreeze(), freeze_to(n)", "which parameters a step changes")
def freeze(case):
    learn = case.learn
    learn.create_opt()
    groups = learn.opt.param_lists
    assert len(groups) > 1
    for n, act in ((len(groups) - 1, learn.freeze), (1, lambda: learn.freeze_to(1)), (0, learn.unfreeze)):
        act()
        trained = [[p.requires_grad for p in group] for group in groups]
        assert not any(any(group) for group in trained[:n])
        assert all(all(group) for group in trained[n:])


@verb(GROUP, "learn.fit_minutes(.003, 1e-2)", "the weights change; the log has the time and the loss of a validation")
def fit_minutes(case):
    before = weights(case.learn)
    case.learn.fit_minutes(0.003, 1e-2)
    assert not torch.equal(weights(case.learn), before)
    row = case.learn.training_log.rows[-1]
    assert row["minutes"] == 0.003
    assert row["valid_loss"] == approx(case.learn.validate()[0], rel=1e-4)


@verb(GROUP, "learn.lr_find()", "a rate between the first and the last one; the weights do not change")
def lr_find(case):
    before = weights(case.learn)
    found = case.learn.lr_find(num_it=30, show_plot=False)
    assert 1e-5 <= found.descent <= 1
    assert torch.equal(weights(case.learn), before)


@verb(GROUP, "learn.loss_func = F.cross_entropy", "the losses of training and validation are those of our loss")
def cross_entropy(case):
    other = case.new(loss_func=F.cross_entropy)
    for learn in (case.learn, other):
        learn.fit(1, 1e-3)
    assert list(other.validate()) == approx(list(case.learn.validate()), rel=1e-3)


@verb(GROUP, 'SaveModelCallback(monitor="bits_per_char")', "the weights of the epoch with the fewest bits are loaded")
def save_model_callback(case):
    case.learn.fit(3, 0.2, cbs=SaveModelCallback(monitor="bits_per_char"))
    bits = [row["bits_per_char"] for row in case.learn.training_log.rows]
    assert case.learn.validate()[2] == approx(min(bits), rel=1e-4)


@verb(GROUP, 'EarlyStoppingCallback(monitor="valid_loss")', "training stops at the second epoch that is no better")
def early_stopping(case):
    case.learn.fit(5, 0, cbs=EarlyStoppingCallback(monitor="valid_loss", patience=1))
    assert len(case.learn.training_log.rows) == 2


@verb(GROUP, "learn.recorder.plot_loss()", "the plot has the losses of the last fit, also after a validation")
def plot_loss(case):
    case.learn.fit(2, 1e-3)
    losses = [float(loss) for loss in case.learn.recorder.losses]
    case.learn.validate()
    _, ax = plt.subplots()
    case.learn.recorder.plot_loss(skip_start=0, ax=ax)
    train, valid = ax.lines
    assert list(train.get_ydata()) == approx(losses)
    assert list(valid.get_ydata()) == approx([row["valid_loss"] for row in case.learn.training_log.rows])
    plt.close("all")


@verb(GROUP, "learn.recorder.plot_sched()", "the plots have the rates and momenta of every batch")
def plot_sched(case):
    case.learn.fit_one_cycle(1, 1e-2)
    plt.close("all")
    case.learn.recorder.plot_sched()
    lrs, _ = (ax.lines[0].get_ydata() for ax in plt.gcf().axes)
    assert list(lrs) == case.learn.recorder.lrs
    plt.close("all")
