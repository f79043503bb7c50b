"""From a model and indices to the next indices: indices in, indices out, no text and no learner.

The sliding window: each new character comes from the last `window` characters, read from a state of zeros, as in
training.
"""
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor,nn

__all__ = ["eval_mode", "last_window", "next_log_probs", "greedy_ids"]


@contextmanager
def eval_mode(model:nn.Module):
    "The model in evaluation mode and without gradients for a while; every module's own mode is restored, whatever happens."
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with torch.inference_mode(): yield model
    finally:
        for m,training in modes: m.training = training


def last_window(
    ids:Tensor, # (n,) indices
    window:int # characters the model reads
) -> Tensor: # (window,) int64
    "The last `window` indices; fewer are padded on the left with index 0."
    ids = ids[-window:].long()
    return torch.cat([ids.new_zeros(window-len(ids)), ids])


def next_log_probs(
    model:nn.Module, # (bs, n) indices to (bs, V) log-probabilities
    ids:Tensor, # (n,) indices read so far, on the model's device
    window:int # characters the model reads
) -> Tensor: # (V,) log-probabilities, float32
    "Log-probabilities of the index after `ids`."
    with eval_mode(model): return model(last_window(ids, window)[None])[0].float().log_softmax(-1)


def greedy_ids(
    model:nn.Module, # (bs, n) indices to (bs, V) log-probabilities
    ids:Tensor, # (n,) indices to continue
    window:int # characters the model reads
) -> Iterator[int]: # indices, without end
    "Feed the likeliest index back in, again and again. The model is in evaluation mode only while a step runs."
    ids = last_window(ids, window)
    while True:
        i = next_log_probs(model, ids, window).argmax()
        yield int(i)
        ids = torch.cat([ids[1:], i[None]])
