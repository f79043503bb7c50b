"""The recipe for a text of a given size: its choices, how `but` changes them, and its training."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastai_charrnn.all import ArchError, Callback, DataError, human_numbers, ngram_baseline
from fastai_charrnn.recipes.default import DefaultRecipe, default_recipe

sizes = st.integers(100, 10**8)


@given(sizes, sizes)
def test_a_longer_text_has_fewer_epochs_less_dropout_and_more_streams(a, b):
    short, long = (default_recipe(n) for n in sorted((a, b)))
    assert short.epochs >= long.epochs >= 1
    assert short.bs <= long.bs
    assert short.config["output_p"] >= long.config["output_p"] >= 0
    assert short.config.get("hidden_p", 0) >= long.config.get("hidden_p", 0) >= 0


@given(st.integers(100, 3_000_000))
def test_training_reads_few_enough_characters_for_two_minutes(n):
    recipe = default_recipe(n)
    assert recipe.epochs * n <= 3_200_000
    assert recipe.n_hid <= 384


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "1000"])
def test_a_size_that_is_not_a_count_is_an_error(size):
    with pytest.raises(DataError, match="must be a whole number, at least 1"):
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


def test_a_text_of_a_few_characters_is_a_data_error():
    with pytest.raises(DataError, match="the text has 10 characters"):
        default_recipe(10).dls("0123456789")


def test_equal_seeds_give_equal_networks_whatever_the_global_random_state():
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
    epochs = []

    class Count(Callback):
        def after_epoch(self):
            epochs.append(self.epoch)

    _fit(recipe, learn, cbs=[Count()])
    lrs = learn.recorder.lrs
    assert epochs == [0, 1, 2]
    assert max(lrs) == pytest.approx(recipe.lr, rel=0.1)
    assert lrs[0] < 0.1 * recipe.lr
    assert lrs[-1] < 0.1 * recipe.lr


def test_a_recipe_prints_as_one_line():
    recipe = default_recipe(30_000).but(arch="gru", n_hid=128, epochs=6)
    assert str(recipe) == "gru, 128 units, 6 epochs, 8 streams at a time, for 30,000 characters"
    windows = recipe.but(stateful=False, epochs=1)
    assert str(windows) == "gru, 128 units, 1 epoch, 512 windows of 8 characters at a time, for 30,000 characters"


@pytest.mark.parametrize("arch", ["loop", "concat", "rnn", "gru", "lstm", "mullstm", "ensemble"])
def test_another_architecture_keeps_the_dropouts_it_accepts(arch):
    recipe, learn = _small(arch=arch)
    assert recipe.stateful
    assert learn.arch.name == arch
    assert recipe.config["output_p"] == default_recipe(6000).config["output_p"]
    assert ("hidden_p" in recipe.config) == (arch in ("mullstm", "ensemble"))
    assert _fit(recipe, learn) < 10


@given(sizes)
def test_every_size_has_dropouts_for_every_architecture(n):
    recipe = default_recipe(n)
    mullstm = recipe.but(arch="mullstm")
    assert set(mullstm.config) == {"output_p", "hidden_p", "embed_p"}
    assert recipe.but(arch="gru").but(arch="mullstm").config == mullstm.config


def test_an_architecture_that_reads_only_windows_gets_them():
    recipe, learn = _small(arch="char3")
    assert (recipe.stateful, recipe.target) == (False, "next")
    assert (recipe.seq_len, recipe.bs) == (3, 512)
    assert _fit(recipe, learn) < 10


@pytest.mark.parametrize(
    "changes", [dict(stateful=False), dict(target="next"), dict(stride=2), dict(valid="random"), dict(valid="blocks")]
)
def test_what_streams_cannot_do_changes_the_recipe_to_windows(changes):
    recipe, learn = _small(**changes)
    assert (recipe.stateful, recipe.target, recipe.seq_len) == (False, "next", 8)
    assert not learn.dls.stateful
    assert learn.dls.seq_len == 8


def test_given_values_are_kept_and_none_changes_nothing():
    recipe = default_recipe(30_000)
    assert recipe.but(n_hid=None, lr=None) == recipe
    changed = recipe.but(target="next", seq_len=5, bs=100, lr=1e-3, config=dict(output_p=0.1))
    assert (changed.seq_len, changed.bs) == (5, 100)
    assert (changed.lr, changed.n_hid) == (1e-3, recipe.n_hid)
    # windows have no dropout of their own
    assert changed.config == dict(output_p=0.1)
    assert recipe.but(config=dict(output_p=0.1)).config == recipe.config | dict(output_p=0.1)
    assert isinstance(recipe, DefaultRecipe)


def test_an_unknown_architecture_is_an_error():
    with pytest.raises(ArchError, match="no architecture"):
        default_recipe(30_000).but(arch="gur")


def test_the_old_name_of_seq_len_warns():
    recipe = default_recipe(30_000)
    with pytest.warns(DeprecationWarning, match="now called seq_len"):
        changed = recipe.but(n=16)
    assert changed == recipe.but(seq_len=16)


def test_a_learner_of_the_recipe_exports(tmp_path):
    recipe = default_recipe(6000).but(n_hid=16)
    recipe.learner(recipe.dls(human_numbers()[:6000], device="cpu", path=tmp_path)).export()
    assert (tmp_path / "export.pkl").exists()


@pytest.mark.slow
def test_a_short_real_text_is_predicted_better_than_by_n_grams(small):
    recipe = default_recipe(len(small))
    dls = recipe.dls(small, device="cpu")
    assert _fit(recipe, recipe.learner(dls)) < ngram_baseline(dls).best.nats - 0.05
