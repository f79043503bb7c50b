"""A seed fixes dropout: equal scripts give equal weights in any global random state, and leave it as it was."""

import copy

import pytest
import torch
from fastai.basics import Callback
from fastai.callback.preds import MCDropoutCallback
from learner_helpers import quiet_fit, weights
from small_models import Whole
from torch import nn

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.callback.noise import noise_seed

TEXT = "the quick brown fox jumps over the lazy dog. " * 8


class OwnModel(nn.Module):
    "An architecture with a dropout of PyTorch."

    def __init__(self, vocab_sz, emb_sz=8, n_hid=8):
        super().__init__()
        self.emb = nn.Embedding(vocab_sz, emb_sz)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(emb_sz, vocab_sz)

    def forward(self, x):
        return self.out(self.drop(self.emb(x[:, -1])))


ARCHS = [("rnn", dict(output_p=0.3)), ("gru", dict(n_layers=2, layer_p=0.3)), ("mullstm", {}), ("ensemble", {})]


def make(arch="rnn", config=None, seed=1, **kwargs):
    dls = CharDataLoaders.from_text(TEXT, seq_len=8, bs=128, valid="tail", device="cpu", **kwargs)
    return char_learner(dls, arch, n_hid=8, emb_sz=4, config=config, seed=seed)


def fit_twice(learn):
    quiet_fit(learn, 1, 1e-2)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    return weights(learn)


@pytest.mark.parametrize("arch,config", [*ARCHS, (OwnModel, None)], ids=str)
def test_a_seed_fixes_dropout_in_all_fits(arch, config):
    "Also after other draws from the global random state, between the fits too."
    first = fit_twice(make(arch, config))
    learn = make(arch, config)
    torch.rand(7)
    quiet_fit(learn, 1, 1e-2)
    torch.manual_seed(3)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    assert torch.equal(weights(learn), first)


@pytest.mark.parametrize("kwargs", [dict(target="every", stateful=True), {}], ids=["streams", "windows"])
def test_a_seed_fixes_dropout_by_the_clock_too(kwargs):
    "Of a fit by the clock only the first step is the same on a busy machine."

    class Stop(Callback):
        def after_pred(self):
            self.learn.first = self.pred.detach()
            raise KeyboardInterrupt

    def first_predictions():
        learn = make("mullstm", **kwargs)
        with learn.no_bar(), pytest.raises(KeyboardInterrupt):
            learn.fit_minutes(1, 1e-3, bf16=False, cbs=Stop())
        return learn.first

    assert torch.equal(first_predictions(), first_predictions())


def test_other_seeds_and_other_fits_draw_others():
    states = []

    class Note(Callback):
        def before_train(self):
            states.append(torch.random.get_rng_state())

    for seed in (1, 1, 2):
        learn = make(seed=seed)
        for _ in range(2):
            quiet_fit(learn, 1, cbs=Note())
    assert torch.equal(states[0], states[2])
    assert not torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[4])


def test_ranks_and_fits_have_different_seeds():
    seeds = {noise_seed(seed, number, rank) for seed in (0, 42) for number in range(5) for rank in range(8)}
    assert len(seeds) == 80
    # numbers of recipes that were measured with it
    assert noise_seed(42, 0) == 42
    assert 0 <= noise_seed(2**64 - 1, 10**6) < 2**32


def test_fits_leave_the_global_random_state():
    learn = make("mullstm")
    before = torch.random.get_rng_state()
    quiet_fit(learn, 1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_a_seed_dropout_follows_the_global_random_state():
    found = []
    for seed in (5, 5, 6):
        learn = make("rnn", dict(output_p=0.3))
        learn.seed = None
        torch.manual_seed(seed)
        quiet_fit(learn, 1)
        found.append(weights(learn))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_lr_find_does_not_change_the_dropout_of_the_next_fit():
    learn, other = (make("mullstm") for _ in range(2))
    with learn.no_bar():
        learn.lr_find(num_it=3, show_plot=False)
    for o in (learn, other):
        quiet_fit(o, 1)
    assert torch.equal(weights(learn), weights(other))


def test_copies_train_alike():
    learn = make("mullstm")
    quiet_fit(learn, 1)
    other = copy.deepcopy(learn)
    for o in (learn, other):
        quiet_fit(o, 1)
    assert torch.equal(weights(learn), weights(other))


def test_monte_carlo_dropout_draws_anew():
    "Predictions draw from the global random state: several of them differ."
    learn = make("mullstm")
    learn.model = Whole(learn.model)
    with learn.no_bar():
        first, second = (learn.get_preds(cbs=MCDropoutCallback())[0] for _ in range(2))
    assert not torch.equal(first, second)
