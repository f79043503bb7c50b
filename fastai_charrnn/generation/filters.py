"""From log-probabilities to the scores a character is drawn by: one pure function an option, and the draw itself.

Scores are (rows, V) logarithms up to a constant a row, -inf for what is left out. The order is that of Hugging Face's
`generate`: repetition penalty, temperature, top-k, top-p, min-p; each sees what the one before has left.
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

_coldest = 1e-300  # below it the likeliest character is certain anyway, and the quotient would overflow


def penalize_repetition(
    scores: Tensor,  # (rows, V)
    seen: Tensor,  # (rows, V) bool: the characters that already stand in each text
    penalty: float,  # above 1: they become less likely; below 1: likelier
) -> Tensor:  # (rows, V)
    "Scores of seen characters times the penalty, or divided by it where positive (Keskar et al. 2019, CTRL, section 4.1)."
    return torch.where(seen, torch.where(scores > 0, scores / penalty, scores * penalty), scores).clamp_min(
        torch.finfo(scores.dtype).min
    )


def apply_temperature(
    scores: Tensor,  # (rows, V)
    temperature: float,  # above 0
) -> Tensor:  # (rows, V)
    "Scores divided by the temperature, the largest at 0 so that no quotient overflows."
    if temperature == 1:
        return scores
    return (scores - scores.amax(-1, keepdim=True)).div_(max(temperature, _coldest))


def keep_top_k(
    scores: Tensor,  # (rows, V)
    k: int,  # how many to keep
) -> Tensor:  # (rows, V)
    "The k largest of each row: exactly k, ties go to the lower index."
    return scores if k >= scores.shape[-1] else _kept(scores, _ranked(scores)[1][:, :k])


def keep_top_p(
    scores: Tensor,  # (rows, V)
    p: float,  # from 0, which keeps the likeliest alone, to 1, which keeps all
) -> Tensor:  # (rows, V)
    "The nucleus: the fewest likeliest characters whose probabilities add up to p or more (Holtzman et al. 2020)."
    if p >= 1:
        return scores
    ranked, order = _ranked(scores)
    probs = ranked.softmax(-1)
    out = probs.cumsum(-1) - probs >= p  # what stands before has enough already
    out[:, 0] = False
    return scores.masked_fill(torch.zeros_like(out).scatter_(-1, order, out), -torch.inf)


def keep_min_p(
    scores: Tensor,  # (rows, V)
    p: float,  # from 0, which keeps all, to 1, which keeps the likeliest
) -> Tensor:  # (rows, V)
    "Characters at least p times as likely as the likeliest (Nguyen et al. 2024)."
    ratios = (scores - scores.amax(-1, keepdim=True)).exp()
    return scores.masked_fill(ratios < p, -torch.inf)


def filter_scores(
    log_probs: Tensor,  # (rows, V)
    o: GenerationConfig,  # what to apply
    seen: Tensor
    | None = None,  # (rows, V) bool: the characters that already stand in each text, for the repetition penalty
) -> Tensor:  # (rows, V)
    "Everything `o` asks for, in order; at temperature 0 the penalty alone, for the rest keeps the likeliest."
    if o.repetition_penalty is not None:
        log_probs = penalize_repetition(log_probs, seen, o.repetition_penalty)
    if o.greedy:
        return log_probs
    scores = apply_temperature(log_probs, o.temperature)
    if o.top_k is not None:
        scores = keep_top_k(scores, o.top_k)
    if o.top_p is not None:
        scores = keep_top_p(scores, o.top_p)
    if o.min_p is not None:
        scores = keep_min_p(scores, o.min_p)
    return scores


def draw(
    scores: Tensor,  # (rows, V) float64
    u: Tensor,  # (rows, 1) from [0, 1)
) -> Tensor:  # (rows,) int64
    "One index a row, by the inverse of the cumulative distribution: a function of scores and `u`, and of no other row."
    cdf = scores.softmax(-1).cumsum(-1)
    return (
        torch.searchsorted(cdf, u * cdf[:, -1:], right=True).squeeze(-1).clamp_max_(scores.shape[-1] - 1)
    )  # NaN sorts beyond the end


def _ranked(scores):
    return scores.sort(descending=True, stable=True)


def _kept(scores, i):
    return torch.full_like(scores, -torch.inf).scatter_(-1, i, scores.gather(-1, i))
