"""fastai's `Interpretation` of windows, chunks and streams has the numbers computed by hand."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fastai.interpret import ClassificationInterpretation, Interpretation
from reading_modes import MODES, learner, preds_by_hand


@pytest.fixture(scope="module", params=MODES)
def learn(request, small, tmp_path_factory):
    return learner(small[:4_000], request.param, tmp_path_factory.mktemp("learn"))


@pytest.fixture
def interp(learn):
    return ClassificationInterpretation.from_learner(learn)


def _losses_by_hand(learn):
    log_probs, targets = preds_by_hand(learn)
    losses = -log_probs.gather(-1, targets[..., None])[..., 0]
    return losses.reshape(len(targets), -1).mean(1)


def _rows(capsys):
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if line.strip()]


def test_top_losses_are_the_largest_by_hand(learn, interp):
    expected = _losses_by_hand(learn)
    losses, idxs, items = interp.top_losses(3, items=True)
    assert torch.allclose(losses, expected.topk(3).values, atol=1e-4)
    assert torch.allclose(expected[idxs], losses, atol=1e-4)
    assert len(items) == 3
    smallest, _ = interp.top_losses(2, largest=False)
    assert torch.allclose(smallest, expected.sort().values[:2], atol=1e-4)


def test_items_of_an_interpretation_are_predicted_again(learn, interp):
    log_probs, targets = preds_by_hand(learn)
    idxs = [5, 0, 17]
    probs, y, decoded = interp[idxs][1:4]
    losses = interp[idxs][4]
    assert torch.allclose(probs, log_probs[idxs].exp(), atol=1e-5)
    assert torch.equal(y, targets[idxs])
    assert torch.equal(decoded, log_probs[idxs].argmax(-1))
    assert torch.equal(losses, interp.losses[idxs])


def test_plot_top_losses_shows_text_target_prediction_probability_and_loss(learn, interp, capsys):
    losses, idxs = interp.top_losses(3)
    interp.plot_top_losses(3)
    lines = _rows(capsys)
    assert lines[0].split() == ["text", "next", "predicted", "probability", "loss"]
    assert len(lines) == 4
    log_probs, targets = preds_by_hand(learn)
    for line, loss, i in zip(lines[1:], losses, idxs):
        assert line.split()[-1] == f"{loss:.2f}"
        assert line.split()[-2] == f"{(-loss).exp():.4f}"
        assert repr(learn.dls.vocab.decode(targets[i])) in line
        assert repr(learn.dls.vocab.decode(log_probs[i].argmax(-1))) in line


def test_show_results_shows_chosen_items(learn, interp, capsys):
    log_probs, targets = preds_by_hand(learn)
    interp.show_results([2, 9])
    lines = _rows(capsys)
    assert lines[0].split() == ["text", "next", "predicted"]
    for line, i in zip(lines[1:], [2, 9]):
        assert repr(learn.dls.vocab.decode(targets[i])) in line
        assert repr(learn.dls.vocab.decode(log_probs[i].argmax(-1))) in line


def test_the_confusion_matrix_counts_targets_and_predictions(learn, interp, capsys):
    log_probs, targets = preds_by_hand(learn)
    decoded = log_probs.argmax(-1).flatten()
    expected = np.zeros((learn.dls.c, learn.dls.c), int)
    for y, predicted in zip(targets.flatten().tolist(), decoded.tolist()):
        expected[y, predicted] += 1
    assert np.array_equal(interp.confusion_matrix(), expected)
    np.fill_diagonal(expected, 0)
    actual, predicted, count = interp.most_confused()[0]
    assert count == expected.max() == expected[learn.dls.vocab.o2i[actual], learn.dls.vocab.o2i[predicted]]


@pytest.mark.filterwarnings("ignore:.*ill-defined", "ignore:Glyph 0")
def test_the_classification_report_and_the_plot_of_the_matrix(learn, interp, capsys):
    log_probs, targets = preds_by_hand(learn)
    accuracy = (log_probs.argmax(-1) == targets).double().mean()
    interp.print_classification_report()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.split()[:1] in (["accuracy"], ["micro"])]
    assert f"{accuracy:.2f}" in line.split()
    interp.plot_confusion_matrix(plot_txt=False)
    assert np.array_equal(plt.gca().images[0].get_array(), interp.confusion_matrix())
    plt.close("all")


def test_the_training_part_is_interpreted_in_its_own_rows(learn):
    interp = Interpretation.from_learner(learn, ds_idx=0)
    losses, idxs = interp.top_losses(2)
    probs, targets = interp[idxs][1:3]
    nats = -probs.gather(-1, targets[..., None])[..., 0].log().reshape(2, -1).mean(1)
    assert torch.allclose(nats, losses, atol=1e-4)


def test_shifted_streams_keep_the_offset_of_the_interpretation(small):
    learn = learner(small[:4_000], "streams", shift=True)
    interp = Interpretation.from_learner(learn, ds_idx=0)
    losses, idxs = interp.top_losses(2)
    probs, targets = interp[idxs][1:3]
    assert torch.allclose(-probs.gather(-1, targets[..., None])[..., 0].log(), losses, atol=1e-4)
