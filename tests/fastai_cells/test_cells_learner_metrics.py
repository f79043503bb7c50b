"""fastai's notebook 13a, metrics, the recorder, saving, and the helpers of the training loop."""

import re
import time

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch
from fastai.basics import AvgMetric, Callback, Metric, ValueMetric
from fastai.learner import AvgLoss, AvgSmoothLoss, format_time
from tiny import nll, tiny_learner

from fastai_charrnn.all import CharLoss, SmoothLoss

matplotlib.use("Agg")


# saving


def test_a_saved_learner_loads_with_its_optimizer(learn, mode, tmp_path):
    "13a, save and load: a file under `models`, equal weights, equal state of the optimizer."
    learn.fit(1)
    learn.save("tmp")
    assert (tmp_path / "models/tmp.pth").exists()
    other = tiny_learner(mode, tmp_path, seed=9).load("tmp")
    torch.testing.assert_close(dict(other.model.state_dict()), dict(learn.model.state_dict()))
    assert _averages(other) and _averages(other) == _averages(learn)


def test_a_learner_loads_without_its_optimizer(learn, mode, tmp_path):
    "13a, save and load: with `with_opt=False` the weights are equal and the optimizer is new."
    learn.fit(1)
    learn.save("tmp", with_opt=False)
    other = tiny_learner(mode, tmp_path, seed=9).load("tmp", with_opt=False)
    torch.testing.assert_close(dict(other.model.state_dict()), dict(learn.model.state_dict()))
    assert _averages(other) == [] != _averages(learn)


def _averages(learn):
    "The averages of the gradients that the optimizer keeps."
    states = [learn.opt.state[p] for p, *_ in learn.opt.all_params()]
    return [state["grad_avg"].sum().item() for state in states if "grad_avg" in state]


def test_the_loader_may_shape_what_metrics_keep(windows):
    "13a, to_detach: the loader's own `to_detach` is used if a loader is active."
    values = torch.tensor([123.0])
    assert windows.to_detach(values).equal(values)
    windows.dl = windows.dls[0]
    assert windows.to_detach(values).equal(values)
    windows.dl.to_detach = lambda b, cpu, gather: b - 100
    assert windows.to_detach(values).item() == 23


# metrics


@pytest.mark.parametrize("splits", [[0, 25, 50, 75, 100], [0, 30, 50, 60, 100]], ids=["equal", "varying"])
@pytest.mark.parametrize("metric", ["AvgMetric", "AvgLoss", "CharLoss"])
def test_averages_weight_batches_by_size(windows, splits, metric):
    "13a, AvgMetric and AvgLoss: the mean over all items, for equal and for varying batch sizes. Our `CharLoss` too."
    pred = torch.randn(100, 5).log_softmax(-1)
    targ = torch.randint(0, 5, (100,))
    tested = dict(AvgMetric=AvgMetric(nll), AvgLoss=AvgLoss(), CharLoss=CharLoss())[metric]
    tested.reset()
    for start, stop in zip(splits, splits[1:]):
        windows.xb, windows.yb = (None,), (targ[start:stop],)
        windows.pred = pred[start:stop]
        windows.loss = nll(windows.pred, windows.y)
        tested.accumulate(windows)
    torch.testing.assert_close(torch.as_tensor(tested.value), nll(pred, targ))


@pytest.mark.parametrize("metric", [AvgSmoothLoss, SmoothLoss])
def test_the_smoothed_loss_is_an_exponential_average(windows, metric):
    "13a, AvgSmoothLoss: weight 0.98 for the past, without bias at the start. Our `SmoothLoss` too."
    tested = metric()
    tested.reset()
    smooth = torch.tensor(0.0)
    for i, loss in enumerate(torch.randn(4)):
        windows.loss = loss
        tested.accumulate(windows)
        smooth = smooth * 0.98 + loss * 0.02
        torch.testing.assert_close(tested.value, smooth / (1 - 0.98 ** (i + 1)))


def test_a_value_may_be_a_metric(windows):
    "13a, ValueMetric: a function of no arguments, under its own name or another, in the log of a fit."

    def five():
        return 5e-3

    assert ValueMetric(five).name == "five"
    windows.metrics = [ValueMetric(five, "custom")]
    windows.fit(1)
    assert windows.recorder.metric_names == ["epoch", "train_loss", "valid_loss", "custom", "time"]
    assert windows.recorder.values[-1][2] == 5e-3


def test_a_fit_prints_one_line_an_epoch(windows, capsys):
    "13a, Recorder: without a progress bar the numbers of an epoch are printed."
    windows.metrics = nll
    windows.logger = print
    windows.fit(1)
    pattern = r"\[0, \d+.\d+, \d+.\d+, \d+.\d+, '\d\d:\d\d'\]\n"
    assert re.fullmatch(pattern, capsys.readouterr().out)


class CheckRecorder(Callback):
    "Follows a fit and checks what the recorder has."

    order = 60

    def before_fit(self):
        assert all(isinstance(metric, Metric) for metric in self.metrics)
        assert self.recorder.smooth_loss.val == 0
        self.learn.logger = self.check_row
        self.smooth = 0.0
        self.n_steps = self.n_rows = 0

    def before_train(self):
        self.row = [self.epoch]
        self.means = []

    def after_train(self):
        self.row += [self.smooth, *self._means()] if self.recorder.train_metrics else [self.smooth]

    def before_validate(self):
        self.means = []

    def after_batch(self):
        self.means.append((self.loss.item(), self.y.numel()))
        if not self.training:
            return
        beta = self.recorder.smooth_loss.beta
        self.n_steps += 1
        old = self.smooth * (1 - beta ** (self.n_steps - 1))
        self.smooth = (old * beta + self.loss.item() * (1 - beta)) / (1 - beta**self.n_steps)
        assert len(self.recorder.losses) == len(self.recorder.lrs) == self.n_steps
        assert self.recorder.lrs[-1] == self.opt.hypers[-1]["lr"]
        assert float(self.recorder.losses[-1]) == pytest.approx(self.smooth, rel=1e-4)

    def _means(self):
        "The mean over the characters of the batches seen."
        return [sum(loss * n for loss, n in self.means) / sum(n for _, n in self.means)]

    def check_row(self, row):
        self.n_rows += 1
        expected = self.row + self._means() * 2
        if self.recorder.add_time:
            assert row[-1] == format_time(time.time() - self.recorder.start_epoch)
            row = row[:-1]
        assert list(row) == pytest.approx(expected, rel=1e-4)


class CharNll(CharLoss):
    "The loss once more, as a metric of ours."

    name = "nll"


@pytest.mark.parametrize(
    "setting,names",
    [
        ({}, ["epoch", "train_loss", "valid_loss", "nll", "time"]),
        (dict(train_metrics=True), ["epoch", "train_loss", "train_nll", "valid_loss", "valid_nll", "time"]),
        (dict(add_time=False), ["epoch", "train_loss", "valid_loss", "nll"]),
    ],
    ids=["default", "train_metrics", "no_time"],
)
def test_the_recorder_follows_a_fit(learn, setting, names):
    "13a, Recorder: names, rates, smoothed losses and the means of an epoch."
    learn.metrics = CharNll()
    learn.add_cb(CheckRecorder)
    for name, value in setting.items():
        setattr(learn.recorder, name, value)
    learn.fit(2)
    assert learn.recorder.metric_names == names
    assert learn.check_recorder.n_rows == 2


def test_a_metric_may_return_a_numpy_number(windows):
    "13a, Recorder: a metric that returns NumPy is averaged as others."

    def nll_np(pred, targ):
        return nll(pred, targ).numpy()

    windows.metrics = [nll, nll_np]
    windows.fit(1)
    as_torch, as_numpy = windows.recorder.values[-1][2:]
    assert as_numpy == pytest.approx(as_torch)


def test_the_losses_are_plotted(learn):
    "13a, plot_loss: the training losses from a step on, and the validation loss of every epoch."
    learn.fit(2)
    plt.close("all")
    learn.recorder.plot_loss(skip_start=1)
    train, valid = plt.gca().lines
    assert len(train.get_ydata()) == 2 * len(learn.dls.train) - 1
    assert list(valid.get_ydata()) == pytest.approx([row[1] for row in learn.recorder.values])


def test_logging_may_be_switched_off(windows, capsys):
    "13a, no_logging: a fit prints nothing, and the logger is restored."
    windows.logger = print
    with windows.no_logging():
        windows.fit(1)
    assert capsys.readouterr().out == ""
    assert windows.logger is print
