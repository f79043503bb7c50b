"""What `charrnn train` trains: the recipe for the size of the text, changed by the options."""

import pytest

from fastai_charrnn.cli.corpus import Corpus
from fastai_charrnn.cli.parser import make_parser
from fastai_charrnn.cli.plan import make_plan
from fastai_charrnn.recipes.default import default_recipe


def _plan(*options, n_chars=30_000):
    args = make_parser().parse_args(["train", "my.txt", *options])
    return make_plan(args, n_chars)


def test_without_options_the_size_of_the_text_decides():
    assert _plan().recipe == default_recipe(30_000).but(config={})
    assert _plan(n_chars=3_000_000).recipe.arch == "gru"


def test_a_recipe_counts_the_text_without_the_validation_part():
    text = "a" * 9_000
    assert Corpus(text).n_chars == 9_000
    # as many train as of a text half as long
    assert Corpus(text, valid_pct=0.55).n_chars == 4_500
    assert Corpus(text, valid_text=["b"]).n_chars == 10_000


def test_an_option_changes_one_choice():
    recipe = _plan("--epochs", "3", "--n-hid", "99", "--output-p", ".1").recipe
    assert recipe.epochs == 3
    assert recipe.n_hid == 99
    assert recipe.config["output_p"] == 0.1
    assert recipe.arch == "mullstm"
    assert recipe.stateful


def test_old_names_of_options_change_the_plan():
    assert _plan("--n", "16", "--dropout", ".1") == _plan("--seq-len", "16", "--output-p", ".1")


@pytest.mark.parametrize("target", ["every", "next"])
def test_a_target_selects_windows(target):
    recipe = _plan("--target", target).recipe
    assert not recipe.stateful
    assert recipe.target == target
    assert recipe.seq_len == 8


def test_stateful_selects_streams_with_a_target_too():
    assert _plan("--stateful", "--target", "every").recipe.stateful


def test_the_best_recipe_trains_for_the_given_minutes():
    plan = _plan("--recipe", "best", "--minutes", ".5")
    assert plan.minutes == 0.5
    assert plan.length == "0.5 minutes"
