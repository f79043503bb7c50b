"""Sampling filters: temperature, top-k, top-p, min-p and repetition penalty, and the draw from filtered scores.

Scores (rows, V) are logarithms of probabilities up to a constant; excluded characters have -inf. To add a filter:

1. Write a pure function of scores here, next to `keep_min_p`, and call it in `filter_scores`, which sets the order.
2. Add its option, with a check, to `GenerationConfig` in `options`, to `generate`, and its type to `names`.
   `grep -rnE "min[_-]p" fastai_charrnn docs tests` shows all other places that list the options: add it there too.
3. Test it against a plain version of its definition: `tests/plain_sampling.py` and `tests/generation/test_filters.py`.
"""

import torch
from torch import Tensor

from .options import GenerationConfig

__all__ = [
    "penalize_repetition",
    "apply_temperature",
    "keep_top_k",
    "keep_top_p",
    "keep_min_p",
    "filter_scores",
    "draw",
]

# smaller temperatures would overflow the quotient; at this one the most likely character is already certain
_min_temperature = 1e-300


def filter_scores(
    log_probs: Tensor,  # (rows, V)
    options: GenerationConfig,  # which filters to apply
    seen: Tensor | None = None,  # (rows, V) bool: characters that occur in each text, for a repetition penalty
) -> Tensor:  # (rows, V)
    """Apply every filter of `options`, each to the result of the one before.

    The order is that of Hugging Face's `generate`: repetition penalty, temperature, top-k, top-p, min-p. At temperature
    0 only the penalty is applied, because the others keep the most likely character."""
    scores = log_probs
    if options.repetition_penalty is not None:
        scores = penalize_repetition(scores, seen, options.repetition_penalty)
    if options.greedy:
        return scores
    scores = apply_temperature(scores, options.temperature)
    if options.top_k is not None:
        scores = keep_top_k(scores, options.top_k)
    if options.top_p is not None:
        scores = keep_top_p(scores, options.top_p)
    if options.min_p is not None:
        scores = keep_min_p(scores, options.min_p)
    return scores


def penalize_repetition(
    scores: Tensor,  # (rows, V)
    seen: Tensor,  # (rows, V) bool: characters that occur in each text
    penalty: float,  # above 1: they become less likely; below 1: more likely
) -> Tensor:  # (rows, V)
    """Multiply the negative scores of seen characters by the penalty, and divide the positive ones by it.

    Keskar et al. 2019, *CTRL*, section 4.1."""
    penalized = torch.where(scores > 0, scores / penalty, scores * penalty)
    # a large penalty must not exclude every character
    return torch.where(seen, penalized, scores).clamp_min(torch.finfo(scores.dtype).min)


def apply_temperature(
    scores: Tensor,  # (rows, V)
    temperature: float,  # above 0
) -> Tensor:  # (rows, V)
    "Divide scores by the temperature. Each row is shifted to a maximum of 0 first, to avoid overflow."
    if temperature == 1:
        return scores
    return (scores - scores.amax(-1, keepdim=True)).div_(max(temperature, _min_temperature))


def keep_top_k(
    scores: Tensor,  # (rows, V)
    k: int,  # characters to keep
) -> Tensor:  # (rows, V)
    "Keep the `k` largest scores of each row. Among equal scores the lower index is kept."
    if k >= scores.shape[-1]:
        return scores
    top = _ranked(scores)[1][:, :k]
    return torch.full_like(scores, -torch.inf).scatter_(-1, top, scores.gather(-1, top))


def keep_top_p(
    scores: Tensor,  # (rows, V)
    p: float,  # from 0, which keeps the most likely character, to 1, which keeps all
) -> Tensor:  # (rows, V)
    """Keep the nucleus: the fewest most likely characters whose probabilities add up to `p` or more.

    Holtzman et al. 2020, *The Curious Case of Neural Text Degeneration*."""
    if p >= 1:
        return scores
    ranked_scores, order = _ranked(scores)
    probs = ranked_scores.softmax(-1)
    more_likely = probs.cumsum(-1) - probs
    excluded = more_likely >= p
    excluded[:, 0] = False
    return scores.masked_fill(torch.zeros_like(excluded).scatter_(-1, order, excluded), -torch.inf)


def keep_min_p(
    scores: Tensor,  # (rows, V)
    p: float,  # from 0, which keeps all characters, to 1, which keeps the most likely
) -> Tensor:  # (rows, V)
    """Keep characters at least `p` times as likely as the most likely one.

    Nguyen et al. 2024, *Turning Up the Heat*."""
    ratios = (scores - scores.amax(-1, keepdim=True)).exp()
    return scores.masked_fill(ratios < p, -torch.inf)


def draw(
    scores: Tensor,  # (rows, V) float64
    u: Tensor,  # (rows, 1) uniform in [0, 1)
    temperature: float = 1.0,  # above 0, if it was not applied to the scores before
) -> Tensor:  # (rows,) int64
    """Draw one index for each row by inverting the cumulative distribution.

    The index depends only on the row's scores and its number `u`."""
    # exp takes a fifth of the time of softmax, which works row by row
    scores = scores - scores.amax(-1, keepdim=True)
    if temperature != 1:
        scores *= 1 / max(temperature, _min_temperature)
    cdf = scores.exp_().cumsum(-1)
    index = torch.searchsorted(cdf, u * cdf[:, -1:], right=True).view(-1)
    # the search ends past the last index if the scores are NaN
    return index.clamp_max_(scores.shape[-1] - 1)


def _ranked(scores):
    "Scores in descending order, and their indices."
    return scores.sort(descending=True, stable=True)
