"""`TrainingLog` warns about a random split, once and only when a model is fitted."""

import warnings

import pytest
from learner_helpers import quiet_fit

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.errors import CharRnnWarning


def _count_warnings(work, *args):
    "How often `work(*args)` warns about a random split."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work(*args)
    ours = [w for w in caught if issubclass(w.category, CharRnnWarning)]
    return sum("shares characters" in str(w.message) for w in ours)


def _learner(text, **data):
    dls = CharDataLoaders.from_text(text[:5_000], bs=256, device="cpu", **data)
    return char_learner(dls, n_hid=8, seed=0)


def test_a_random_split_warns_once_for_each_learner(small):
    for learn in (_learner(small, valid="random"), _learner(small, valid="random")):
        assert _count_warnings(quiet_fit, learn, 2) == 1
        assert _count_warnings(quiet_fit, learn, 2) == 0


@pytest.mark.parametrize("valid", ["tail", "blocks", "last", [5, 6]])
def test_other_splits_do_not_warn(small, valid):
    learn = _learner(small, valid=valid, seq_len=4)
    assert _count_warnings(quiet_fit, learn, 1) == 0


@pytest.mark.parametrize(
    "work",
    [
        lambda learn: learn.validate(),
        lambda learn: learn.get_preds(),
        lambda learn: learn.lr_find(num_it=10, show_plot=False),
        lambda learn: learn.predict("the", n=2),
    ],
    ids=["validate", "get_preds", "lr_find", "predict"],
)
def test_only_a_fit_warns_about_a_random_split(small, work):
    learn = _learner(small, valid="random")
    with learn.no_bar():
        assert _count_warnings(work, learn) == 0
    assert _count_warnings(quiet_fit, learn, 1) == 1
