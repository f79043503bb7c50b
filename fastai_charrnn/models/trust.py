"""Which of several predictions to trust, by how well each has predicted the text so far: `trust_after`, `combined`.

The probability of a character is the mean of what all of them predict, weighed by the trust in each. A character
multiplies each trust by the probability that it was predicted with (Bayes' rule). A small share then goes back to how
the trust began, so that a prediction that was bad for one kind of text can come back with another (Herbster and
Warmuth 1998, *Tracking the Best Expert*). So the loss on any stretch of text is little above that of the best of them.
"""

import torch
from torch import Tensor

__all__ = ["scores_of", "trust_after", "trusts_after", "combined"]

_share = 0.001  # of the trust that goes back to how it began, with each character


def scores_of(
    predictions: Tensor,  # (…, k, V) log-probabilities
    x: Tensor,  # (…) int64: the characters that came
) -> Tensor:  # (…, k)
    "Return the log-probabilities with which k predictions predicted characters."
    index = x[..., None, None].expand(*predictions.shape[:-1], 1)
    return predictions.gather(-1, index).squeeze(-1)


@torch.no_grad()
def trust_after(
    trust: Tensor,  # (bs, k) logs of the trust in each of k predictions
    scores: Tensor,  # (bs, k) log-probabilities with which they predicted the character that came
    first: Tensor,  # (k,) trust at the beginning, with the sum 1
) -> Tensor:  # (bs, k) logs, whose exponentials have the sum 1
    "Return the trust after a character. It is a constant for gradients."
    posterior = (trust + scores).softmax(1)
    return torch.lerp(posterior, first.to(posterior.dtype), _share).log()


def trusts_after(
    trust: Tensor,  # (bs, k), before the first of n characters
    scores: Tensor,  # (n, bs, k), of each character
    first: Tensor,  # (k,)
) -> Tensor:  # (n, bs, k)
    "Return the trust after each of n characters."
    trusts = []
    for score in scores:
        trust = trust_after(trust, score, first)
        trusts.append(trust)
    return torch.stack(trusts)


def combined(
    trust: Tensor,  # (…, k) logs of the trust
    predictions: Tensor,  # (…, k, V) log-probabilities
) -> Tensor:  # (…, V) log-probabilities
    "Return the mean of predictions, weighed by the trust in them."
    return torch.logsumexp(trust[..., None] + predictions, -2)
