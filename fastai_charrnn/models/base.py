"""`CharModel`, the base class of the architectures, and the step protocol that they share.

An architecture is a subclass with three methods. The state is always a tuple of tensors, rows of the batch first:

    class Mine(CharModel):
        def layers(self, emb_sz, n_hid):        # make the layers between embedding and output
            self.inp = nn.Linear(emb_sz, n_hid)
            self.hid = nn.Linear(n_hid, n_hid)
        def table(self):                        # (V, k): what each character of the vocabulary contributes
            return self.inp(self.emb.weight)
        def step(self, inp, state):             # inp (bs, k): rows of the table; returns the next state
            (h,) = state
            return (torch.tanh(inp + self.hid(h)),)
    learn = char_learner(dls, Mine)

The vocabulary is small and a batch has thousands of characters. The table is computed once a batch and looked up.
"""

from collections.abc import Iterable
from contextlib import contextmanager
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ArchError
from .dropout import same_mask_dropout
from .module_calls import must_call
from .tracing import is_recorded

__all__ = ["CharModel"]

State = tuple[Tensor, ...]


class CharModel(nn.Module):
    """Base class of the architectures: embeds characters, runs the steps, carries the state, returns log-probabilities.

    What the model predicts:

    - `target="next"`: the character after each window. The state starts with zeros, as in lesson 6.
    - `target="every"`: the character after each character of a window.
    - `target="every"` with `seq_len=None`: likewise, and the state is carried from batch to batch until `reset`.

    Shapes: bs windows of n characters, V characters in the vocabulary, k numbers in a row of the table."""

    # the only window length that an architecture supports, if there is one
    fixed_seq_len: int | None = None
    target = "next"
    # the state that a model with `seq_len=None` carries from batch to batch
    state: State | None = None
    # a dict: `forward` keeps the outputs before and after dropout (n, bs, n_hid) in it, as "raw" and "dropped"
    kept: dict[str, Tensor] | None = None

    def __init__(
        self,
        vocab_sz: int,  # V, characters in the vocabulary, padding included
        emb_sz: int = 42,  # size of the embedding of a character
        n_hid: int = 256,  # hidden units
        seq_len: int | None = 8,  # characters in a window; None: carry the state
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
        "Make the layers between the embedding and the output layer."

    def table(self) -> Tensor:  # (V, k)
        "Return what each character contributes to the recurrence."
        raise NotImplementedError(f"{type(self).__name__} needs a method table() -> (vocab_sz, k)")

    def step(
        self,
        inp: Tensor,  # (bs, k) rows of the table
        state: State,  # the state before the character
    ) -> State:  # the state after it
        "Read one character."
        raise NotImplementedError(f"{type(self).__name__} needs a method step(inp, state) -> state")

    def init_hidden(self, bs: int) -> State:  # one tensor (bs, n_hid)
        "Return the state before the first character: zeros."
        return (self.emb.weight.new_zeros(bs, self.n_hid),)

    def output(self, state: State) -> Tensor:  # (bs, n_hid)
        "Return the part of the state that the output layer reads: its first tensor."
        return state[0]

    def layer_groups(self) -> list[list[nn.Module]]:
        "Return the modules that train together, from the input to the output: embedding, all between, output layer."
        between = [module for name, module in self.named_children() if name not in ("emb", "out")]
        return [[self.emb], between, [self.out]]

    def head(self, outs: Tensor) -> Tensor:  # (…, n_hid) -> (…, V)
        "Return the log-probabilities of the next character for each output."
        if self.kept is not None:
            self.kept["dropped"] = outs
        out = self.out(outs)
        # in 16 bits the log-probabilities would be too coarse
        dtype = torch.float32 if out.dtype.itemsize < 4 else None
        return out.log_softmax(-1, dtype)

    def log_probs(self, state: State) -> Tensor:  # (bs, V)
        "Return the log-probabilities of the next character."
        return self.head(self.output(state))

    def encode(self, x: Tensor) -> State:  # x (bs, n)
        "Read whole windows, starting with the state of `init_hidden`."
        return self.forward_seq(x, check_state(self, self.init_hidden(x.shape[0])))[1]

    def read_windows(self, x: Tensor) -> Tensor:  # (bs, n) -> (bs, V), or (bs, n, V) with `target="every"`
        "Return log-probabilities for whole windows, starting with the state of `init_hidden`."
        if self.target == "next":
            return self.log_probs(self.encode(x))
        outs, _ = self.forward_seq(x, check_state(self, self.init_hidden(x.shape[0])))
        return self.head(outs).transpose(0, 1)

    def forward_seq(
        self,
        x: Tensor,  # (bs, n) int64 characters
        state: State,  # the state before the first of them
    ) -> tuple[Tensor, State]:  # outputs (n, bs, n_hid), the last state
        "Read characters one by one and return the output after each."
        if must_call(((self._modules, "emb"),)):
            # for its hooks: `table` may read the weights without calling the module
            self.emb(x)
        outs = []
        for inp in F.embedding(x.t(), self.table()).unbind():
            state = check_state(self, self.step(inp, state))
            outs.append(self.output(state))
        return torch.stack(outs), state

    def reset(self):
        "Drop the carried state. The next batch starts with zeros. fastai's `ModelResetter` calls this too."
        self.state = None

    def forward(
        self,
        *chars: Tensor,  # windows (bs, n), or n tensors (bs,) as in lesson 6
    ) -> Tensor:  # (bs, V) log-probabilities; (bs, n, V) with `target="every"`
        "Return the log-probabilities of the character after each window, or after every character."
        x = chars[0] if chars[0].dim() == 2 else torch.stack(chars, 1)
        if self.kept is None and (self.target == "next" or self.seq_len is not None):
            return self.read_windows(x)
        outs, state = self.forward_seq(x, self._first_state(x.shape[0]))
        # a recorded tensor must not outlive the recording
        if self.seq_len is None and not is_recorded():
            self.state = tuple(o.detach() for o in state)
        if self.kept is not None:
            self.kept["raw"] = outs
        log_probs = self.head(outs).transpose(0, 1)
        return log_probs[:, -1] if self.target == "next" else log_probs

    def saved_as(
        self,
        config: dict,  # every argument the model was built with
    ) -> "tuple[CharModel, dict]":
        "Return what a model file holds: the model and its arguments. Models that are partly trained hold less."
        return self, config

    @contextmanager
    def reading(
        self,
        target: str,  # "next" or "every"
        seq_len: int | None,  # None: carry the state
    ):
        "Use another `target` and `seq_len` within a `with` block, and start it without a state. Restores all three."
        before = self.target, self.seq_len, self.state
        self.target = target
        self.seq_len = seq_len
        self.state = None
        try:
            yield self
        finally:
            self.target, self.seq_len, self.state = before

    def rnn_dropout(
        self,
        x: Tensor,  # (n, …)
        p: float,  # the part that is set to zero
    ) -> Tensor:
        "Apply dropout in training, with the same mask at all n steps (Gal & Ghahramani 2016)."
        return same_mask_dropout(x, p) if self.training and p else x

    def all_embeddings(self) -> Tensor:  # (V, emb_sz)
        "Return the embeddings of all characters by calling the module, so that its hooks fire."
        return self.emb(torch.arange(self.vocab_sz, device=self.emb.weight.device))

    def _first_state(self, bs):
        """The state to start a batch with: the carried one if it fits, else that of `init_hidden`.

        A smaller batch continues the first rows of the batch before it. A larger one starts anew."""
        state = self.state if self.seq_len is None and not is_recorded() else None
        if state is None or len(state[0]) < bs or state[0].device != self.emb.weight.device:
            return check_state(self, self.init_hidden(bs))
        return tuple(o[:bs] for o in state)


def check_state(
    model: nn.Module,  # the model it belongs to
    state: State,  # what `init_hidden` or `step` returned
) -> State:  # the same
    "Raise `ArchError` unless a state is a tuple."
    if not isinstance(state, tuple):
        raise ArchError(
            f"step and init_hidden of {type(model).__name__} must return a tuple of tensors, such as (h,), "
            f"got {type(state).__name__}"
        )
    return state


def join_states(
    states: Iterable[State],  # one for each layer or model
) -> State:
    "Return several states as one."
    return tuple(chain.from_iterable(states))


def split_state(
    state: State,  # made by `join_states` of states of equal length
    n: int,  # tensors in each of them
) -> list[State]:
    "Return the states that `join_states` joined."
    return [state[i : i + n] for i in range(0, len(state), n)]
