"""fastai's notebook 14, callback.schedule: schedules of rates and momentum, and the search for a rate."""

import math

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fastai.basics import Callback
from fastai.callback.schedule import (
    LRFinder,
    ParamScheduler,
    SchedCos,
    SchedExp,
    SchedLin,
    combined_cos,
    minimum,
    slide,
    steep,
    valley,
)
from learner_helpers import weights
from tiny import batch_loss, groups, tiny_learner

matplotlib.use("Agg")


def test_a_schedule_sets_the_rate_of_each_batch(windows):
    "14, ParamScheduler: a straight line, recorded in `recorder.hps`."
    windows.fit(1, cbs=ParamScheduler(dict(lr=SchedLin(1e-3, 1e-2))))
    n = len(windows.dls.train)
    assert windows.recorder.hps["lr"] == pytest.approx([1e-3 + (1e-2 - 1e-3) * i / n for i in range(n)])


def test_groups_have_their_own_schedules(tmp_path):
    "14, ParamScheduler: arrays give each group its rates."
    learn = tiny_learner("windows", tmp_path, splitter=groups)
    sched = combined_cos(0.5, np.array([1e-4, 1e-3, 1e-2]), np.array([1e-3, 1e-2, 1e-1]), np.array([1e-5, 1e-4, 1e-3]))
    learn.fit(1, cbs=ParamScheduler(dict(lr=sched)))
    rates = [h["lr"] for h in learn.opt.hypers]
    assert rates == pytest.approx(list(sched((len(learn.dls.train) - 1) / len(learn.dls.train))))
    assert rates[2] == pytest.approx(100 * rates[0])


def test_one_cycle_makes_the_model_better(learn):
    "14, fit_one_cycle: the loss of a batch is lower after training."
    batch = learn.dls.valid.one_batch()
    before = batch_loss(learn, batch)
    learn.fit_one_cycle(2, 1e-2)
    assert batch_loss(learn, batch) < before - 0.1


def test_one_cycle_follows_its_schedule(windows):
    "14, fit_one_cycle: rates and momentum of every batch."
    windows.fit_one_cycle(2, 1e-2)
    n = 2 * len(windows.dls.train)
    hps = windows.recorder.hps
    assert hps["lr"] == pytest.approx([combined_cos(0.25, 1e-2 / 25, 1e-2, 1e-7)(i / n) for i in range(n)])
    assert hps["mom"] == pytest.approx([combined_cos(0.25, 0.95, 0.85, 0.95)(i / n) for i in range(n)])


def test_one_cycle_takes_a_slice_of_rates(tmp_path):
    "14, fit_one_cycle: a slice spreads the rates over the groups."
    learn = tiny_learner("windows", tmp_path, splitter=groups)
    learn.fit_one_cycle(1, lr_max=slice(1e-3, 1e-1))
    rates = [h["lr"] for h in learn.opt.hypers]
    assert rates[1] / rates[0] == pytest.approx(rates[2] / rates[1]) == pytest.approx(10)


@pytest.mark.parametrize("method,n_axes", [("fit_one_cycle", 2), ("fit_flat_cos", 1)])
def test_the_schedule_is_plotted(windows, method, n_axes):
    "14, plot_sched: one panel for each scheduled number, one point for each batch."
    getattr(windows, method)(2)
    plt.close("all")
    windows.recorder.plot_sched()
    panels = plt.gcf().axes
    assert len(panels) == n_axes
    assert [len(ax.lines[0].get_ydata()) for ax in panels] == [2 * len(windows.dls.train)] * n_axes


def test_a_flat_rate_falls_at_the_end(windows):
    "14, fit_flat_cos: constant for three quarters, then a cosine."
    windows.fit_flat_cos(2, 1e-2)
    n = 2 * len(windows.dls.train)
    lrs = windows.recorder.lrs
    assert lrs[: int(0.75 * n)] == pytest.approx([1e-2] * int(0.75 * n))
    assert lrs[-1] < 2e-3


def test_warm_restarts_follow_their_schedule(windows):
    "14, fit_sgdr: three cycles of 1, 2 and 4 epochs, each a cosine to zero."
    windows.fit_sgdr(3, 1)
    assert windows.n_epoch == 7
    starts = [k * len(windows.dls.train) for k in (0, 1, 3, 7)]
    for start, stop in zip(starts, starts[1:]):
        n = stop - start
        expected = [SchedCos(windows.lr, 0)(k / n) for k in range(1, n)]
        assert windows.recorder.lrs[start + 1 : stop] == pytest.approx(expected, abs=1e-7)


def test_fine_tune_trains_the_last_group_first(learn):
    "14, fine_tune: a frozen epoch, in which the embedding does not change, then one with all groups."
    embedding = learn.model.emb.weight
    seen = []

    def remember(self):
        seen.append(embedding.detach().clone())

    before = embedding.detach().clone()
    learn.fine_tune(1, cbs=Callback(after_epoch=remember))
    frozen, trained = seen
    assert frozen.equal(before) and not trained.equal(before)


def test_the_finder_raises_the_rate_and_restores_the_weights(learn):
    "14, LRFinder: exponential rates, no validation, a stop when the loss diverges, equal weights afterwards."
    before = weights(learn)
    learn.fit(20, cbs=LRFinder(num_it=100))
    lrs, losses = learn.recorder.lrs, learn.recorder.losses
    assert len(lrs) == len(losses) <= 100
    if len(lrs) < 100:
        assert losses[-1] > 4 * min(losses)
    assert lrs == pytest.approx([SchedExp(1e-7, 10)(i / 100) for i in range(len(lrs))])
    assert all(len(row) == 1 for row in learn.recorder.values)
    assert weights(learn).equal(before)
    assert not any("grad_avg" in learn.opt.state[p] for p, *_ in learn.opt.all_params())


def test_lr_find_suggests_a_rate_and_restores_the_weights(learn):
    "14, lr_find: four rules suggest rates, a plot is drawn, and the weights are as before."
    before = weights(learn)
    plt.close("all")
    found = learn.lr_find(suggest_funcs=(minimum, steep, valley, slide), num_it=60)
    assert found._fields == ("minimum", "steep", "valley", "slide")
    assert all(1e-7 < lr < 10 and math.isfinite(lr) for lr in found)
    assert plt.gcf().axes[0].get_xscale() == "log"
    torch.testing.assert_close(weights(learn), before, rtol=0, atol=0)
