"""The methods that train do their job on a `CharLearner`: what they change, not that they return."""

import os

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch
from fastai.basics import set_seed
from fastai.callback.all import minimum, slide, steep, valley
from learner_helpers import quiet_fit, weights

from fastai_charrnn.all import CharDataLoaders, char_learner, to_bits
from fastai_charrnn.errors import ArchError, UnknownCharError
from fastai_charrnn.recipes.lesson6 import pytorch_adam

matplotlib.use("Agg")


def _moments(learn):
    "The averages of the gradients that the optimizer keeps."
    return [learn.opt.state[p]["grad_avg"].clone() for p, *_ in learn.opt.all_params()]


# fitting


def test_training_lowers_the_loss_far_below_chance(learn):
    first, *_, last = quiet_fit(learn, 3, 5e-3)
    chance = torch.tensor(float(learn.dls.c)).log()
    assert last["valid_loss"] < first["valid_loss"] < chance
    assert last["accuracy"] > 0.3
    assert last["bits_per_char"] == pytest.approx(to_bits(last["valid_loss"]), rel=1e-4)


def test_fit_one_cycle_warms_up_and_anneals(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    lrs = learn.recorder.lrs
    assert max(lrs) == pytest.approx(1e-2, rel=0.01)
    assert lrs[0] < 1e-3
    assert lrs[-1] < 1e-5


def test_the_losses_are_plotted(learn):
    quiet_fit(learn, 1)
    _, ax = plt.subplots()
    learn.recorder.plot_loss(skip_start=5, ax=ax)
    assert [len(line.get_ydata()) for line in ax.lines] == [len(learn.dls.train) - 5, 1]


def test_lesson_6s_adam_is_pytorchs(dls):
    ours = char_learner(dls, n_hid=16, seed=0, opt_func=pytorch_adam)
    theirs = char_learner(dls, n_hid=16, seed=0)
    dls.train.seed(0)
    quiet_fit(ours, 1, 1e-2)
    dls.train.seed(0)
    opt = torch.optim.Adam(theirs.model.parameters(), lr=1e-2)
    for x, y in dls.train:
        theirs.loss_func(theirs.model(x), y).backward()
        opt.step()
        opt.zero_grad()
    torch.testing.assert_close(weights(ours), weights(theirs), atol=2e-3, rtol=0)


# learning rates


def test_lr_find_suggests_and_restores_the_model(learn):
    before = weights(learn)
    with learn.no_bar():
        found = learn.lr_find(suggest_funcs=(valley, slide, minimum, steep))
    assert all(1e-6 < lr < 10 for lr in found)
    assert found._fields == ("valley", "slide", "minimum", "steep")
    assert torch.equal(before, weights(learn))
    assert learn.training_log.rows == []


def test_lr_find_can_be_plotted_again(learn):
    with learn.no_bar():
        learn.lr_find(show_plot=False)
    plt.close("all")
    learn.recorder.plot_lr_find()
    assert plt.gca().get_xscale() == "log"
    assert len(plt.gca().lines[0].get_xdata()) > 50


def test_set_lrs_changes_the_rate_of_the_next_fit_and_keeps_the_moments(learn):
    quiet_fit(learn, 1, 1e-2)
    before = _moments(learn)
    assert learn.set_lrs(1e-4) is learn
    assert all(m.abs().sum() > 0 for m in before)
    assert all(torch.equal(a, b) for a, b in zip(before, _moments(learn)))
    quiet_fit(learn, 1)
    assert set(learn.recorder.lrs) == {1e-4}
    assert learn.training_log.rows[-1]["lr"] == 1e-4


def test_set_lrs_takes_a_slice_and_works_before_the_first_fit(learn):
    learn.set_lrs(slice(1e-4, 1e-3))
    quiet_fit(learn, 1)
    assert learn.recorder.lrs[-1] == pytest.approx(1e-3)


# random numbers


def test_a_seed_fixes_weights_order_and_text(small):
    def train(global_seed):
        torch.manual_seed(global_seed)
        dls = CharDataLoaders.from_text(small, bs=512, valid="tail", device="cpu")
        learn = char_learner(dls, n_hid=32, seed=5)
        return quiet_fit(learn, 1)[0]["train_loss"], weights(learn), learn.predict_next("the", n=20)

    loss_a, weights_a, text_a = train(1)
    loss_b, weights_b, text_b = train(2)
    assert loss_a == loss_b
    assert torch.equal(weights_a, weights_b)
    assert text_a == text_b


def test_fastais_set_seed_fixes_everything_too(small):
    def train():
        set_seed(9, reproducible=True)
        learn = char_learner(CharDataLoaders.from_text(small, bs=512, valid="tail", device="cpu"), n_hid=32)
        quiet_fit(learn, 1)
        return weights(learn)

    assert torch.equal(train(), train())


def test_making_a_learner_with_a_seed_does_not_change_the_global_random_state(dls):
    state = torch.random.get_rng_state()
    char_learner(dls, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())


# files


def test_save_and_load_restore_weights_and_optimizer(learn):
    quiet_fit(learn, 1)
    saved = weights(learn)
    learn.save("one")
    quiet_fit(learn, 1)
    assert not torch.equal(saved, weights(learn))
    learn.load("one")
    assert torch.equal(saved, weights(learn))
    assert _moments(learn)[0].abs().sum() > 0


def test_nothing_is_written_outside_the_learners_path(learn, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with learn.no_bar():
        learn.lr_find(show_plot=False)
    assert os.listdir(elsewhere) == []


# arguments of char_learner


@pytest.mark.parametrize(
    "kwargs,error,message",
    [
        (dict(arch="transformer"), ArchError, "no architecture is called 'transformer'; known: char3"),
        (dict(arch="char3"), ArchError, "windows of 3 characters and these dls have 8.*seq_len=3"),
        (dict(config=dict(layers=3)), ArchError, "CharRnn takes no argument layers; it takes vocab_sz"),
        (dict(prompts=["漢"]), UnknownCharError, "'漢'"),
        (dict(arch=3), ArchError, "neither"),
        (dict(n_hid=0), ArchError, "n_hid=0 is not a whole number, at least 1"),
        (dict(n_hid=10**8), ArchError, "parameters needs about"),
        (dict(n_hid=10**30), ArchError, "not enough memory"),
        (dict(emb_sz="big"), ArchError, "emb_sz='big'"),
    ],
)
def test_wrong_arguments_are_typed_errors_before_any_work(dls, kwargs, error, message):
    with pytest.raises(error, match=message):
        char_learner(dls, **kwargs)


def test_config_is_not_changed(dls):
    config = dict(n_hid=20)
    assert char_learner(dls, config=config).model.n_hid == 20
    assert config == dict(n_hid=20)
