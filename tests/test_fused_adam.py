"""`FusedAdam` makes the steps of fastai's `Adam`."""

from functools import partial

import pytest
import torch
from fastai.basics import Adam
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_helpers import quiet_fit, weights

from fastai_charrnn import optimizer
from fastai_charrnn.all import CharDataLoaders, FusedAdam, char_learner

SHAPES = ((7, 5), (33,), (3, 4, 2), (1,))


def _groups(dtype=torch.float32):
    "Two groups of parameters. One parameter of each does not decay."
    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in SHAPES]
    return [params[:2], params[2:]]


def _optimizers(dtype=torch.float32, **kwargs):
    opts = []
    for opt_func in (Adam, FusedAdam):
        groups = _groups(dtype)
        opt = opt_func(groups, lr=1e-2, **kwargs)
        for params in groups:
            opt.state[params[1]]["do_wd"] = False
        opts.append(opt)
    return opts


def _give_gradients(opts, seed, skip=()):
    "The same gradients for all optimizers. Parameters with a number in `skip` get none."
    for opt in opts:
        torch.manual_seed(seed)
        for i, (p, *_) in enumerate(opt.all_params()):
            grad = torch.randn_like(p)
            p.grad = None if i in skip else grad


def _assert_same(theirs, ours, tolerance):
    for (p, _, p_state, _), (q, _, q_state, _) in zip(theirs.all_params(), ours.all_params()):
        torch.testing.assert_close(q, p, **tolerance)
        assert p_state.keys() == q_state.keys()
        for name in p_state:
            torch.testing.assert_close(q_state[name], p_state[name], **tolerance)


@settings(max_examples=15, deadline=None)
@given(
    wd=st.sampled_from([0.0, 0.1]),
    decouple_wd=st.booleans(),
    mom=st.sampled_from([0.0, 0.9]),
    skip=st.sets(st.integers(0, 3)),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_steps_are_those_of_fastais_adam(wd, decouple_wd, mom, skip, dtype):
    "With weight decay of both kinds, parameters without gradients, and hyper-parameters that change by group."
    opts = _optimizers(dtype, wd=wd, decouple_wd=decouple_wd, mom=mom)
    for step in range(6):
        _give_gradients(opts, step, skip if step in (1, 4) else ())
        for opt in opts:
            opt.set_hypers(lr=slice(1e-3, 1e-2 * (1 + step)), mom=mom * (1 - step / 20))
            opt.step()
    tolerance = dict(atol=1e-12, rtol=1e-11) if dtype == torch.float64 else dict(atol=2e-6, rtol=2e-5)
    _assert_same(*opts, tolerance)


def test_gradients_in_another_layout_make_the_same_step():
    opts = _optimizers()
    _give_gradients(opts, 0)
    for opt in opts:
        first = opt.param_lists[0][0]
        first.grad = first.grad.t().contiguous().t()
        opt.step()
    _assert_same(*opts, dict(atol=1e-6, rtol=1e-5))


@pytest.mark.parametrize("change", ["no kernel", "other steps", "16 bits"])
def test_fastais_steps_are_taken_where_the_kernel_cannot_be_used(change, monkeypatch):
    if change == "no kernel":
        monkeypatch.setattr(optimizer, "_fused_adamw", None)
    opts = _optimizers(torch.bfloat16 if change == "16 bits" else torch.float32)
    if change == "other steps":

        def shrink(p, lr, **kwargs):
            p.data.mul_(1 - lr)

        for opt in opts:
            opt.cbs.append(shrink)
    for step in range(2):
        _give_gradients(opts, step)
        for opt in opts:
            opt.step()
    _assert_same(*opts, dict(atol=0, rtol=0))


def test_each_loads_the_state_of_the_other():
    theirs, ours = _optimizers()
    _give_gradients([theirs, ours], 0)
    theirs.step()
    ours.step()
    for opt_func, before in ((FusedAdam, theirs), (Adam, ours)):
        again = opt_func([list(params) for params in before.param_lists], lr=1)
        again.load_state_dict(before.state_dict())
        assert again.hypers[0]["lr"] == 1e-2
        assert again.state[again.param_lists[0][0]]["step"] == 1
        _give_gradients([again], 1)
        again.step()
        assert again.state[again.param_lists[0][0]]["step"] == 2


def test_a_step_with_a_closure_is_refused_as_fastai_does():
    with pytest.raises(NotImplementedError, match="closure"):
        FusedAdam(_groups(), lr=1).step(lambda: None)


def test_a_frozen_parameter_does_not_move_after_training():
    opt = _optimizers(wd=0.1)[1]
    _give_gradients([opt], 0)
    opt.step()
    opt.zero_grad()
    opt.freeze()
    frozen = opt.param_lists[0][0].detach().clone()
    opt.param_lists[1][0].grad = torch.ones_like(opt.param_lists[1][0])
    opt.step()
    assert torch.equal(opt.param_lists[0][0], frozen)


def test_a_learner_trains_as_with_fastais_adam(tmp_path):
    "Frozen groups, one cycle, and a file of the optimizer of the other."
    dls = CharDataLoaders.from_text("some words to learn, " * 60, seq_len=8, bs=32, valid="tail", device="cpu")
    learners = {}
    for opt_func in (Adam, FusedAdam):
        learn = char_learner(dls, n_hid=16, opt_func=partial(opt_func, eps=1e-6), seed=0, path=tmp_path)
        learn.freeze()
        quiet_fit(learn, 1, 1e-2)
        learn.unfreeze()
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, 1e-2, wd=0.1)
        learners[opt_func] = learn
    torch.testing.assert_close(weights(learners[FusedAdam]), weights(learners[Adam]), atol=1e-5, rtol=1e-4)
    learners[Adam].save("adam")
    learners[FusedAdam].load("adam", with_opt=True)
    for learn in learners.values():
        learn.dls.train.seed(1)
        quiet_fit(learn, 1, 1e-2)
    torch.testing.assert_close(weights(learners[FusedAdam]), weights(learners[Adam]), atol=1e-5, rtol=1e-4)


@pytest.mark.gpu
def test_steps_on_a_gpu_are_those_of_fastais_adam():
    opts = []
    for opt_func in (Adam, FusedAdam):
        params = [[torch.nn.Parameter(p.detach().cuda()) for p in group] for group in _groups()]
        opts.append(opt_func(params, lr=1e-2, wd=0.1))
    for step in range(3):
        _give_gradients(opts, step)
        for opt in opts:
            opt.set_hypers(lr=slice(1e-3, 1e-2))
            opt.step()
    for (p, *_), (q, *_) in zip(*(opt.all_params() for opt in opts)):
        torch.testing.assert_close(q, p, atol=2e-6, rtol=2e-5)
