"""Comparisons of learners and confusions of characters have the numbers computed by hand."""

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from learner_helpers import quiet_fit
from matplotlib.colors import to_rgb

from fastai_charrnn._colours import contrast
from fastai_charrnn.all import CharDataLoaders, char_learner, ngram_baseline
from fastai_charrnn.analysis.char_kinds import KINDS
from fastai_charrnn.analysis.compare import compare
from fastai_charrnn.analysis.confusion import Confusion, confusion, plot_confusion
from fastai_charrnn.errors import ArchError, CharRnnWarning, DataError


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def learners(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("compared")
    dls = CharDataLoaders.from_text(small[:6000], bs=256, seed=1, device="cpu", path=path)
    learners = [char_learner(dls, n_hid=16, seed=seed) for seed in (1, 2)]
    for n_epoch, learn in enumerate(learners, 1):
        quiet_fit(learn, n_epoch, 1e-2)
    return learners


def test_curves_and_table_are_those_of_the_training_logs(learners):
    found = compare(learners)
    names = ["rnn 16", "rnn 16 (2)"]
    lines = {line.get_label(): line for line in found.ax.lines}
    for name, learn in zip(names, learners):
        losses = [row["valid_loss"] for row in learn.training_log.rows]
        assert list(lines[name].get_xdata()) == list(range(1, len(losses) + 1))
        assert list(lines[name].get_ydata()) == losses
        assert f"{losses[-1]:.4f}" in repr(found) and f"{losses[-1]:.4f}" in found._repr_html_()
    loss = ngram_baseline(learners[0].dls).best.nats
    assert list(lines["n-grams"].get_ydata()) == [loss, loss]
    assert found.best.name == "rnn 16 (2)"
    assert f"{found.best.best - loss:+.4f}  best" in repr(found)
    dashed = [line for line in found.ax.lines if line.get_linestyle() == "--" and len(line.get_xdata())]
    assert [list(line.get_ydata()) for line in dashed] == [
        [row["train_loss"] for row in learn.training_log.rows] for learn in learners
    ]


def test_names_and_the_line_of_n_grams_can_be_given(learners):
    ax = plt.subplots()[1]
    found = compare({"<b>$x$": learners[0]}, ngrams=2.5, ax=ax)
    assert found.ax is ax and found.ngram_loss == 2.5
    assert "&lt;b&gt;" in found._repr_html_() and "<b>" not in found._repr_html_()
    assert ax.get_legend().get_texts()[0].get_text() == "<b>$x$"
    ax.figure.canvas.draw()
    assert "n-grams" not in repr(compare(learners, ngrams=False)).split("\n", 1)[1]
    assert compare(learners, ngrams=ngram_baseline(learners[0].dls, 1)).ngram_loss > 2


def test_what_cannot_be_compared_is_an_error_or_a_warning(learners, small):
    for learns in ([], {}, 3, "rnn"):
        with pytest.raises(DataError, match="are no learners; pass a list of them, or a dict"):
            compare(learns)
    with pytest.raises(DataError, match="'rnn 8' has no trained epoch"):
        compare([char_learner(learners[0].dls, n_hid=8)])
    other = char_learner(CharDataLoaders.from_text(small[:5000], bs=256, device="cpu"), n_hid=16)
    quiet_fit(other, 1)
    with pytest.warns(CharRnnWarning, match="validate on different texts or splits"):
        compare([learners[0], other], ngrams=False)


def test_confusions_are_counted_by_character_and_kind(learners):
    learn = learners[1]
    _, targets, decoded = learn.get_preds(with_decoded=True)
    found = confusion(learn)
    vocab = learn.dls.vocab
    for pair in found.largest(5):
        actual, predicted = int(vocab.encode(pair.actual)[0]), int(vocab.encode(pair.predicted)[0])
        assert pair.count == int(((targets == actual) & (decoded == predicted)).sum()) > 0
        assert pair.share == pytest.approx(pair.count / int((targets == actual).sum()))
        assert actual != predicted
    assert found.accuracy == pytest.approx(float((targets == decoded).double().mean()))
    assert found.by_kind().sum() == len(targets)
    assert repr(found.largest(1)[0].actual) in repr(found)


def test_the_largest_confusions_are_in_order_and_of_the_chosen_kinds():
    chars = ("\0", "a", "b", "A", "1", " ")
    counts = np.zeros((6, 6), int)
    counts[1, 1:4] = 5, 2, 3
    counts[3, 1] = 4
    counts[4, 5] = 1
    found = Confusion(counts, chars)
    assert [(o.actual, o.predicted, o.count) for o in found.largest(3)] == [("A", "a", 4), ("a", "A", 3), ("a", "b", 2)]
    assert [o.count for o in found.largest(9, "letters", "letters")] == [2]
    assert found.largest(9, "spaces") == []
    kinds = found.by_kind()
    assert kinds[KINDS.index("letters")].tolist() == [7, 3, 0, 0, 0, 0]
    assert found.accuracy == pytest.approx(5 / 15)
    ax = plot_confusion(found)
    texts = {tuple(t.get_position()): t.get_text() for t in ax.texts}
    assert texts[0, 0] == "50% right, 20% not\na → b"
    assert texts[1, 0] == "30.0%\na → A"
    assert texts[3, 2] == "100.0%\n1 → ␣"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["letters\n10", "capitals\n4", "digits\n1", "spaces\n0"]
    values = ax.images[0].get_array()
    for text in ax.texts:
        j, i = text.get_position()
        cell = ax.images[0].to_rgba(values)[int(i), int(j), :3]
        assert contrast(to_rgb(text.get_color()), tuple(cell)) >= 4.5


def test_an_empty_or_foreign_confusion_is_handled(learners):
    with pytest.raises(DataError, match="learn=3 is no learner"):
        plot_confusion(3)
    with pytest.raises(ArchError, match="learn=3 is not a learner of characters"):
        confusion(3)
    with pytest.raises(DataError, match="top=9 is more than 5"):
        plot_confusion(learners[0], top=9)
    nothing = Confusion(np.zeros((2, 2), int), ("\0", "a"))
    assert nothing.accuracy == 0 and nothing.largest() == []
