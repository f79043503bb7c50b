"""The helpers that all packages share: unwrapping, modes, old names, whole numbers."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fastai_charrnn._utils import is_count, is_whole, modes_restored, renamed, unwrap_model

# models


def test_a_wrapped_model_is_unwrapped():
    model = nn.Linear(2, 2)
    assert unwrap_model(nn.DataParallel(model)) is model


def test_a_model_with_a_part_called_module_is_not_a_wrapper():
    model = nn.Sequential()
    model.module = nn.Linear(2, 2)
    assert unwrap_model(model) is model


def test_each_modules_mode_is_restored():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    model[1].eval()
    before = [m.training for m in model.modules()]
    with pytest.raises(KeyboardInterrupt), modes_restored(model):
        model[1].train()
        model[0].eval()
        raise KeyboardInterrupt
    assert [m.training for m in model.modules()] == before
    assert sorted(before) == [False, False, False, True, True]


# old names


@renamed(n="seq_len", dropout="output_p")
def _function(text, seq_len=8, output_p=0.0):
    return text, seq_len, output_p


def test_an_old_name_works_with_one_warning():
    with pytest.warns(DeprecationWarning, match=r"_function\(n=…\) is now called seq_len=") as caught:
        assert _function("a", n=3) == ("a", 3, 0.0)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_each_old_name_has_its_warning():
    with pytest.warns(DeprecationWarning) as caught:
        assert _function("a", n=3, dropout=0.5) == ("a", 3, 0.5)
    assert len(caught) == 2


def test_new_names_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _function("a", seq_len=3, output_p=0.5) == ("a", 3, 0.5)


def test_an_old_name_and_its_new_one_together_are_an_error():
    with pytest.raises(TypeError, match="n= is the old name of seq_len=; pass only seq_len="):
        _function("a", n=3, seq_len=3)


# whole numbers


@given(st.integers())
def test_counts_are_the_integers_from_one_up(v):
    assert is_count(v) == (v >= 1)


@given(st.integers(1, 2**31 - 1), st.sampled_from([np.int32, np.int64, np.uint32]))
def test_numpys_integers_are_counts(v, kind):
    assert is_count(kind(v))


@given(st.one_of(st.floats(), st.text(), st.none(), st.booleans(), st.lists(st.integers(1))))
def test_nothing_else_is_a_count(v):
    assert not is_count(v)


@given(st.integers())
def test_whole_numbers_may_be_zero_or_floats(v):
    assert is_whole(v) == (v >= 0)
    assert is_whole(float(abs(v) % 2**53))


@given(st.one_of(st.floats(max_value=0, exclude_max=True), st.just(float("nan")), st.text(), st.none(), st.booleans()))
def test_nothing_else_is_whole(v):
    assert not is_whole(v)


@given(st.integers(0, 1000), st.floats(0.01, 0.99))
def test_fractions_are_not_whole(v, fraction):
    assert not is_whole(v + fraction)
