"""Fits with and without a graph, compared bit by bit on a CPU, and to rounding on a GPU; callbacks of such fits."""

from contextlib import contextmanager

import pytest
import torch
from fastai.basics import Callback
from graph_fits import GraphOnCpu, learner
from resume_cases import differences

from fastai_charrnn.all import CharRnnWarning, CudaGraph


def results(learn):
    "What must be equal: losses, rates, weights, the state of the optimizer, the rows of the log, the random numbers."
    recorder = learn.recorder
    states = [learn.opt.state[p] for p in learn.model.parameters()]
    return {
        "losses": torch.stack(recorder.losses),
        "rates": torch.tensor(recorder.lrs),
        "weights": [p.detach().clone() for p in learn.model.parameters()],
        "gradients": [p.grad for p in learn.model.parameters()],
        "moments": [state.get("sqr_avg", state.get("exp_avg_sq")) for state in states],
        "steps": [int(state.get("step", 0)) for state in states],
        "rows": learn.training_log.rows,
        "random": torch.get_rng_state(),
        "progress": (learn.train_iter, learn.pct_train),
    }


def assert_equal_fits(train, *args, n_graphs=1, **kwargs):
    "Train two equal learners, one with a graph. Returns that one."
    plain = learner(*args, **kwargs)
    train(plain)
    graphed = learner(*args, **kwargs)
    graph = GraphOnCpu()
    graphed.add_cb(graph)
    train(graphed)
    assert differences(results(plain), results(graphed)) == []
    assert graph.n_captured == n_graphs
    assert bool(graph.n_replayed) == bool(n_graphs)
    return graphed


@contextmanager
def no_effect(reason):
    with pytest.warns(CharRnnWarning, match=f"CudaGraph has no effect on this fit: .*{reason}"):
        yield


def one_cycle(learn, n_epoch=1):
    learn.fit_one_cycle(n_epoch, 1e-2)


def drop_more(learn):
    "Change a dropout rate."
    learn.model.output_p = 0.8


def freeze(learn):
    "Freeze the first group."
    learn.opt.freeze_to(1)


class ValidatesOften(Callback):
    "Validates within an epoch."

    def after_batch(self):
        if self.training and self.train_iter % 4 == 0:
            self.learn.validate()


class Changes(Callback):
    "Calls a function of the learner after some batches."

    def __init__(self, change, at=10):
        self.change = change
        self.at = at

    def after_batch(self):
        if self.training and self.train_iter == self.at:
            self.change(self.learn)


class StepLosses(Callback):
    "Keeps the loss of every training step, and the learning rates, on the GPU."

    def __init__(self):
        self.kept = []

    def after_batch(self):
        if self.training:
            self.kept.append(self.loss.detach().float().clone())


def compare(train, *args, n_graphs=1, tolerance=1e-4, **kwargs):
    "Train two equal learners on a GPU, one with a graph, and compare every step. Returns the one with a graph."
    learners = []
    for cbs in ([], [CudaGraph()]):
        learn = learner(*args, device="cuda", **kwargs)
        learn.add_cbs([StepLosses(), *cbs])
        train(learn)
        learners.append(learn)
    plain, graphed = learners
    got, expected = (torch.stack(learn.step_losses.kept) for learn in (graphed, plain))
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)
    for row, plain_row in zip(graphed.training_log.rows, plain.training_log.rows):
        assert row == pytest.approx(plain_row, rel=10 * tolerance, abs=10 * tolerance)
    assert graphed.recorder.lrs == plain.recorder.lrs
    steps = [[int(learn.opt.state[p].get("step", 0)) for p in learn.model.parameters()] for learn in learners]
    assert steps[0] == steps[1]
    assert graphed.cuda_graph.n_captured == n_graphs
    assert bool(graphed.cuda_graph.n_replayed) == bool(n_graphs)
    return graphed
