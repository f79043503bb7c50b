"""Beam search: the likeliest continuations of one prompt, indices in, indices out."""

from collections.abc import Callable
from copy import copy

import numpy as np
import torch
from torch import Tensor, nn

from .decoders import decoder
from .sampling import check_numbers, check_weights

__all__ = ["beam_ids"]


def beam_ids(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (1, n) int64 indices to continue, on the model's device
    n: int,  # how many to write, at most
    k: int,  # how many texts to follow at a time
    ends: Callable | None = None,  # makes `StopMatcher` for a text, which tell where it is over
) -> list[
    tuple[np.ndarray, np.ndarray]
]:  # at most k texts, likeliest first: indices, and their log-probabilities (float32)
    """The k likeliest continuations that a search of this width finds; index 0 (the padding) is left out.

    Where k is at least the number of texts of n-1 characters none is ever dropped, so that these are the likeliest of all. A text
    that is over stays among the k with its log-probability, and is not lengthened by a factor for being short."""
    check_weights(model)
    with torch.inference_mode():
        reader = decoder(model, ids, exact=True)
    total = torch.zeros(1, dtype=torch.float64, device=ids.device)
    over = torch.zeros(1, dtype=torch.bool, device=ids.device)
    steps = []
    states = [ends() if ends else None]
    for _ in range(n):
        with reader.running():
            lp = reader.log_probs().double().log_softmax(-1)
            new = (total[:, None] + lp).masked_fill_(over[:, None], -torch.inf)
            new[:, 0] = torch.where(
                over, total, -torch.inf
            )  # a text that is over goes on as itself: its next is the padding
            best, i = new.flatten().topk(min(k, new.numel()))
            check_numbers(best[:1].cpu().numpy(), model)
            total = best[best > -torch.inf]
            i = i[best > -torch.inf]
            rows = i // lp.shape[1]
            c = i % lp.shape[1]
            steps.append((rows.cpu().numpy(), c.cpu().numpy(), torch.where(c == 0, 0, lp[rows, c]).cpu().numpy()))
            over = c == 0
            if ends:
                states, over = _ended(states, steps[-1], over)
            reader.select(rows)
            reader.feed(c)
        if bool(over.all()):
            break
    return _texts(steps, len(total))


def _ended(states, step, over):
    "The states of the texts that go on, and which are over now."
    states = [copy(states[r]) for r in step[0]]
    done = over.clone()
    for j, (state, c) in enumerate(zip(states, step[1])):
        if c and state([c]) is not None:
            done[j] = True
    return states, done


def _texts(steps, k):
    "Follow each text back to its first character."
    rows, back = np.arange(k), []
    for parents, c, lp in reversed(steps):
        back.append((c[rows], lp[rows]))
        rows = parents[rows]
    if not back:
        return [(np.zeros(0, np.int64), np.zeros(0, np.float32))]
    chars, logs = (np.stack(o[::-1], 1) for o in zip(*back))
    return [(c[c > 0], lp[c > 0].astype(np.float32)) for c, lp in zip(chars, logs)]
