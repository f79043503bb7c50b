"""`CharModel`, the base class of the architectures, and the protocol that they share.

A character contributes a row of `table()`; `step` takes that row and the state to the next
state; `log_probs` turns the state into log-probabilities. The vocabulary is small and a batch holds thousands of
characters, so whatever depends on the character alone is computed once a batch for all characters (the table) and
looked up. Same values as the layers written out, fewer products; `tests/oracles.py` holds them to that.

    target="next"                one prediction a window, from a state of zeros: as in lesson 6
    target="every"               one after each character of a window
    target="every", window=None  the same, and the state goes on from batch to batch (until `reset`)

Shapes: bs windows of n characters, V characters in the vocabulary, k numbers a table row.
"""

from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CharModel"]


class CharModel(nn.Module):
    "The job of an architecture: `layers`, `table` and `step`. Embedding, looping, carrying the state and reading out are here."

    fixed_seq_len: int | None = None  # the one window an architecture is made for, where it is
    target = "next"  # "next" or "every": after which characters it predicts
    state = None  # what a model without a window carries from batch to batch

    def __init__(
        self,
        vocab_sz: int,  # V, characters in the vocabulary, padding included
        emb_sz: int = 42,  # numbers that embed a character
        n_hid: int = 256,  # hidden units
        seq_len: int | None = 8,  # characters it is trained on; None: the hidden state is carried on
    ):
        nn.Module.__init__(self)
        self.vocab_sz = vocab_sz
        self.emb_sz = emb_sz
        self.n_hid = n_hid
        self.seq_len = seq_len
        self.emb = nn.Embedding(vocab_sz, emb_sz)
        self.layers(emb_sz, n_hid)
        self.out = nn.Linear(n_hid, vocab_sz)

    def layers(self, emb_sz: int, n_hid: int):
        "Make the layers between embedding and read-out, if there are any."

    def table(self) -> Tensor:  # (V, k)
        "What each character contributes to the recurrence."
        raise NotImplementedError(f"{type(self).__name__} needs a method table() -> (vocab_sz, k)")

    def step(self, inp: Tensor, h):  # inp (bs, k) rows of the table, h the state -> the next state
        "Read one character."
        raise NotImplementedError(f"{type(self).__name__} needs a method step(inp, h) -> state")

    def init_hidden(self, bs: int) -> Tensor:  # (bs, n_hid)
        "The state before the first character: zeros."
        return self.out.weight.new_zeros(bs, self.n_hid)

    def log_probs(self, h) -> Tensor:  # state -> (bs, V)
        "Log-probabilities of the next character."
        return self.head(self.output(h))

    def output(self, h) -> Tensor:  # state -> (bs, n_hid)
        "The part of the state that is read out."
        return h

    def head(self, outs: Tensor) -> Tensor:  # (…, n_hid) -> (…, V)
        "Log-probabilities of the next character after each output."
        out = self.out(outs)
        return out.log_softmax(-1, torch.float32 if out.dtype.itemsize < 4 else None)  # 16 bits would be coarse

    def encode(self, x: Tensor):  # (bs, n) -> state
        "Read whole windows from a state of zeros."
        return self.forward_seq(x, self.init_hidden(len(x)))[1]

    def forward_seq(self, x: Tensor, h):  # (bs, n), state -> (n, bs, n_hid), the last state
        "Read on from a state: the output after every character."
        outs = []
        for inp in F.embedding(x.t(), self.table()).unbind():  # n of (bs, k)
            h = self.step(inp, h)
            outs.append(self.output(h))
        return torch.stack(outs), h

    def reset(self):
        "Forget what was read: the next batch starts from a state of zeros. What fastai's `ModelResetter` calls."
        self.state = None

    def forward(
        self,
        *chars: Tensor,  # windows (bs, n), or n tensors (bs,) as the reference calls it
    ) -> Tensor:  # (bs, V) log-probabilities, or (bs, n, V)
        "Log-probabilities of the character after each window, or after every character."
        x = chars[0] if chars[0].dim() == 2 else torch.stack(chars, 1)
        if self.target == "next":
            return self.log_probs(self.encode(x))
        outs, h = self.forward_seq(x, self._carried(len(x)))
        if self.seq_len is None:
            self.state = _map(h, Tensor.detach)
        return self.head(outs).transpose(0, 1)

    @contextmanager
    def reading(
        self,
        target: str,  # "next" or "every"
        seq_len: int | None,  # None: the state is carried
    ):
        "The model reading in another way for a while; its state is put back."
        old = self.target, self.seq_len, self.state
        self.target = target
        self.seq_len = seq_len
        self.state = None
        try:
            yield self
        finally:
            self.target, self.seq_len, self.state = old

    def _drop(self, x, p):
        "Training's dropout, with one mask for all steps of a batch (Gal & Ghahramani 2016)."
        return x * x.new_empty(1, *x.shape[1:]).bernoulli_(1 - p).div_(1 - p) if self.training and p else x

    def _carried(self, bs):
        "The state to go on from. Rows of a smaller batch are the first of the larger before it; for a larger one there is none to go on from."
        h = self.state if self.seq_len is None else None
        first = h[0] if isinstance(h, tuple) else h
        if h is None or len(first) < bs or first.device != self.out.weight.device:
            return self.init_hidden(bs)
        return _map(h, lambda o: o[:bs])


def _map(h, f):
    return tuple(map(f, h)) if isinstance(h, tuple) else f(h)
