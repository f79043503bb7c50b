"""The loss and the metrics of a `CharLearner`."""

import pytest
import torch
import torch.nn.functional as F
from learner_helpers import quiet_fit

from fastai_charrnn.all import BitsPerChar, CharDataLoaders, CharNLLLoss, char_learner, to_bits


@pytest.fixture
def batch():
    "Log-probabilities (5, 3, 7) and targets (5, 3)."
    return torch.randn(5, 3, 7).log_softmax(-1), torch.randint(7, (5, 3))


def test_the_loss_is_the_mean_over_characters(batch):
    log_probs, targets = batch
    expected = F.nll_loss(log_probs.flatten(0, 1), targets.flatten()).item()
    assert CharNLLLoss()(log_probs, targets) == pytest.approx(expected)


def test_the_loss_can_be_left_unreduced(batch):
    assert CharNLLLoss("none")(*batch).shape == (15,)


def test_the_loss_decodes_predictions_for_fastai(batch):
    log_probs, _ = batch
    loss = CharNLLLoss()
    assert torch.allclose(loss.activation(log_probs).sum(-1), torch.ones(5, 3))
    assert torch.equal(loss.decodes(log_probs), log_probs.argmax(-1))


class _Batch:
    "The part of a learner that a metric reads."

    def __init__(self, pred, y):
        self.pred = pred
        self.y = y

    def to_detach(self, tensor, cpu=True):
        return tensor


def test_bits_per_char_counts_characters_not_batches():
    scores = torch.randn(6, 4)
    targets = torch.randint(4, (6,))
    metric = BitsPerChar()
    metric.reset()
    metric.accumulate(_Batch(scores[:5], targets[:5]))
    metric.accumulate(_Batch(scores[5:], targets[5:]))
    expected = to_bits(F.cross_entropy(scores, targets).item())
    assert float(metric.value) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kwargs", [{}, dict(target="every", stateful=True)])
def test_a_model_in_float64_trains_validates_and_generates(small, kwargs):
    "The recorded numbers are those of PyTorch's loss in float64."
    dls = CharDataLoaders.from_text(small[:3000], seq_len=8, bs=64, valid="tail", device="cpu", **kwargs)
    learn = char_learner(dls, "gru", n_hid=16, seed=0)
    learn.model.double()
    row = quiet_fit(learn, 1)[0]
    assert all(loss.dtype is torch.float64 for loss in learn.recorder.losses)
    probs, targets = learn.get_preds()
    assert probs.dtype is torch.float64
    loss = F.nll_loss(probs.flatten(0, -2).log(), targets.flatten())
    assert row["valid_loss"] == pytest.approx(float(loss), rel=1e-12)
    assert row["bits_per_char"] == pytest.approx(to_bits(float(loss)), rel=1e-12)
    assert len(learn.generate("the ", 5, seed=1)) == 9
