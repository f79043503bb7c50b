"""From a model and indices to the next indices: indices in, indices out, no text and no learner.

The sliding window: each new character comes from the last `window` characters, read from the model's first state, as in
training. Prompts are rows of one batch.
"""
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor,nn

__all__ = ["eval_mode", "next_log_probs", "greedy_ids", "SlidingWindow", "WindowsInFlight"]

_look_after = 64 # characters written before the first look for a loop


@contextmanager
def eval_mode(model:nn.Module):
    "The model in evaluation mode and without gradients for a while; every module's own mode is restored, whatever happens."
    training = [m for m in model.modules() if m.training]
    if training: model.eval()
    try:
        with torch.inference_mode(): yield model
    finally:
        for m in training: m.training = True


def next_log_probs(
    model:nn.Module, # (bs, n) indices to (bs, V) log-probabilities
    ids:Tensor # (bs, n) indices on the model's device
) -> Tensor: # (bs, V) log-probabilities, float32
    "Log-probabilities of the index after each row."
    with eval_mode(model): return model(ids).float().log_softmax(-1)


def greedy_ids(
    model:nn.Module, # (bs, n) indices to (bs, V) log-probabilities
    ids:Tensor, # (n_prompts, window) int64 indices to continue, on the model's device
    n:int, # how many to write for each
    loops:bool=True # whether to copy what is left once every row repeats itself; False computes all
) -> Tensor: # (n_prompts, n) int64, on the same device
    """The likeliest continuation of each row, character after character.

    What follows is a function of the last `window` characters, so that a row whose last window stood in it before goes on
    as it did then: once this holds for every row, the rest is copied."""
    out,done = ids.new_empty(len(ids), n),0
    with eval_mode(model):
        reader = (WindowsInFlight if _has_steps(model) else SlidingWindow)(model, ids)
        while done < n:
            to = min(n, max(_look_after, done+done//4)) if loops else n
            out[:, done:to] = torch.stack([reader.next() for _ in range(done, to)], 1)
            done = to
            if done < n and (periods := _periods(ids, out[:, :done])) is not None:
                for row,p in zip(out, periods): row[done:] = row[done-p:done].repeat(-(-(n-done)//p))[:n-done]
                done = n
    return out


class SlidingWindow:
    "Reads every window anew: for any model."

    def __init__(self,
        model:nn.Module, # (bs, n) indices to (bs, V) log-probabilities
        ids:Tensor # (n_prompts, window) indices to continue
    ): self.model,self.ids = model,ids

    def log_probs(self) -> Tensor: # (n_prompts, V)
        "Of what comes next."
        return self.model(self.ids)

    def feed(self,
        c:Tensor # (n_prompts,) indices
    ):
        "Go on with these."
        self.ids = torch.cat([self.ids[:, 1:], c[:, None]], 1)

    def next(self) -> Tensor: # (n_prompts,) indices
        "The likeliest, which are fed back in."
        c = self.log_probs().argmax(-1)
        self.feed(c)
        return c


class WindowsInFlight(SlidingWindow):
    """The same in one step a character, for a model with the step protocol (`models.CharModel`): `window` windows in flight.

    Every prompt has `window` states, the r-th begun at every `window`-th character from the r-th on. A character is fed to all of
    them at once; the one that has then read `window` characters is read out, and begins again with the next."""

    def __init__(self, model:nn.Module, ids:Tensor):
        self.model,self.bs,self.n,self.t = _flat(model),*ids.shape,0
        self.table,self.fresh = self.model.table(),_parts(self.model.init_hidden(self.bs))
        self.h = _map(self.model.init_hidden(self.bs*self.n), torch.clone)
        for c in ids.t(): self.feed(c)

    def feed(self, c:Tensor):
        at = self.t%self.n*self.bs
        for h,new in zip(_parts(self.h), self.fresh): h[at:at+self.bs] = new
        inp = self.table.index_select(0, c).expand(self.n, -1) if self.bs == 1 else self.table.index_select(0, c.repeat(self.n))
        self.h = self.model.step(inp, self.h)
        self.t += 1

    def log_probs(self) -> Tensor:
        at = self.t%self.n*self.bs # whose turn it is to be read out
        return self.model.readout(_map(self.h, lambda h: h[at:at+self.bs]))


def _has_steps(model): return all(hasattr(model, o) for o in ("table", "step", "init_hidden", "readout"))
def _parts(h): return h if isinstance(h, tuple) else (h,)
def _map(h, f): return tuple(map(f, h)) if isinstance(h, tuple) else f(h)


def _flat(module):
    "A copy of a module that shares its tensors and finds them as plain attributes: `nn.Module` finds them in Python, a microsecond each."
    view = object.__new__(type(module))
    view.__dict__ = {**module.__dict__, **module._parameters, **module._buffers, **{k:m and _flat(m) for k,m in module._modules.items()}}
    return view


def _periods(ids, out):
    "After how many characters each row repeats itself, if all do."
    n,periods = ids.shape[1],[]
    for row in torch.cat([ids, out], 1).cpu().numpy().astype(np.uint32):
        text = row.tobytes().decode("utf-32-le", "surrogatepass")
        before = text.rfind(text[-n:], 0, len(text)-1)
        if before < 0: return None
        periods.append(len(text)-n-before)
    return periods
