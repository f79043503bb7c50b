"""Beam search for the most likely continuations of one prompt, on indices: `beam_ids`, `search`."""

from collections.abc import Callable
from copy import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .checks import check_log_probs, check_weights
from .decoders import SlidingWindowDecoder, decoder

__all__ = ["beam_ids", "search"]


class _Step(NamedTuple):
    "One character of each beam."

    parents: np.ndarray  # (beams,) which beam of the step before each one continues
    chars: np.ndarray  # (beams,) index of the character; 0 (padding) after the end of a text
    log_probs: np.ndarray  # (beams,) its log-probability; 0 after the end of a text


def beam_ids(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (1, n) int64 indices to continue, on the model's device
    n: int,  # characters to generate, at most
    k: int,  # beam width
    make_stop_fn: Callable | None = None,  # returns a new `StopMatcher`; None: no text ends early
) -> list[tuple[np.ndarray, np.ndarray]]:  # at most k texts, most likely first: indices and log-probabilities (float32)
    """Return the k most likely continuations that a search of this width finds, without padding (index 0).

    They are the most likely of all if `k` is at least the number of texts of n-1 characters. A text that has ended
    keeps its place among the k; log-probabilities are not corrected for length. Raises `GenerationError` if the weights
    or the predictions are not finite."""
    check_weights(model)
    with torch.inference_mode():
        reader = decoder(model, ids, exact=True)
    return search(reader, model, n, k, make_stop_fn, ids.device)


def search(
    reader: SlidingWindowDecoder,  # a decoder that has read one prompt; it is used up
    model: nn.Module,  # the model it was made of
    n: int,  # characters to generate, at most
    k: int,  # beam width
    make_stop_fn: Callable | None = None,  # returns a new `StopMatcher`; None: no text ends early
    device: torch.device | None = None,  # that of the model; None: the CPU
) -> list[tuple[np.ndarray, np.ndarray]]:  # as `beam_ids`
    "Do what `beam_ids` does from a decoder. Raises `GenerationError` if the predictions are not finite."
    totals = torch.zeros(1, dtype=torch.float64, device=device)
    ended = torch.zeros(1, dtype=torch.bool, device=device)
    matchers = [make_stop_fn() if make_stop_fn else None]
    steps = []
    for _ in range(n):
        with reader.running():
            log_probs = reader.log_probs().double().log_softmax(-1)
            totals, parents, chars = _best(totals, log_probs, ended, k)
            check_log_probs(totals[:1].cpu().numpy(), model)
            steps.append(_to_step(parents, chars, log_probs))
            ended = chars == 0
            if make_stop_fn:
                matchers = [copy(matchers[i]) for i in steps[-1].parents]
                ended |= _ends(matchers, steps[-1].chars).to(ended.device)
            reader.select(parents)
            reader.feed(chars)
        if bool(ended.all()):
            break
    return _texts(steps, len(totals))


def _best(totals, log_probs, ended, k):
    "The k largest sums of log-probabilities, with the beam each continues and its next character."
    candidates = (totals[:, None] + log_probs).masked_fill_(ended[:, None], -torch.inf)
    # padding continues a text that has ended, and no other
    candidates[:, 0] = torch.where(ended, totals, -torch.inf)
    best, flat_index = candidates.flatten().topk(min(k, candidates.numel()))
    possible = best > -torch.inf
    # the caller checks that the first is finite
    possible[0] = True
    flat_index = flat_index[possible]
    vocab_size = log_probs.shape[1]
    return best[possible], flat_index // vocab_size, flat_index % vocab_size


def _to_step(parents, chars, log_probs):
    chosen = torch.where(chars == 0, 0, log_probs[parents, chars])
    return _Step(*(t.cpu().numpy() for t in (parents, chars, chosen)))


def _ends(matchers, chars):
    "Which texts end with their new character."
    return torch.tensor([bool(char) and matcher([char]) is not None for matcher, char in zip(matchers, chars)])


def _texts(steps, n_beams):
    "Follow each beam back to its first character."
    if not steps:
        return [(np.zeros(0, np.int64), np.zeros(0, np.float32))]
    beams = np.arange(n_beams)
    chars = []
    log_probs = []
    for step in reversed(steps):
        chars.append(step.chars[beams])
        log_probs.append(step.log_probs[beams])
        beams = step.parents[beams]
    chars = np.stack(chars[::-1], 1)
    log_probs = np.stack(log_probs[::-1], 1).astype(np.float32)
    return [(row[row > 0], lp[row > 0]) for row, lp in zip(chars, log_probs)]
