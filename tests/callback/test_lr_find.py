"""`lr_find` suggests a rate that trains well, and changes no weights, optimizer, random numbers, order or files."""

import random

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fastai.callback.all import CSVLogger, valley

from fastai_charrnn.all import BestRecipe, CharDataLoaders, DataError, char_learner, descent, load_model, save_model

matplotlib.use("Agg")
MODES = {
    "windows": dict(seq_len=8, bs=256),
    "every": dict(seq_len=8, bs=64, target="every"),
    "streams": dict(seq_len=16, bs=16, target="every", stateful=True, shift=True),
}


def _learner(small, mode="windows", path=".", arch="gru", **kw):
    dls = CharDataLoaders.from_text(small[:10_000], device="cpu", path=path, **MODES[mode])
    dls.train.seed(3)
    return char_learner(dls, arch, n_hid=24, config=dict(n_layers=2, output_p=0.2), seed=0, **kw)


def _found(learn, **kw):
    with learn.no_bar():
        return learn.lr_find(**dict(show_plot=False) | kw)


def _fit(learn, lr=5e-3, n_epoch=1):
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(n_epoch, lr)
    return learn.training_log.rows


def _weights(learn):
    return torch.cat([p.detach().flatten().clone() for p in learn.model.parameters()])


# the suggestion


@pytest.mark.parametrize("mode", MODES)
def test_the_suggestion_has_the_name_of_the_rule(small, mode):
    found = _found(_learner(small, mode))
    assert found._fields == ("descent",)
    assert 1e-3 < found.descent < 0.3


def test_several_rules_suggest_a_rate_each(small):
    learn = _learner(small)
    found = _found(learn, suggest_funcs=(descent, valley))
    assert found._fields == ("descent", "valley")
    assert found.valley != found.descent
    assert _found(learn, suggest_funcs=None) is None


def test_the_plot_shows_the_suggestion(small):
    plt.close("all")
    found = _found(_learner(small), show_plot=True)
    _, point = plt.gca().lines
    (label,) = plt.gca().get_legend().get_texts()
    assert point.get_xdata()[0] == pytest.approx(found.descent)
    assert label.get_text() == "descent"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["windows", "streams"])
def test_training_at_the_suggestion_is_about_as_good_as_at_the_best_of_a_grid(small, mode):
    def loss(lr):
        rows = _fit(_learner(small, mode, arch="rnn"), lr, 3)
        return rows[-1]["valid_loss"]

    found = _found(_learner(small, mode, arch="rnn"), suggest_funcs=(descent, valley))
    best = min(loss(lr) for lr in (1e-3, 4e-3, 1.6e-2, 6.4e-2))
    assert loss(found.descent) < 1.06 * best < loss(found.valley)


def test_the_rule_is_the_first_rate_with_seven_tenths_of_the_fall():
    lrs = torch.logspace(-6, 0, 7)
    losses = torch.tensor([4.0, 4.0, 3.5, 2.6, 2.1, 2.0, 9.0])
    assert descent(lrs, losses, 7) == (pytest.approx(1e-3), (pytest.approx(1e-3), pytest.approx(2.6)))
    assert descent(lrs, losses, 7, share=0.9)[0] == pytest.approx(1e-2)


def test_a_curve_without_a_fall_gives_the_first_rate():
    lrs = torch.logspace(-6, 0, 7)
    assert descent(lrs, torch.full((7,), 4.0), 7)[0] == lrs[0]
    assert descent(lrs, torch.arange(7.0), 7)[0] == lrs[0]
    with pytest.raises(DataError, match="no losses to suggest a rate from"):
        descent(lrs[:0], lrs[:0], 7)


# what it restores


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fitted", [False, True], ids=["new", "fitted"])
def test_a_fit_after_it_equals_a_fit_without_it(small, mode, fitted):
    "Dropout draws from the global random state, windows and shifted streams from that of the loader."
    plain = _learner(small, mode)
    tried = _learner(small, mode)
    for learn in (plain, tried):
        torch.manual_seed(1)
        if fitted:
            _fit(learn)
        if learn is tried:
            _found(learn)
        _fit(learn)
    assert torch.equal(_weights(plain), _weights(tried))
    assert plain.training_log.rows == tried.training_log.rows


def test_random_numbers_are_equal_with_and_without_it(small):
    learn = _learner(small)

    def draw():
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    def seeded(work):
        random.seed(5)
        np.random.seed(5)
        torch.manual_seed(5)
        work()
        return draw()

    assert seeded(lambda: None) == seeded(lambda: _found(learn))


def test_the_optimizer_of_the_best_recipe_is_restored(small):
    recipe = BestRecipe(1, 16, emb_sz=8)
    learn = recipe.learner(recipe.dls(small[:10_000], device="cpu"))
    _fit(learn)

    def moments():
        return [s["exp_avg"].clone() for s in learn.opt.opt.state.values()]

    before = moments()
    lr = learn.opt.hypers[-1]["lr"]
    assert 1e-4 < _found(learn).descent < 1
    assert len(before) > 3
    assert all(torch.equal(a, b) for a, b in zip(before, moments(), strict=True))
    assert learn.opt.hypers[-1]["lr"] == lr


def test_everything_is_restored_after_an_error(small):
    learn = _learner(small)
    before = _weights(learn)
    order = learn.dls.train.rng.getstate()

    def fails(lrs, losses, num_it):
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        _found(learn, suggest_funcs=fails)
    assert torch.equal(before, _weights(learn))
    assert order == learn.dls.train.rng.getstate()
    assert learn.opt is None


def test_it_leaves_no_file_and_prints_no_sample(small, tmp_path, monkeypatch, capsys):
    (cwd := tmp_path / "cwd").mkdir()
    (path := tmp_path / "path").mkdir()
    monkeypatch.chdir(cwd)
    learn = _learner(small, path=path, prompts=["the"], cbs=CSVLogger())
    _found(learn, num_it=30)
    assert sorted(tmp_path.rglob("*")) == [cwd, path]
    assert learn.training_log.rows == []
    assert "the" not in capsys.readouterr().out
    _fit(learn)
    assert len((path / "history.csv").read_text().splitlines()) == 2


# little data, no data, and invalid arguments


def test_an_epoch_with_fewer_batches_than_rates_is_repeated(small):
    dls = CharDataLoaders.from_text(small[:3_000], bs=512, device="cpu")
    learn = char_learner(dls, n_hid=16, seed=0, prompts=["the"])
    assert len(dls.train) == 6
    assert 1e-3 < _found(learn).descent < 1
    assert learn.training_log.rows == []
    assert len(learn.recorder.lrs) > 50


def test_a_loaded_model_has_no_text_to_try_rates_on(small, tmp_path):
    again = load_model(save_model(_learner(small), tmp_path / "m"), device="cpu")
    with pytest.raises(DataError, match="no text to train on; set learn.dls, or pass load_model"):
        again.lr_find()


def test_training_that_diverges_at_once_is_a_typed_error(small):
    with pytest.raises(DataError, match="pass a smaller start_lr"):
        _found(_learner(small, arch="rnn"), start_lr=1e6, end_lr=1e8)
