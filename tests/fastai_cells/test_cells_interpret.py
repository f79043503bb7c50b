"""fastai's notebook 20, interpret: predictions with the largest losses, and what is confused with what."""

import numpy as np
import pytest
import torch
from fastai.interpret import ClassificationInterpretation, Interpretation
from tiny import nll

# what fastai returns for items
NAMES = ("inputs", "preds", "targs", "decoded", "losses")


@pytest.fixture
def trained(learn):
    "A learner whose predictions are not uniform."
    learn.fit(1)
    return learn


def _flat_nll(preds, targs):
    "The loss of each target, from probabilities."
    return -preds.gather(-1, targs[..., None])[..., 0].log()


@pytest.mark.parametrize("ds_idx", [1, 0], ids=["valid", "train"])
def test_an_interpretation_has_inputs_targets_and_losses(trained, ds_idx):
    """20, Interpretation: of all items, equal to those of `get_preds`, for validation and training.

    An item of streams is a character with the text before it. The loss of a window is the mean of its targets."""
    interp = Interpretation.from_learner(trained, ds_idx=ds_idx)
    dl = trained.dls[ds_idx].new(shuffle=False, drop_last=False)
    x, preds, y = trained.get_preds(dl=dl, with_input=True)
    found = dict(zip(NAMES, interp[:]))
    assert found["inputs"].equal(x) or found["inputs"][:, -1].equal(x)
    assert found["targs"].equal(y) and found["decoded"].equal(preds.argmax(-1))
    torch.testing.assert_close(found["preds"], preds)
    losses = _flat_nll(preds, y)
    torch.testing.assert_close(found["losses"], losses if losses.ndim == 1 else losses.mean(1))


def test_the_top_losses_are_those_of_their_items(trained):
    "20, top_losses: the stored losses equal those computed anew for the same items."
    interp = Interpretation.from_learner(trained)
    top, idx = interp.top_losses(9)
    assert top.tolist() == sorted(top.tolist(), reverse=True)
    found = dict(zip(NAMES, interp[idx]))
    torch.testing.assert_close(found["losses"], top)
    torch.testing.assert_close(_flat_nll(found["preds"], found["targs"]).flatten(), top)


@pytest.mark.parametrize("which", [9, range(7, 16)], ids=["first", "range"])
def test_the_top_losses_are_shown(trained, capsys, which):
    "20, plot_top_losses: the first nine, or the seventh to the sixteenth."
    Interpretation.from_learner(trained).plot_top_losses(which)
    shown = capsys.readouterr().out
    assert "loss" in shown.lower()
    assert len(shown.strip().splitlines()) >= 9


def test_results_of_chosen_items_are_shown(trained, capsys):
    "20, show_results: the items that are named."
    Interpretation.from_learner(trained).show_results([0, 2])
    assert capsys.readouterr().out.strip()


def test_the_confusion_matrix_counts_every_prediction(trained):
    "20, ClassificationInterpretation: a row for each character, a count for each prediction."
    interp = ClassificationInterpretation.from_learner(trained)
    matrix = interp.confusion_matrix()
    _, y = trained.get_preds()
    assert matrix.shape == (trained.dls.c, trained.dls.c)
    assert matrix.sum() == y.numel()
    accuracy = np.trace(matrix) / matrix.sum()
    assert accuracy == pytest.approx(trained.validate()[1], abs=1e-6)


def test_what_is_confused_most_comes_first(trained):
    "20, most_confused: pairs of characters with counts, largest first."
    pairs = ClassificationInterpretation.from_learner(trained).most_confused(min_val=2)
    counts = [count for *_, count in pairs]
    assert counts == sorted(counts, reverse=True) and counts[-1] >= 2
    assert all(actual in trained.dls.vocab and actual != predicted for actual, predicted, _ in pairs)


def test_losses_of_a_function_are_interpreted(trained):
    "20, Interpretation: PyTorch's `cross_entropy` as loss function, with `reduction` as an argument."
    trained.loss_func = torch.nn.functional.cross_entropy
    interp = Interpretation.from_learner(trained)
    preds, targs = trained.get_preds()
    assert interp.losses.mean().item() == pytest.approx(nll(preds.log(), targs).item(), rel=1e-3)
