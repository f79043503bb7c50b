"""Loss and metrics: `CharNLLLoss`, accuracy and bits per character, averaged over characters.

Losses are in nats, as in PyTorch. One nat is 1 / ln 2 = 1.4427 bits. A metric with `lower_is_better = True` tells
fastai's trackers, such as `SaveModelCallback`, which epoch is the best.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from fastai.learner import AvgLoss, AvgSmoothLoss
from fastai.losses import BaseLoss, FocalLoss, LabelSmoothingCrossEntropy
from fastai.torch_core import to_detach
from torch import Tensor, nn

__all__ = ["CharNLLLoss", "FlatLoss", "CharLoss", "CharAccuracy", "BitsPerChar", "SmoothLoss", "to_bits"]

# losses that take rows of one prediction each, and no more dimensions
_ROW_FUNCTIONS = (F.cross_entropy, F.nll_loss)
_ROW_LOSSES = (nn.CrossEntropyLoss, nn.NLLLoss, FocalLoss, LabelSmoothingCrossEntropy)


def to_bits(
    nats: float,  # a loss in nats
) -> float:  # bits
    "Convert a loss in nats to bits per character."
    return nats / math.log(2)


class CharNLLLoss:
    """Negative log-likelihood, in nats, of log-probabilities (…, vocab) and target indices (…).

    It has what fastai expects of a loss: `activation` returns probabilities, `decodes` the most likely index, and
    `reduction` is "mean", "sum" or "none" (one loss for each target, flattened)."""

    def __init__(
        self,
        reduction: str = "mean",  # "mean", "sum" or "none"
    ):
        self.reduction = reduction

    def __call__(self, inp: Tensor, targ: Tensor) -> Tensor:  # () in nats, or (numel(targ),) for "none"
        if self.reduction != "none" and inp.dim() == 3 and inp.transpose(0, 1).is_contiguous():
            # models return predictions by time: to copy the targets is cheaper
            inp, targ = inp.transpose(0, 1), targ.transpose(0, 1)
        return F.nll_loss(inp.reshape(-1, inp.shape[-1]), targ.reshape(-1), reduction=self.reduction)

    def activation(self, x: Tensor) -> Tensor:
        "Convert log-probabilities to probabilities."
        return x.exp()

    def decodes(self, x: Tensor) -> Tensor:
        "Return the most likely index."
        return x.argmax(dim=-1)

    def __repr__(self) -> str:
        return f"CharNLLLoss(reduction={self.reduction!r})"


class FlatLoss(BaseLoss):
    """A loss of PyTorch or fastai for predictions (…, vocab) and targets (…), as `CrossEntropyLossFlat` is.

    The model returns log-probabilities, which are also logits, so cross-entropy and negative log-likelihood are equal.
    `activation` returns probabilities, `decodes` the most likely index."""

    axis = -1
    flatten = is_2d = True
    floatify = False

    def __init__(
        self,
        func: Callable,  # of rows (n, vocab) and targets (n,), such as `F.cross_entropy` or `nn.NLLLoss()`
    ):
        self.func = func
        if not isinstance(func, nn.Module):
            self._of_function = getattr(func, "keywords", {}).get("reduction", "mean")

    @property
    def reduction(self) -> str:
        '"mean", "sum" or "none".'
        return self.func.reduction if isinstance(self.func, nn.Module) else self._of_function

    @reduction.setter
    def reduction(self, reduction: str):
        if isinstance(self.func, nn.Module):
            self.func.reduction = reduction
        else:
            self._of_function = reduction

    def __call__(self, inp: Tensor, targ: Tensor) -> Tensor:
        # a function has no attribute that keeps it
        options = {} if isinstance(self.func, nn.Module) else dict(reduction=self.reduction)
        return super().__call__(inp, targ, **options)

    def activation(self, x: Tensor) -> Tensor:
        "Convert log-probabilities or logits to probabilities."
        return x.softmax(-1)

    def decodes(self, x: Tensor) -> Tensor:
        "Return the most likely index."
        return x.argmax(dim=-1)


def flat_loss(
    loss_func: Callable,  # any loss
) -> Callable:
    "Return `FlatLoss(loss_func)` for a loss that takes rows only, otherwise `loss_func`."
    func = loss_func.func if isinstance(loss_func, partial) else loss_func
    takes_rows = func in _ROW_FUNCTIONS or isinstance(func, _ROW_LOSSES)
    return FlatLoss(loss_func) if takes_rows else loss_func


# fastai's `AvgLoss` weights batches by rows, and the rows of the last batch of streams have fewer characters.
class CharLoss(AvgLoss):
    "Mean loss over characters. Each character counts once, whatever the batch size. Base class of the other metrics."

    def accumulate(self, learn):
        "Add a batch, on the device of the model: a copy to the CPU would wait for a GPU."
        self.total += learn.to_detach(self.total_of(learn), cpu=False)
        self.count += learn.y.numel()

    def total_of(self, learn) -> Tensor:  # ()
        "Return the sum over the characters of the current batch."
        return learn.loss.mean() * learn.y.numel()


class CharAccuracy(CharLoss):
    "Part of the characters that the model predicts as most likely, from 0 to 1."

    def total_of(self, learn):
        return (learn.pred.argmax(-1) == learn.y).sum().float()

    @property
    def name(self):
        return "accuracy"


class BitsPerChar(CharLoss):
    "Mean negative log-likelihood of the characters in bits, whatever the loss function."

    lower_is_better = True

    def total_of(self, learn):
        y = learn.y.reshape(-1)
        with torch.no_grad():
            dtype = torch.promote_types(learn.pred.dtype, torch.float32)
            log_probs = learn.pred.reshape(len(y), -1).to(dtype).log_softmax(-1)
            return F.nll_loss(log_probs, y, reduction="sum")

    @property
    def value(self):
        return to_bits(self.total / self.count) if self.count else None

    @property
    def name(self):
        return "bits_per_char"


# fastai's `AvgSmoothLoss` copies each loss to the CPU, so every batch waits for the GPU, and gathers it from all ranks
# although `ShardedTrainer` has summed it already.
class SmoothLoss(AvgSmoothLoss):
    "fastai's smoothed training loss, computed on the device of the loss."

    def accumulate(self, learn):
        self.count += 1
        loss = to_detach(learn.loss.mean(), cpu=False, gather=False)
        # float64 for a model in float64, and never less than float32
        loss = loss.to(torch.promote_types(loss.dtype, torch.float32))
        self.val = torch.lerp(loss, self.val.to(loss), self.beta)
