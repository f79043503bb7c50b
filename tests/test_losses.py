"""The losses of PyTorch and fastai train, validate, predict and show results in all reading modes."""

import pickle
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from fastai.losses import CrossEntropyLossFlat, LabelSmoothingCrossEntropy
from reading_modes import MODES, learner
from torch import nn

from fastai_charrnn.all import CharNLLLoss, FlatLoss

LOSSES = dict(
    function=F.cross_entropy,
    module=nn.CrossEntropyLoss(),
    flat=CrossEntropyLossFlat(),
    nll=F.nll_loss,
    nll_module=nn.NLLLoss(),
    partial=partial(F.cross_entropy, label_smoothing=0.0),
    smoothing=LabelSmoothingCrossEntropy(eps=0.0),
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss", LOSSES)
def test_cross_entropy_of_any_spelling_equals_our_loss(loss, mode, small):
    ours = learner(small[:800], mode)
    theirs = learner(small[:800], mode, loss_func=LOSSES[loss])
    for learn in (ours, theirs):
        learn.dls.train.seed(0)
        learn.fit(1, 1e-3)
    assert list(theirs.validate()) == pytest.approx(list(ours.validate()), rel=1e-4)
    found = theirs.get_preds(with_loss=True, with_decoded=True)
    for a, b in zip(found, ours.get_preds(with_loss=True, with_decoded=True)):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("mode", ["windows", "streams"])
def test_a_loss_of_pytorch_shows_results_and_finds_rates(mode, small, capsys):
    learn = learner(small[:800], mode, loss_func=F.cross_entropy)
    learn.show_results(max_n=2)
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert 0 < learn.lr_find(num_it=8, show_plot=False).descent < 1


def test_a_loss_set_later_takes_any_shape_too(small):
    learn = learner(small[:800], "streams")
    before = learn.validate()
    learn.loss_func = nn.CrossEntropyLoss()
    assert isinstance(learn.loss_func, FlatLoss)
    assert list(learn.validate()) == pytest.approx(list(before), rel=1e-5)


def test_a_loss_of_ones_own_is_left_as_it_is(small):
    def own(pred, target):
        assert pred.dim() == 3
        return F.nll_loss(pred.flatten(0, 1), target.flatten())

    learn = learner(small[:800], "streams", loss_func=own)
    assert learn.loss_func is own
    learn.fit(1)
    assert isinstance(learner(small[:800], "streams").loss_func, CharNLLLoss)


def test_a_flat_loss_has_the_reduction_of_its_loss_and_is_pickled():
    loss = pickle.loads(pickle.dumps(FlatLoss(nn.CrossEntropyLoss())))
    assert loss.reduction == "mean"
    loss.reduction = "none"
    pred = torch.randn(2, 3, 5)
    target = torch.tensor([[0, 1, 2], [3, 4, 0]])
    assert torch.allclose(loss(pred, target), F.cross_entropy(pred.flatten(0, 1), target.flatten(), reduction="none"))
    assert torch.allclose(loss.activation(pred).sum(-1), torch.ones(2, 3))
    assert torch.equal(loss.decodes(pred), pred.argmax(-1))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_loss_of_predictions_by_time_is_that_of_a_copy_by_row(reduction):
    "Models return (bs, n, vocab) as a view of (n, bs, vocab)."
    log_probs = torch.randn(5, 3, 7, dtype=torch.float64).log_softmax(-1).transpose(0, 1)
    targets = torch.randint(7, (3, 5))
    loss = CharNLLLoss(reduction)
    torch.testing.assert_close(loss(log_probs, targets), loss(log_probs.contiguous(), targets), atol=1e-12, rtol=1e-12)
