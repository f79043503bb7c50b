"""Fits with and without a graph, compared bit by bit."""

from contextlib import contextmanager

import pytest
import torch
from graph_fits import GraphOnCpu, learner
from resume_cases import differences

from fastai_charrnn.all import CharRnnWarning


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
