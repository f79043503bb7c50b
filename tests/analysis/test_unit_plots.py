"""Pictures of units and gates have the values of `hidden_states` and `gates` behind each character."""

import re

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from small_models import build

from fastai_charrnn._colours import BLUE, MAX_ALPHA, VERMILLION, css_shade, rgb
from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.analysis.gate_plots import plot_gates
from fastai_charrnn.analysis.gates import gates, saturation
from fastai_charrnn.analysis.tracking import find_units
from fastai_charrnn.analysis.unit_plots import plot_units, show_units
from fastai_charrnn.analysis.units import hidden_states
from fastai_charrnn.errors import ArchError, DataError

text = "the value\nof an expression"


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def _cells(ax, n):
    "The colours of the first n characters of a line."
    return np.asarray(ax.images[0].get_array())[0, :n]


def test_the_colour_behind_a_character_is_the_value_of_the_unit(trained):
    fig = plot_units(trained, text, units=[5, 60])
    states = hidden_states(trained, text)
    assert len(fig.axes) == 2
    for ax, unit in zip(fig.axes, (5, 60)):
        values = states[:, unit]
        assert ax.get_title(loc="left") == f"unit {unit}, from {values.min():.2f} to {values.max():.2f}"
        first_line = _cells(ax, 10)
        assert np.allclose(first_line[:, 3], MAX_ALPHA * np.abs(values[:10]) / np.abs(values).max(), atol=1e-6)
        hues = np.where(values[:10, None] < 0, rgb(BLUE), rgb(VERMILLION))
        assert np.allclose(first_line[:, :3], hues)
        assert "⏎" in [t.get_text() for t in ax.texts]


def test_units_that_find_units_finds_are_drawn_by_default(trained, small):
    found = find_units(trained, small[:700])
    fig = plot_units(trained, small[:700])
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    assert len(titles) == 4
    assert all(title.startswith(found.label(unit)) for title, unit in zip(titles, found.units))
    assert show_units(trained, text, units=found).rows[0].unit == found.units[0]
    assert len(plot_units(trained, text, units=7, width=10).axes) == 1


def test_a_notebook_shows_every_character_over_its_colour(trained):
    shown = show_units(trained, text, units=[3])
    values = hidden_states(trained, text)[:, 3]
    spans = re.findall(r'background:(rgba\([^)]+\))" title="([-.\d]+)">([^<]+)<', shown._repr_html_())
    assert "".join(span[2] for span in spans) == text.replace("\n", "⏎\n")
    assert [span[1] for span in spans] == [f"{value:.2f}" for value in values]
    assert [span[0] for span in spans] == [css_shade(value / np.abs(values).max()) for value in values]
    assert repr(shown) == shown.rows[0].title


def test_hostile_texts_are_escaped():
    hostile = "<script>alert('&')</script>\t\x1b[31m\u202e\"" * 3
    dls = CharDataLoaders.from_text(hostile, seq_len=2, bs=4, device="cpu")
    learn = char_learner(dls, n_hid=4, seed=0)
    page = show_units(learn, hostile, units=[0])._repr_html_()
    found = find_units(learn, hostile, features={hostile: lambda text: [c in "script" for c in text]}, min_score=0)
    for html in (page, show_units(learn, hostile, units=found)._repr_html_()):
        assert set(re.findall(r"</?(\w+)", html)) == {"div", "pre", "span"}
        assert not set("\x1b\u202e\t") & set(html)
        assert r"\t" in html
    plot_units(learn, hostile, units=[0]).canvas.draw()


def test_an_empty_text_and_long_texts_are_shown(trained, small, monkeypatch):
    monkeypatch.setattr("fastai_charrnn.analysis.unit_plots._max_shaded", 40)
    page = show_units(trained, small[:1025], units=[0, 1])._repr_html_()
    assert (page.count("<span"), page.count("… and 1,005 characters more")) == (40, 2)
    assert len(show_units(trained, "", units=[0])._repr_html_()) < 400
    plot_units(trained, "", units=[0]).canvas.draw()


def test_all_units_of_a_layer_are_drawn_with_their_saturation(small):
    learn = build(small, "lstm")
    fig = plot_gates(learn, small[:150])
    values = gates(learn, small[:150])
    shares = saturation(values)
    assert len(fig.axes) == 7
    for k, name in enumerate(("input", "forget", "output")):
        left, right = fig.axes[2 * k : 2 * k + 2]
        drawn = np.asarray(left.images[0].get_array())
        assert drawn.shape == (24, 100)
        order = np.argsort(-values[name][:100].mean(0))
        assert np.allclose(drawn, values[name][:100, order].T)
        assert np.allclose(right.collections[0].get_offsets(), shares[name])
    labels = "".join(t.get_text() for t in fig.axes[0].get_xticklabels())
    assert labels == small[:100].replace(" ", "␣").replace("\n", "⏎")


@pytest.mark.parametrize("arch,n", [("gru", 4), ("lstm", 6), ("mullstm", 7)])
def test_one_unit_is_drawn_with_all_its_gates_and_states(small, arch, n):
    learn = build(small, arch)
    fig = plot_gates(learn, "the value", unit=3)
    values = gates(learn, "the value")
    assert len(fig.axes) == n
    for ax, (name, of_units) in zip(fig.axes, values.items()):
        assert ax.get_title(loc="left").startswith(name)
        limit = 1 if name in ("input", "forget", "output", "reset", "update") else np.abs(of_units[:, 3]).max()
        assert np.allclose(_cells(ax, 9)[:, 3], MAX_ALPHA * np.abs(of_units[:, 3]) / limit, atol=1e-6)


def test_impossible_units_and_texts_are_named(trained, small):
    lstm = build(small, "lstm")
    for call, message in (
        (lambda: plot_units(trained, text, units=[64]), "unit=64 is more than 63"),
        (lambda: plot_units(trained, text, units=[-1]), "unit=-1"),
        (lambda: plot_units(trained, text, units=[]), "are not 1 to 20 numbers"),
        (lambda: plot_units(trained, text, units="5"), "are not 1 to 20 numbers"),
        (lambda: plot_units(trained, text), "or choose the units"),
        (lambda: plot_units(trained, "aaaa" * 20), "no unit tracks a feature"),
        (lambda: plot_units(trained, small[:6000], units=[0]), "too many to draw"),
        (lambda: plot_gates(lstm, ""), "no characters"),
        (lambda: plot_gates(lstm, text, unit=24), "unit=24 is more than 23"),
    ):
        with pytest.raises(DataError, match=message):
            call()
    with pytest.raises(ArchError, match="have gates"):
        plot_gates(trained, text)
