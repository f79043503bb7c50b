"""The recipe for a given time chooses networks that the machine can train in it."""

import math

import pytest

from fastai_charrnn.all import DataError, human_numbers, python_reference
from fastai_charrnn.models.kernels import has_fast_bf16
from fastai_charrnn.recipes.best import BestRecipe, best_recipe


def _n_weights(minutes, n_chars=600_000):
    recipe = best_recipe(minutes, n_chars, speed=1)
    return recipe.n_hid**2 * recipe.n_models


def test_more_time_or_a_faster_machine_gives_larger_networks():
    sizes = [_n_weights(minutes) for minutes in (0.1, 2, 3, 5, 15, 60)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) >= 4
    assert best_recipe(5, speed=0.1).n_hid < best_recipe(5, speed=3).n_hid
    assert isinstance(best_recipe(5), BestRecipe)


def test_a_short_text_gets_narrow_networks_that_do_not_read_it_too_often():
    recipe = best_recipe(5, n_chars=50_000, speed=0.4)
    assert recipe.n_hid == 384
    assert recipe.n_models > 1
    assert recipe.config["output_p"] > best_recipe(5, n_chars=5_000_000, speed=0.4).config["output_p"]


@pytest.mark.parametrize("minutes, n_models", [(1, 1), (5, 1), (7.5, 2), (15, 3)])
def test_each_of_several_networks_reads_nietzsche_9_to_16_times(minutes, n_models):
    recipe = best_recipe(minutes, n_chars=600_893, speed=1)
    assert recipe.n_models == n_models
    assert recipe.epochs < 16
    assert n_models == 1 or recipe.epochs > 9


def test_a_long_training_has_at_most_six_networks():
    assert best_recipe(120, n_chars=600_893, speed=1).n_models == 6


def test_only_a_wide_network_that_reads_the_text_often_trains_on_long_stretches():
    def seq_len(minutes, n_chars):
        return best_recipe(minutes, n_chars, speed=1, device="cpu").seq_len

    assert seq_len(5, 600_893) == (16 if has_fast_bf16() else 32)
    assert seq_len(1, 600_893) == 8
    assert seq_len(5, 50_000_000) == 8


def test_the_reasons_name_the_time_the_speed_and_the_network():
    recipe = best_recipe(5, speed=0.42)
    assert recipe.why == (
        "for 5 minutes at 0.42 times the speed of the reference machine: "
        "a network of 768 units reads the text about 5.6 times"
    )


@pytest.mark.parametrize("minutes", [0, -1, math.nan])
def test_a_time_that_is_not_positive_is_an_error(minutes):
    with pytest.raises(DataError, match=f"minutes={minutes} must be positive"):
        best_recipe(minutes)


@pytest.mark.parametrize("size", [300, 5000])
def test_a_short_text_has_fewer_streams(size):
    recipe = best_recipe(0.03, speed=1)
    dls = recipe.dls(python_reference()[:size], device="cpu")
    learn = recipe.learner(dls)
    assert len(dls.train) >= 4
    row = recipe.fit(learn)
    assert math.isfinite(row["valid_loss"])


def test_a_learner_of_the_recipe_exports(tmp_path):
    recipe = best_recipe(0.03, speed=1)
    learn = recipe.learner(recipe.dls(human_numbers()[:12000], device="cpu", path=tmp_path))
    learn.export()
    assert (tmp_path / "export.pkl").exists()
