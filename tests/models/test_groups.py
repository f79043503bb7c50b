"""Parameter groups by layer: freezing and learning-rate slices do what fastai's users expect."""

import copy
from functools import partial

import pytest
import torch
from fastai.basics import Adam, Callback, OptimWrapper, trainable_params
from model_checks import make_model
from torch import nn
from training_modes import make_dls, quiet_fit

from fastai_charrnn.all import CharModel, char_learner, human_numbers, list_archs
from fastai_charrnn.models.groups import char_splitter

TEXT = human_numbers()[:2000]


def _learn(arch="lstm", config=None, **kw):
    dls = make_dls("streams", TEXT, bs=8)
    return char_learner(dls, arch, n_hid=16, emb_sz=16, config=config, seed=0, **kw)


def _names(model):
    "The names of the parameters of each group."
    names = {p: name for name, p in model.named_parameters()}
    return [[names[p] for p in group] for group in char_splitter(model)]


@pytest.mark.parametrize("arch", list_archs())
def test_every_parameter_is_in_one_group(arch):
    kw = {} if arch == "char3" else dict(seq_len=8)
    model = make_model(arch, **kw)
    in_groups = [p for group in char_splitter(model) for p in group]
    assert len(in_groups) == len(set(in_groups))
    assert set(in_groups) == set(model.parameters())


@pytest.mark.parametrize("arch", ["loop", "concat", "rnn", "gru", "lstm", "mullstm"])
def test_groups_are_embedding_layers_and_output(arch):
    groups = _names(make_model(arch, n_layers=2))
    assert len(groups) == 4
    assert groups[0] == ["emb.weight"]
    assert groups[3] == ["out.weight", "out.bias"]
    upper = {"mullstm": ("inp.1.", "hid.1.")}.get(arch, ("upper.0.",))
    assert all(name.startswith(upper) for name in groups[2])
    assert not any(name.startswith(upper) for name in groups[1])


def test_norms_are_in_the_group_of_their_layer():
    groups = _names(make_model("gru", n_layers=2, layer_norm=True))
    assert [[name for name in group if "norms" in name] for group in groups] == [
        [],
        ["norms.0.weight", "norms.0.bias"],
        ["norms.1.weight", "norms.1.bias"],
        [],
    ]


def test_tied_weights_are_in_the_last_group():
    groups = _names(make_model("gru", tie_weights=True, emb_sz=16))
    assert len(groups) == 2
    assert groups[1] == ["emb.weight", "out.bias"]


def test_groups_of_an_ensemble_hold_the_layers_of_all_members():
    groups = _names(make_model("ensemble", arch="gru", n_models=2))
    assert groups[0] == ["members.0.emb.weight", "members.1.emb.weight"]
    assert [name.split(".")[2] for name in groups[2]] == ["out"] * 4


class LearntStart(CharModel):
    "A model of your own with a parameter outside its modules."

    def layers(self, emb_sz, n_hid):
        self.h0 = nn.Parameter(torch.zeros(n_hid))
        self.hid = nn.Linear(n_hid, n_hid)


class Own(nn.Module):
    "A module of your own."

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        self.act = nn.ReLU()
        self.top = nn.Linear(3, 4)


def test_your_own_models_have_groups():
    assert _names(LearntStart(30)) == [["h0", "emb.weight"], ["hid.weight", "hid.bias"], ["out.weight", "out.bias"]]
    assert _names(Own()) == [["body.0.weight", "body.0.bias"], ["top.weight", "top.bias"]]
    assert _names(nn.Linear(2, 3)) == [["weight", "bias"]]


def _changed(learn, before):
    "The numbers of the groups whose weights all differ from `before`."
    pairs = zip(learn.splitter(learn.model), char_splitter(before))
    return [k for k, (new, old) in enumerate(pairs) if not any(torch.equal(a, b) for a, b in zip(new, old))]


@pytest.mark.parametrize("arch", ["rnn", "concat", "gru", "lstm", "mullstm", "ensemble"])
def test_frozen_layers_do_not_change_and_others_do(arch):
    learn = _learn(arch, dict(n_layers=2))
    for n, trained in ((-1, [3]), (-2, [2, 3]), (1, [1, 2, 3]), (0, [0, 1, 2, 3])):
        learn.freeze_to(n)
        before = copy.deepcopy(learn.model)
        quiet_fit(learn)
        assert _changed(learn, before) == trained
        same = zip(learn.splitter(learn.model), char_splitter(before))
        for k, (new, old) in enumerate(same):
            assert k in trained or all(torch.equal(a, b) for a, b in zip(new, old))


def test_freeze_unfreeze_and_summary():
    learn = _learn()
    assert "frozen" not in str(learn.summary())
    learn.freeze()
    assert [p.requires_grad for p in learn.model.parameters()] == [False] * 5 + [True] * 2
    assert "Model frozen up to parameter group #2" in str(learn.summary())
    learn.unfreeze()
    assert all(p.requires_grad for p in learn.model.parameters())
    assert "Model unfrozen" in str(learn.summary())


def test_a_slice_spreads_rates_over_the_groups():
    learn = _learn()
    quiet_fit(learn, lr=slice(1e-4, 1e-2))
    assert [h["lr"] for h in learn.opt.hypers] == pytest.approx([1e-4, 1e-3, 1e-2])
    quiet_fit(learn, lr=slice(1e-2))
    assert [h["lr"] for h in learn.opt.hypers] == pytest.approx([1e-3, 1e-3, 1e-2])
    learn.set_lrs(slice(1e-5, 1e-3))
    assert [h["lr"] for h in learn.opt.hypers] == pytest.approx([1e-5, 1e-4, 1e-3])
    assert learn.training_log.rows[-1]["lr"] == pytest.approx(1e-2)


def test_fine_tune_trains_the_output_layer_first():
    learn = _learn()
    start = copy.deepcopy(learn.model)
    changed = []

    def note(self):
        changed.append(_changed(self.learn, start))

    cb = Callback(after_train=note)
    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(1, 1e-2, cbs=cb)
    assert changed == [[2], [0, 1, 2]]
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, slice(1e-4, 1e-2))
    assert len(learn.training_log.rows) == 3


@pytest.mark.parametrize("opt_func", [Adam, partial(OptimWrapper, opt=torch.optim.AdamW)], ids=["Adam", "AdamW"])
def test_training_without_freezing_is_that_of_one_group(opt_func):
    results = [quiet_fit(_learn(opt_func=opt_func, **kw)) for kw in (dict(), dict(splitter=trainable_params))]
    assert len(results[0].opt.hypers) == 3
    assert len(results[1].opt.hypers) == 1
    for p, q in zip(*[learn.model.parameters() for learn in results]):
        assert torch.equal(p, q)


def test_an_optimizer_that_was_saved_with_one_group_is_loaded(tmp_path):
    "Training continues with the numbers of one group."
    config = dict(n_layers=2, layer_norm=True)
    one = quiet_fit(_learn(config=config, splitter=trainable_params, path=tmp_path))
    one.save("one")
    groups = _learn(config=config, path=tmp_path)
    groups.load("one", with_opt=True)
    assert len(groups.opt.hypers) == 4
    for learn in (one, groups):
        learn.dls.train.seed(3)
        learn.opt.set_hypers(lr=1e-3)
        quiet_fit(learn)
    for p, q in zip(one.model.parameters(), groups.model.parameters()):
        assert torch.equal(p, q)
    groups.save("groups")
    again = _learn(config=config, path=tmp_path).load("groups", with_opt=True)
    for p, q in zip(groups.model.parameters(), again.model.parameters()):
        states = again.opt.state[q], groups.opt.state[p]
        assert torch.equal(*[state["grad_avg"] for state in states])


def test_rate_finder_and_budget_train_frozen_models():
    learn = _learn()
    learn.freeze()
    start = copy.deepcopy(learn.model)
    with learn.no_bar(), learn.no_logging():
        learn.lr_find(num_it=5, show_plot=False)
        learn.fit_minutes(0.005, 1e-2, bf16=False)
    assert _changed(learn, start) == [2]
