"""From a model and indices to the next indices: indices in, indices out, no text and no learner.

The sliding window: each new character comes from the last `window` characters, read from a state of zeros, as in
training.
"""
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import torch
from torch import Tensor,nn

__all__ = ["eval_mode", "last_window", "next_log_probs", "greedy_ids"]


@contextmanager
def eval_mode(model:nn.Module):
    "The model in evaluation mode and without gradients for a while; every module's own mode is restored, whatever happens."
    training = [m for m in model.modules() if m.training]
    if training: model.eval()
    try:
        with torch.inference_mode(): yield model
    finally:
        for m in training: m.training = True


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
    """Feed the likeliest index back in, again and again. The model is in evaluation mode only while a step runs.

    A model with the step protocol (`models.CharModel`) takes one step a character, any other reads its whole window anew."""
    ids = last_window(ids, window)
    if all(hasattr(model, o) for o in ("table", "step", "init_hidden", "readout")): yield from _in_flight(model, ids)
    while True:
        i = next_log_probs(model, ids, window).argmax()
        yield int(i)
        ids = torch.cat([ids[1:], i[None]])


def _in_flight(model, ids):
    """Greedy indices by one step a character: n windows in flight, row r begun at every n-th character from the r-th on.

    Each character is fed to all rows at once; the row that has then read n of them is read out, and begins again with the next."""
    n,last = len(ids),None # what was written last, once a window has been read
    with eval_mode(model):
        table,fresh = model.table(),model.init_hidden(n)
        h = tuple(o.clone() for o in fresh) if isinstance(fresh, tuple) else fresh.clone()
    for t in count():
        with eval_mode(model):
            for o,new in zip(_parts(h), _parts(fresh)): o[t%n] = new[t%n]
            h = model.step(table[ids[t] if t < n else last].expand(n, -1), h)
            r = (t+1)%n
            if t >= n-1: last = model.readout(tuple(o[r:r+1] for o in h) if isinstance(h, tuple) else h[r:r+1]).argmax()
        if t >= n-1: yield int(last)


def _parts(h): return h if isinstance(h, tuple) else (h,)
