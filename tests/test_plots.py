"""The pictures: they draw what they are given, into the axes they are given, and refuse what does not fit."""
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fastai_charrnn.errors import ArchError,DataError,UnknownCharError
from fastai_charrnn.plots import DRAWN,plot_arch,plot_embeddings,plot_over_text


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def _texts(ax): return [t.get_text() for t in ax.texts if t.get_text()]


@pytest.mark.parametrize("arch", DRAWN)
@pytest.mark.parametrize("n", [1, 4])
def test_an_unrolled_drawing_has_every_character_and_state(arch, n):
    texts = _texts(plot_arch(arch, n=n))
    for k in range(1, n+1): assert f"$c_{k}$" in texts and f"$h_{k}$" in texts
    assert texts.count("0") == texts.count("next") == 1 and f"$c_{n+1}$" not in texts


@pytest.mark.parametrize("arch", DRAWN)
def test_a_rolled_drawing_has_one_step_and_no_start(arch):
    texts = _texts(plot_arch(arch, n=5, rolled=True))
    assert texts.count("$c_t$") == texts.count("$h_t$") == 1 and "0" not in texts


def test_drawings_go_where_they_are_told(trained):
    for draw in (lambda ax: plot_arch("loop", ax=ax), lambda ax: plot_embeddings(trained, ax=ax), lambda ax: plot_over_text([0, 1], "ab", ax=ax)):
        ax = plt.subplots()[1]
        assert draw(ax) is ax and len(plt.get_fignums()) == 1
        ax.figure.canvas.draw()
        plt.close("all")
    assert plot_over_text([0, 1], "ab") is plt.gca()


def test_what_has_no_drawing_is_refused():
    with pytest.raises(ArchError, match="'lstm' has no drawing; plot_arch draws char3, loop, concat, rnn"): plot_arch("lstm")
    with pytest.raises(DataError, match="n=0 characters cannot be drawn"): plot_arch("loop", n=0)


def test_the_map_shows_each_character_once_where_its_embedding_lies(trained):
    chars = "aeiou tn_"
    ax = plot_embeddings(trained, chars)
    shown = {t.get_text().replace("␣", " "): np.array(t.get_position()) for t in ax.texts}
    assert sorted(shown) == sorted(chars)
    weight = trained.model.emb.weight.detach()[torch.from_numpy(trained.dls.vocab.encode(chars).astype(np.int64))]
    projected = weight-weight.mean(0)
    values = torch.linalg.svdvals(projected)[:2]
    at = np.stack([shown[c] for c in chars])
    assert np.allclose(np.linalg.norm(at, axis=0), values, rtol=1e-4) and np.allclose(at.mean(0), 0, atol=1e-5)


def test_all_characters_but_padding_and_line_end_are_shown_unless_chosen(trained):
    assert len(plot_embeddings(trained).texts) == len(trained.dls.vocab)-1-("\n" in trained.dls.vocab)
    with pytest.raises(UnknownCharError): plot_embeddings(trained, "ab漢")
    with pytest.raises(DataError, match="at least three"): plot_embeddings(trained, "ab")


@pytest.mark.parametrize("values", [np.arange(6.).reshape(2, 3), torch.arange(6.).reshape(2, 3).requires_grad_(), [[0, 1, 2], [3, 4, 5]]])
def test_numbers_stand_over_their_characters(values):
    ax = plot_over_text(values, "a $", ["one", "two"], vmax=5)
    assert ax.images[0].get_array().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "␣", "$"] and [t.get_text() for t in ax.get_yticklabels()] == ["one", "two"]
    ax.figure.canvas.draw()


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match=r"\(1, 2\) do not fit 3 characters; pass \(rows, 3\)"): plot_over_text([1, 2], "abc")
    with pytest.raises(DataError, match="1 labels for 2 rows"): plot_over_text([[1], [2]], "a", ["x"])

