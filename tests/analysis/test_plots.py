"""Plots draw the given values into the given axes, and raise errors for values that do not fit."""

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from fastai_charrnn._colours import contrast
from fastai_charrnn.all import list_archs
from fastai_charrnn.analysis.arch_plots import DRAWN, plot_arch
from fastai_charrnn.analysis.char_kinds import KINDS, char_kind
from fastai_charrnn.analysis.plots import plot_embeddings, plot_next, plot_over_text
from fastai_charrnn.analysis.step_drawings import STEPS
from fastai_charrnn.errors import ArchError, DataError, UnknownCharError


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def _texts(ax):
    return [t.get_text() for t in ax.texts if t.get_text()]


@pytest.mark.parametrize("arch", DRAWN)
@pytest.mark.parametrize("n", [1, 4])
def test_an_unrolled_drawing_has_every_character_and_state(arch, n):
    texts = _texts(plot_arch(arch, n=n))
    for k in range(1, n + 1):
        assert f"$c_{{{k}}}$" in texts
        assert f"$h_{{{k}}}$" in texts
    assert f"$c_{{{n + 1}}}$" not in texts
    assert texts.count("0") == texts.count("next") == 1


@pytest.mark.parametrize("arch", DRAWN)
def test_a_rolled_drawing_has_one_step_and_no_initial_state(arch):
    texts = _texts(plot_arch(arch, n=5, rolled=True))
    assert texts.count("$c_{t}$") == texts.count("$h_{t}$") == 1
    assert "0" not in texts


def test_every_architecture_of_the_package_has_a_drawing():
    assert set(DRAWN) == set(list_archs()) - {"hawk"}
    with pytest.raises(ArchError, match="'hawk' has no drawing; plot_arch draws char3, loop"):
        plot_arch("hawk")


@pytest.mark.parametrize("arch", STEPS)
@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_the_step_of_an_architecture_with_gates_can_be_read_on_light_and_dark_axes(arch, style):
    with plt.style.context(style):
        ax = plot_arch(arch)
        ax.figure.canvas.draw()
        page = matplotlib.colors.to_rgb(ax.get_facecolor())
        assert all(contrast(matplotlib.colors.to_rgb(t.get_color()), page) >= 4.5 for t in ax.texts)
    assert len({matplotlib.colors.to_hex(t.get_color()) for t in ax.texts}) >= 4
    gates = {"lstm": 4, "mullstm": 5, "gru": 3, "ensemble": 0}
    texts = _texts(ax)
    # an LSTM's cell has one tanh more, which has no weights
    assert sum(t in ("σ", "2σ", "tanh") for t in texts) == gates[arch] + ("lstm" in arch)
    assert texts.count("next") == 1


def test_a_character_has_one_kind():
    chars = "aß漢 \n1²Ⅳ.«+AÉ\x07\u0301"
    kinds = [char_kind(c) for c in chars]
    assert kinds == [*["letters"] * 3, *["spaces"] * 2, *["digits"] * 3, *["punctuation"] * 3, *["capitals"] * 2,
                     *["other"] * 2]  # fmt: skip
    assert set(kinds) == set(KINDS)


def test_plots_draw_into_the_given_axes(trained):
    for draw in (
        lambda ax: plot_arch("loop", ax=ax),
        lambda ax: plot_embeddings(trained, ax=ax),
        lambda ax: plot_next(trained, "the", ax=ax),
        lambda ax: plot_over_text([0, 1], "ab", ax=ax),
    ):
        ax = plt.subplots()[1]
        assert draw(ax) is ax
        assert len(plt.get_fignums()) == 1
        ax.figure.canvas.draw()
        plt.close("all")
    assert plot_over_text([0, 1], "ab") is plt.gca()


def test_each_character_is_shown_once_at_its_principal_components(trained):
    chars = "aeiou tn_"
    ax = plot_embeddings(trained, chars)
    shown = {t.get_text().replace("␣", " "): np.array(t.get_position()) for t in ax.texts}
    assert sorted(shown) == sorted(chars)
    ids = torch.from_numpy(trained.dls.vocab.encode(chars).astype(np.int64))
    weight = trained.model.emb.weight.detach()[ids]
    singular_values = torch.linalg.svdvals(weight - weight.mean(0))[:2]
    positions = np.stack([shown[c] for c in chars])
    assert np.allclose(np.linalg.norm(positions, axis=0), singular_values, rtol=1e-4)
    assert np.allclose(positions.mean(0), 0, atol=1e-5)


def test_all_characters_except_padding_and_line_end_are_shown_by_default(trained):
    assert len(plot_embeddings(trained).texts) == len(trained.dls.vocab) - 1 - ("\n" in trained.dls.vocab)
    with pytest.raises(UnknownCharError):
        plot_embeddings(trained, "ab漢")
    with pytest.raises(DataError, match="at least three"):
        plot_embeddings(trained, "ab")


def test_bars_are_the_probabilities_of_the_next_characters_from_the_top(trained):
    ax = plot_next(trained, "the __", top=5)
    probs = trained.next_probs("the __", top=5)
    assert [bar.get_width() for bar in ax.patches] == list(probs.values())
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [{" ": "␣", "\n": "⏎"}.get(c, c) for c in probs]
    low, high = ax.get_ylim()
    assert low > high
    assert ax.get_title() == "after 'the __'"
    ax.figure.canvas.draw()


def test_every_bar_has_a_visible_name_and_long_prompts_are_cut(trained):
    ax = plot_next(trained, "x" * 100, top=None)
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert len(names) == len(set(names)) == len(trained.dls.vocab)
    assert r"\x00" in names
    assert all(name.isprintable() for name in names)
    assert ax.get_title() == f"after '…{'x' * 29}'"
    ax.figure.canvas.draw()


def test_invalid_arguments_are_errors_before_axes_are_made(trained):
    with pytest.raises(UnknownCharError, match="at position 4"):
        plot_next(trained, "the 漢")
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    "values", [np.arange(6.0).reshape(2, 3), torch.arange(6.0).reshape(2, 3).requires_grad_(), [[0, 1, 2], [3, 4, 5]]]
)
def test_values_are_drawn_over_their_characters(values):
    ax = plot_over_text(values, "a $", ["one", "two"], vmax=5)
    assert ax.images[0].get_array().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "␣", "$"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two"]
    ax.figure.canvas.draw()


def test_values_that_do_not_fit_the_text_or_the_labels_are_errors():
    with pytest.raises(DataError, match=r"\(1, 2\) do not fit 3 characters; pass \(rows, 3\)"):
        plot_over_text([1, 2], "abc")
    with pytest.raises(DataError, match="1 labels for 2 rows"):
        plot_over_text([[1], [2]], "a", ["x"])
