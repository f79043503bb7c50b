"""Steps that `CudaGraph` does not capture run as without it, and a warning says why."""

import warnings

import pytest
import torch
from equal_fits import assert_equal_fits, no_effect, one_cycle, results
from fastai.basics import Callback
from fastai.callback.fp16 import AMPMode
from fastai.callback.rnn import rnn_cbs
from fastai.callback.training import GradientAccumulation
from fastai.optimizer import SGD, OptimWrapper, RAdam
from graph_fits import GraphOnCpu, Repeated, learner
from resume_cases import differences

from fastai_charrnn.all import CudaGraph
from fastai_charrnn.callback.fp16 import DeviceMixedPrecision
from fastai_charrnn.callback.graph_rules import why_eager


class Sees(Callback):
    "Acts within each step."

    def after_pred(self):
        self.learn.pred = self.learn.pred * 1.5


EAGER = {
    "Sees handles after_pred": dict(cbs=Sees),
    "GradientAccumulation handles after_loss": dict(cbs=lambda: GradientAccumulation(64)),
    "RNNCallback handles after_pred": dict(cbs=lambda: rnn_cbs()),
    "the optimizer RAdam is not Adam": dict(opt_func=RAdam),
    "the optimizer SGD is not Adam": dict(opt_func=lambda params, lr: OptimWrapper(params, torch.optim.SGD, lr=lr)),
    "the loss .* may compute with Python": dict(loss_func=lambda pred, y: -pred.gather(-1, y[..., None]).mean()),
}


@pytest.mark.parametrize("reason", EAGER)
def test_what_a_graph_cannot_hold_runs_as_without_it(reason):
    kwargs = EAGER[reason]
    if "cbs" in kwargs:
        kwargs = dict(cbs=kwargs["cbs"]())
    if "RAdam" in reason:
        reason = "the optimizer Optimizer is not Adam"
    with no_effect(reason):
        assert_equal_fits(one_cycle, n_graphs=0, **kwargs)


def test_a_model_with_a_forward_of_its_own_runs_without_a_graph():
    class Own(torch.nn.Module):
        def __init__(self, vocab_sz, emb_sz, n_hid):
            super().__init__()
            self.emb = torch.nn.Embedding(vocab_sz, vocab_sz)

        def forward(self, x):
            return self.emb(x[:, -1])

    with no_effect("Own may compute with Python"):
        assert_equal_fits(one_cycle, Own, n_graphs=0, opt_func=SGD)


def test_fp16_runs_without_a_graph():
    learn = learner()
    learn.create_opt()
    assert why_eager(learn) is None
    learn.add_cb(DeviceMixedPrecision(AMPMode.FP16))
    assert "fp16 decides at every step" in why_eager(learn)


def test_a_step_that_cannot_be_captured_runs_without_a_graph():
    class Fails(Repeated):
        def capture(self, step):
            step()
            raise RuntimeError("operation not permitted when stream is capturing")

    def train(learn):
        # as on a GPU, where a step that is captured computes nothing
        learn.fit(1, 1e-2)

    class GraphFails(GraphOnCpu):
        name = "cuda_graph"
        graph_class = Fails

    learn = learner("mullstm", "streams", cbs=GraphFails())
    with no_effect("could not be captured .RuntimeError: operation not permitted"):
        train(learn.to_bf16())
    assert learn.cuda_graph.n_captured == 0
    assert learn.cuda_graph.is_blocked
    assert all(p.grad is None or not p.grad.any() for p in learn.model.parameters())


def test_on_a_cpu_it_does_nothing_and_says_so_once():
    plain = learner()
    one_cycle(plain)
    learn = learner()
    with no_effect("the model is on 'cpu'"):
        learn.fit_one_cycle(1, 1e-2, cbs=(graph := CudaGraph()))
    assert differences(results(plain), results(learn)) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn.fit(1, cbs=graph)
    assert graph.n_replayed == 0
