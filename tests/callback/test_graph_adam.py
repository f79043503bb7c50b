"""`AdamStep`: a step of Adam from numbers in a tensor equals the steps of fastai's and PyTorch's optimizers."""

import copy
from functools import partial

import pytest
import torch
from fastai.optimizer import Adam, OptimWrapper
from torch import nn

from fastai_charrnn.all import FusedAdam
from fastai_charrnn.callback.adam_state import adam_of
from fastai_charrnn.callback.graph_adam import AdamStep

WRAPPED = {
    "AdamW": dict(opt=torch.optim.AdamW, weight_decay=0.1),
    "Adam": dict(opt=torch.optim.Adam, weight_decay=0.1),
    "fused AdamW": dict(opt=torch.optim.AdamW, weight_decay=0.1, fused=True),
    "no decay": dict(opt=torch.optim.Adam),
}
OPTIMIZERS = {
    "fastai": partial(Adam, wd=0.1),
    "fastai, L2": partial(Adam, wd=0.1, decouple_wd=False),
    "FusedAdam": partial(FusedAdam, wd=0.1, sqr_mom=0.999),
    "FusedAdam, L2": partial(FusedAdam, wd=0.1, decouple_wd=False),
    **{name: partial(OptimWrapper, **kwargs) for name, kwargs in WRAPPED.items()},
}


def groups():
    "Two groups of weights. The last one does not decay in fastai's optimizers."
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(*shape, dtype=torch.double)) for shape in ((3, 4), (4,), (2, 2), (5,))]
    return [weights[:2], weights[2:]]


def step(opt, i, but=()):
    "A step with a schedule of learning rate and momentum, and gradients of its own."
    opt.set_hypers(lr=[1e-2 / (i + 1), 1e-3 * (i + 1)], mom=0.8 + 0.01 * i)
    generator = torch.Generator().manual_seed(i)
    weights = [p for params in opt.param_lists for p in params]
    for k, p in enumerate(weights):
        grad = torch.randn(p.shape, dtype=p.dtype, generator=generator)
        p.grad = None if k in but else grad
    return [p for p in weights if p.grad is not None]


def graphed(opt, weights):
    adam = adam_of(opt)
    adam_step = AdamStep(adam, weights)
    assert adam_step.load()
    adam_step.run([p.grad for p in weights])
    adam.advance(weights)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_equal_those_of_the_optimizer(name):
    plain = OPTIMIZERS[name](groups(), lr=1e-2)
    other = OPTIMIZERS[name](groups(), lr=1e-2)
    for opt in (plain, other):
        if not isinstance(opt, OptimWrapper):
            opt.state[opt.param_lists[-1][-1]]["do_wd"] = False
    for i in range(8):
        # the second weight makes its first steps later
        but = (1,) if i < 3 else ()
        step(plain, i, but=but)
        plain.step()
        weights = step(other, i, but=but)
        if i in (0, 3, 6):
            other.step()
        else:
            graphed(other, weights)
    for (p, *_), (q, *_) in zip(plain.all_params(), other.all_params()):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)
        state, other_state = (adam_of(opt).opt.state[w] for opt, w in ((plain, p), (other, q)))
        torch.testing.assert_close(
            {k: torch.as_tensor(v, dtype=torch.double) for k, v in state.items()},
            {k: torch.as_tensor(v, dtype=torch.double) for k, v in other_state.items()},
            rtol=1e-12,
            atol=1e-14,
        )


def test_the_state_dict_has_the_step_that_a_graph_counted():
    opt = FusedAdam(groups(), lr=1e-2)
    step(opt, 0)
    opt.step()
    graphed(opt, step(opt, 1))
    saved = copy.deepcopy(opt.state_dict())
    assert [state["step"] for state in saved["state"]] == [2, 2, 2, 2]


@pytest.mark.parametrize("hyper,value", [("eps", 1e-3), ("sqr_mom", 0.9), ("wd", 0.0)])
def test_numbers_that_are_constants_of_a_graph_are_noticed(hyper, value):
    opt = Adam(groups(), lr=1e-2, wd=0.1)
    step(opt, 0)
    opt.step()
    adam_step = AdamStep(adam_of(opt), step(opt, 1))
    assert adam_step.load()
    opt.set_hyper("lr", 1.0)
    assert adam_step.load()
    opt.set_hyper(hyper, value)
    assert not adam_step.load()


@pytest.mark.parametrize("kwargs", [dict(amsgrad=True), dict(maximize=True)])
def test_variants_of_adam_are_refused(kwargs):
    assert adam_of(OptimWrapper(groups(), torch.optim.AdamW, **kwargs)) is None


def test_an_adam_with_another_step_is_refused():
    opt = Adam(groups(), lr=1e-2)
    assert adam_of(opt) is not None
    opt.cbs.append(lambda p, **_: None)
    assert adam_of(opt) is None

    class Own(FusedAdam):
        def step(self, closure=None):
            pass

    assert adam_of(Own(groups(), lr=1e-2)) is None
