"""Texts with colours behind characters: wrapped, complete, with the colours of their values."""

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

from fastai_charrnn._colours import BLUE, MAX_ALPHA, VERMILLION, rgb
from fastai_charrnn.analysis.connectivity import connectivity
from fastai_charrnn.analysis.connectivity_plots import connectivity_map, plot_connectivity, plot_connectivity_map
from fastai_charrnn.analysis.surprise import plot_surprise
from fastai_charrnn.analysis.text_picture import plot_text, wrapped
from fastai_charrnn.errors import DataError, UnknownCharError


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def _drawn(ax):
    "The characters by row and column."
    return {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in ax.texts}


def _cells(ax):
    return np.asarray(ax.images[0].get_array())


@pytest.mark.parametrize(
    "text,lines",
    [
        ("", []),
        ("to be or not", ["to be ", "or not"]),
        ("tobeornot", ["tobeor", "not"]),
        ("to\n\nbe", ["to\n", "\n", "be"]),
        (" tobeor", [" ", "tobeor"]),
        ("tobeor\nnot", ["tobeor", "\n", "not"]),
    ],
)
def test_lines_end_after_spaces_and_line_ends_and_hold_all_characters(text, lines):
    assert [text[begin:end] for begin, end in wrapped(text, 6)] == lines


def test_every_character_is_drawn_over_the_colour_of_its_value():
    ax = plot_text([0, 1, -2, 4, float("nan"), 1], "a $\n\x07é", vmin=-1, vmax=2)
    assert _drawn(ax) == {(0, 0): "a", (0, 2): "$", (0, 3): "⏎", (1, 0): r"\x07", (1, 1): "é"}
    first, second = _cells(ax)
    assert np.allclose(first[:5, 3], [0, MAX_ALPHA / 2, MAX_ALPHA, MAX_ALPHA, 0])
    assert np.allclose(first[1, :3], rgb(VERMILLION)) and np.allclose(first[2, :3], rgb(BLUE))
    assert np.allclose(second[:2, 3], [0, MAX_ALPHA / 2])
    assert not ax.axison
    plot_text([float("inf")] * 3, "\0\ud800\u0301", vmax=None).figure.canvas.draw()


def test_a_picture_of_a_long_text_is_as_wide_as_a_page():
    figure = plot_text(np.zeros(400), "some words " * 36 + "last").figure
    assert figure.get_size_inches()[0] < 8
    assert plot_text([], "").figure.get_size_inches()[1] < 1


def test_what_cannot_be_drawn_is_an_error_before_axes_are_made(trained):
    for args, message in (
        (([1, 2], "abc"), "do not fit 3 characters"),
        (([[1], [2]], "a"), "2 rows of values; plot_text draws one"),
        ((np.zeros(5001), "a" * 5001), "5,001 characters are too many to draw"),
        (([1], "a", 0), "width=0 is not a whole number, at least 1"),
        (([1], "a", 80, 0.5), "vmin=0.5 is not a number from -1.79769e\\+308 to 0"),
        (([1], "a", 80, 0, -1), "vmax=-1 is not a number of at least 0"),
    ):
        with pytest.raises(DataError, match=message):
            plot_text(*args)
    with pytest.raises(DataError, match="201 characters make too large a map"):
        connectivity_map(trained, "e" * 201)
    with pytest.raises(DataError, match="'the' has no log-probabilities; pass a learner"):
        plot_surprise(None, "the")
    with pytest.raises(UnknownCharError):
        plot_surprise(trained, "the 漢")
    assert not plt.get_fignums()


def test_surprise_is_the_bits_of_each_character_and_none_for_the_prompt(trained):
    text = "the value of (x)\n"
    scored = trained.score(text)
    bits = -scored.log_probs / np.log(2)
    ax = plot_surprise(trained, text)
    assert np.allclose(_cells(ax)[0, : len(text), 3], MAX_ALPHA * (bits / 8).clip(0, 1), atol=1e-6)
    assert ax.get_title("left") == f"{scored.bits_per_char:.2f} bits per char"
    generated = trained.generate("the ", 5, seed=1)
    cells = _cells(plot_surprise(None, generated, max_bits=1))[0]
    assert (cells[:4, 3] == 0).all() and (cells[4:9, 3] > 0).any()


def test_connectivity_is_drawn_up_to_the_frame(trained):
    text = "the value of it"
    ax = plot_connectivity(trained, text, at=8, char="e")
    norms = connectivity(trained, text, 8, "e")
    alpha = _cells(ax)[0, :, 3]
    assert np.allclose(alpha[:9], MAX_ALPHA * norms / norms.max())
    assert (alpha[9:] == 0).all()
    assert [frame.get_xy() for frame in ax.patches] == [(7.5, -0.5)]
    assert ax.get_title("left") == "what 'e' after the frame depends on"


def test_the_map_has_a_row_for_each_prediction(trained):
    text = "the value"
    values = connectivity_map(trained, text)
    assert np.array_equal(values[5, :6], connectivity(trained, text, 5))
    assert (np.triu(values, 1) == 0).all()
    drawn = plot_connectivity_map(trained, text).images[0].get_array()
    assert np.allclose(drawn.max(1), 1)
    assert drawn.mask[3, 4:].all() and np.allclose(drawn[3, :4], values[3, :4] / values[3].max())
