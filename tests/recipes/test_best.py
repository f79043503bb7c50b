"""Training by the clock, and the recipe that makes the most of it."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fastai_charrnn.all import (
    ArchError,
    Callback,
    CharDataLoaders,
    DataError,
    char_learner,
    human_numbers,
    ngram_baseline,
    python_reference,
)
from fastai_charrnn.recipes.best import BestRecipe, DefaultRecipe, adamw, best_recipe, decaying, default_recipe


def _learn(**kw):
    dls = CharDataLoaders.from_text(
        human_numbers()[:12000], seq_len=16, bs=16, target="every", stateful=True, device="cpu"
    )
    return char_learner(dls, "gru", n_hid=24, seed=0, **kw)


def test_a_fit_by_the_clock_ends_in_time_and_its_rate_has_come_down():
    learn, t = _learn(), time.time()
    row = learn.fit_minutes(0.05, 1e-2)
    assert (
        2.9 < time.time() - t < 20
        and row is learn.training_log.rows[-1]
        and row["minutes"] == 0.05
        and row["epochs"] > 0
    )
    lrs = learn.recorder.lrs
    assert (
        max(lrs) <= 1e-2 and lrs[-1] < 0.1 * max(lrs) and lrs[0] < max(lrs) and len(lrs) == len(learn.recorder.losses)
    )
    assert row["valid_loss"] == pytest.approx(learn.validate()[0], abs=1e-6) and row["valid_loss"] < 2.5
    for bad in (0, -1, float("nan"), float("inf"), "5"):
        with pytest.raises(DataError, match="is not a time above 0"):
            learn.fit_minutes(bad, 1e-2)


def test_a_fit_by_the_clock_shows_one_bar_of_seconds_and_one_line(capfd):
    learn = _learn()
    row = learn.fit_minutes(0.05, 1e-2)
    shown = capfd.readouterr().out.replace("\r", "\n").splitlines()
    seconds = [line for line in shown if "/3 00:" in line]
    assert len(seconds) >= 2 and "100.00% [3/3 00:0" in seconds[-1] and "epoch " in seconds[-1]
    head, line = (o.split() for o in [o for o in shown if o.strip()][-2:])
    assert head == ["train_loss", "valid_loss", "accuracy", "bits_per_char", "epochs"] and float(
        line[1]
    ) == pytest.approx(row["valid_loss"], abs=1e-6)
    assert learn.logger is print and hasattr(learn, "progress") and not hasattr(learn, "clock_progress")
    with learn.no_bar():
        learn.fit_minutes(0.02, 1e-2)
    assert "%" not in capfd.readouterr().out


@pytest.mark.parametrize("target", ["next", "every"])
def test_windows_are_trained_by_the_clock_too(target):
    learn = char_learner(
        CharDataLoaders.from_text(human_numbers()[:6000], seq_len=8, bs=64, target=target, device="cpu"),
        "rnn",
        n_hid=24,
        seed=0,
    )
    row = learn.fit_minutes(0.03, 1e-2)
    steps = len(learn.recorder.losses)
    assert (
        row["epochs"] == pytest.approx(steps / len(learn.dls.train), abs=1 / len(learn.dls.train))
        and row["valid_loss"] < 3
    )


def test_products_in_bf16_train_as_well():
    "The weights stay in 32 bits, and follow the same losses."
    losses = []
    for low in (False, True):
        learn = _learn()
        row = learn.fit_minutes(
            0.04, 3e-3, warm=1e-4, bf16=low
        )  # no long rise: the rate follows the clock, which other work on the machine delays
        assert not torch.is_autocast_enabled("cpu")  # nor is it left on
        assert row["bf16"] == low and all(p.dtype is torch.float32 for p in learn.model.parameters())
        losses.append([float(o) for o in learn.recorder.losses[:20]])
    assert losses[0] == pytest.approx(losses[1], abs=0.1)


@pytest.mark.parametrize("minutes", [3, 8])  # one network, and several
def test_only_matrices_between_layers_decay(minutes):
    recipe = best_recipe(minutes, speed=1)
    learn = recipe.learner(recipe.dls(human_numbers()[:12000], device="cpu"))
    learn.create_opt()
    decays, rest = ({id(p) for p in g["params"]} for g in learn.opt.opt.param_groups)
    names = {id(p): k for k, p in learn.model.named_parameters()}
    assert (
        {names[o].split(".")[-3] for o in decays} == {"inp", "hid"}
        and len(decays) == 2 * recipe.n_models
        and not any("bias" in names[o] for o in decays)
    )
    assert [g["weight_decay"] for g in learn.opt.opt.param_groups] == [recipe.wd, 0] and decays | rest == set(names)
    assert len(decaying(learn.model)[0]) == len(decays) and adamw(decaying(learn.model), 1e-3).hypers[0]["lr"] == 1e-3


def test_embedding_and_read_out_of_any_model_do_not_decay():
    m = nn.ModuleDict(dict(emb=nn.Embedding(5, 4), mid=nn.Linear(4, 4), out=nn.Linear(4, 5)))
    assert [id(p) for p in decaying(m)[0]] == [id(m["mid"].weight)]


def test_the_more_time_the_wider():
    sizes = [r.n_hid**2 * r.n_models for r in (best_recipe(m, speed=1) for m in (0.1, 2, 3, 5, 15, 60))]
    assert (
        sizes == sorted(sizes)
        and len(set(sizes)) > 4
        and best_recipe(5, speed=0.1).n_hid < best_recipe(5, speed=3).n_hid
    )
    assert isinstance(best_recipe(5), BestRecipe)
    with pytest.raises(DataError, match="minutes=0"):
        best_recipe(0)


@pytest.mark.parametrize("size", [300, 5000])
def test_a_short_text_has_fewer_streams(size):
    recipe = best_recipe(0.03, speed=1)
    dls = recipe.dls(python_reference()[:size], device="cpu")
    learn = recipe.learner(dls)
    assert dls.train.bs <= 32 and torch.isfinite(torch.tensor(learn.fit_minutes(0.03, recipe.lr)["valid_loss"]))


def test_a_learner_of_the_recipe_exports(tmp_path):
    recipe = best_recipe(0.03, speed=1)
    learn = recipe.learner(recipe.dls(human_numbers()[:12000], device="cpu", path=tmp_path))
    learn.export()
    assert (tmp_path / "export.pkl").exists()


# by the size of the text

sizes = st.integers(100, 10**8)


@given(sizes, sizes)
def test_a_longer_text_has_fewer_epochs_less_dropout_and_more_streams(a, b):
    short, long = (default_recipe(n) for n in sorted((a, b)))
    assert short.epochs >= long.epochs >= 1
    assert short.bs <= long.bs
    assert short.config["output_p"] >= long.config["output_p"] >= 0
    assert short.config.get("hidden_p", 0) >= long.config.get("hidden_p", 0) >= 0


@given(st.integers(100, 3_000_000))
def test_training_reads_at_most_so_many_characters_that_two_minutes_are_enough(n):
    recipe = default_recipe(n)
    assert recipe.epochs * n <= 3_200_000 and recipe.n_hid <= 384


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "1000"])
def test_a_size_that_is_no_count_is_an_error(size):
    with pytest.raises(DataError, match="must be a whole number from 1 up"):
        default_recipe(size)


def _small(n=6000, **changes):
    "A recipe and an untrained learner of few units."
    recipe = default_recipe(n).but(**dict(n_hid=16, epochs=1) | changes)
    return recipe, recipe.learner(recipe.dls(human_numbers()[:n], device="cpu"))


def _fit(recipe, learn, **kwargs):
    with learn.no_bar(), learn.no_logging():
        recipe.fit(learn, **kwargs)
    return learn.training_log.rows[-1]["valid_loss"]


@pytest.mark.parametrize("size", [100, 700, 3000])
def test_a_tiny_text_trains(size):
    recipe, learn = _small(size)
    assert learn.dls.train.bs == recipe.bs <= 8
    assert len(learn.dls.train) >= 2
    assert _fit(recipe, learn) < 10


def test_a_given_number_of_streams_is_not_reduced_silently():
    with pytest.raises(DataError, match="bs=1000"):
        default_recipe(500).but(bs=1000).dls(human_numbers()[:500])


def test_a_text_of_some_characters_is_a_data_error():
    with pytest.raises(DataError, match="the text has 10 characters"):
        default_recipe(10).dls("0123456789")


def test_the_same_seeds_give_the_same_network_whatever_the_global_state():
    losses = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        losses.append(_fit(*_small()))
        assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1]
    assert _fit(*_small(), seed=7) != losses[0]


def test_a_fit_is_one_cycle_of_the_recipes_epochs_and_calls_further_callbacks():
    recipe, learn = _small(epochs=3)
    seen = []

    class Count(Callback):
        def after_epoch(self):
            seen.append(self.epoch)

    _fit(recipe, learn, cbs=[Count()])
    lrs = learn.recorder.lrs
    assert seen == [0, 1, 2]
    assert max(lrs) == pytest.approx(recipe.lr, rel=0.1) and lrs[0] < 0.1 * recipe.lr and lrs[-1] < 0.1 * recipe.lr


def test_a_recipe_is_printed_as_one_line():
    recipe = default_recipe(30_000).but(arch="gru", n_hid=128, epochs=6)
    assert str(recipe) == "gru, 128 units, 6 epochs, 8 streams at a time, for 30,000 characters"
    windows = recipe.but(stateful=False, epochs=1)
    assert str(windows) == "gru, 128 units, 1 epoch, 512 windows of 8 characters at a time, for 30,000 characters"


@pytest.mark.parametrize("arch", ["loop", "concat", "rnn", "gru", "lstm", "mullstm", "ensemble"])
def test_another_architecture_keeps_the_dropouts_it_takes(arch):
    recipe, learn = _small(arch=arch)
    assert recipe.stateful and learn.arch.name == arch
    assert recipe.config["output_p"] == default_recipe(6000).config["output_p"]
    assert ("hidden_p" in recipe.config) == (arch in ("mullstm", "ensemble"))
    assert _fit(recipe, learn) < 10


@given(sizes)
def test_every_size_has_dropouts_for_every_architecture(n):
    recipe = default_recipe(n)
    there = recipe.but(arch="mullstm")
    assert set(there.config) == {"output_p", "hidden_p", "embed_p"}
    assert recipe.but(arch="gru").but(arch="mullstm").config == there.config


def test_an_architecture_that_reads_windows_only_gets_them():
    recipe, learn = _small(arch="char3")
    assert (recipe.stateful, recipe.target, recipe.n, recipe.bs) == (False, "next", 3, 512)
    assert _fit(recipe, learn) < 10


@pytest.mark.parametrize(
    "changes", [dict(stateful=False), dict(target="next"), dict(stride=2), dict(valid="random"), dict(valid="blocks")]
)
def test_what_streams_cannot_do_is_done_in_windows(changes):
    recipe, learn = _small(**changes)
    assert (recipe.stateful, recipe.target, recipe.n) == (False, "next", 8)
    assert not learn.dls.stateful and learn.dls.seq_len == 8


def test_given_values_are_kept_and_none_is_not_a_value():
    recipe = default_recipe(30_000)
    assert recipe.but(n_hid=None, lr=None) == recipe
    changed = recipe.but(target="next", seq_len=5, bs=100, lr=1e-3, config=dict(output_p=0.1))
    assert (changed.n, changed.bs, changed.lr, changed.n_hid) == (5, 100, 1e-3, recipe.n_hid)
    # windows have no dropout of their own
    assert changed.config == dict(output_p=0.1)
    assert recipe.but(config=dict(output_p=0.1)).config == recipe.config | dict(output_p=0.1)
    assert isinstance(recipe, DefaultRecipe)
    with pytest.raises(ArchError, match="no architecture"):
        recipe.but(arch="gur")


def test_a_learner_of_the_default_recipe_exports(tmp_path):
    recipe = default_recipe(6000).but(n_hid=16)
    recipe.learner(recipe.dls(human_numbers()[:6000], device="cpu", path=tmp_path)).export()
    assert (tmp_path / "export.pkl").exists()


@pytest.mark.slow
def test_a_short_real_text_is_predicted_better_than_by_counting(small):
    recipe = default_recipe(len(small))
    dls = recipe.dls(small, device="cpu")
    assert _fit(recipe, recipe.learner(dls)) < ngram_baseline(dls).best.nats - 0.05
