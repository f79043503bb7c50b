"""How well a model predicts: the loss, bits per character, and both for a batch of log-probabilities.

One nat is 1/ln 2 = 1.4427 bits; losses are in nats, as everywhere in PyTorch.
"""

import math

import torch
import torch.nn.functional as F
from fastai.learner import AvgLoss, AvgSmoothLoss
from fastai.torch_core import to_detach
from torch import Tensor

__all__ = ["CharNLLLoss", "CharLoss", "CharAccuracy", "BitsPerChar", "SmoothLoss", "to_bits"]


def to_bits(
    nats: float,  # a loss in nats
) -> float:  # the same in bits
    "Bits per character of a loss in nats."
    return nats / math.log(2)


class CharNLLLoss:
    """Negative log-likelihood, in nats, of log-probabilities (…, vocab) against indices (…).

    What fastai asks of a loss: `activation` gives probabilities, `decodes` the likeliest index, `reduction` is
    "mean", "sum" or "none" (then one loss an index, flattened)."""

    def __init__(
        self,
        reduction: str = "mean",  # "mean", "sum" or "none"
    ):
        self.reduction = reduction

    def __call__(self, inp: Tensor, targ: Tensor) -> Tensor:  # () in nats, or (numel(targ),) for "none"
        return F.nll_loss(inp.reshape(-1, inp.shape[-1]), targ.reshape(-1), reduction=self.reduction)

    def activation(self, x: Tensor) -> Tensor:
        "Probabilities of log-probabilities."
        return x.exp()

    def decodes(self, x: Tensor) -> Tensor:
        "The likeliest index."
        return x.argmax(dim=-1)

    def __repr__(self) -> str:
        return f"CharNLLLoss(reduction={self.reduction!r})"


class CharLoss(AvgLoss):
    "The mean of the loss; each character counts once, whatever the batches. (fastai's counts rows, and streams end in shorter ones.)"

    def accumulate(self, learn):
        "Add a batch."
        self.total += learn.to_detach(self.total_of(learn))
        self.count += learn.y.numel()

    def total_of(self, learn) -> Tensor:  # ()
        "The sum over the characters of a batch."
        return learn.loss.mean() * learn.y.numel()


class CharAccuracy(CharLoss):
    "The part of the characters that are the likeliest; each counts once, whatever the batches."

    def total_of(self, learn):
        return (learn.pred.argmax(-1) == learn.y).sum().float()

    @property
    def name(self):
        return "accuracy"


class BitsPerChar(CharLoss):
    "Bits per predicted character, whatever loss trains; each character counts once, whatever the batches."

    def total_of(self, learn):
        y = learn.y.reshape(-1)
        with torch.no_grad():
            return F.nll_loss(learn.pred.reshape(len(y), -1).float().log_softmax(-1), y, reduction="sum")

    @property
    def value(self):
        return to_bits(self.total / self.count) if self.count else None

    @property
    def name(self):
        return "bits_per_char"


class SmoothLoss(AvgSmoothLoss):
    "fastai's smoothed training loss, kept where the loss is computed, so that no batch waits until the device has told a number."

    def accumulate(self, learn):
        self.count += 1
        loss = to_detach(learn.loss.mean(), cpu=False, gather=False)  # of several processes it is the mean already
        self.val = torch.lerp(loss, self.val.to(loss.device), self.beta)
