"""`CharEnsemble`: several networks that read the same text, with their probabilities averaged.

    learn = char_learner(dls, "ensemble", n_hid=64, config=dict(arch="gru", n_models=4))

Networks that start from different weights make different errors, so their mean predicts new text better than each of
them (Hansen & Salamon 1990, *Neural Network Ensembles*). In training the output is the mean of their log-probabilities,
so the loss is the mean of their losses. In evaluation it is the logarithm of their mean probability.

An ensemble is one `CharModel`: its table, state and outputs are those of its members, concatenated.

Members can also train one after the other: only the `active` one trains, and only the first `n_ready` are evaluated.
"""

import copy
import math

import torch
from torch import nn

from .._checks import check_count
from ..errors import ArchError
from .base import CharModel, check_state, join_states, split_state
from .registry import MAX_MODELS, check_takes, get_arch, register_arch

__all__ = ["CharEnsemble"]


@register_arch("ensemble")
class CharEnsemble(CharModel):
    "Several networks of one architecture that differ in their initial weights and dropout masks."

    # the member that trains; None: all
    active: int | None = None
    # members that are trained: evaluation and files have these only; None: all
    n_ready: int | None = None

    def __init__(
        self,
        vocab_sz: int,
        emb_sz: int = 128,
        n_hid: int = 256,
        seq_len: int | None = 8,
        arch: str = "mullstm",  # the architecture of the members, from `list_archs()`
        n_models: int = 3,  # how many members
        **config,  # further arguments of the architecture
    ):
        """Raises `ArchError` for `n_models` not from 1 to 100, for an architecture that is unknown or has no steps, and
        for arguments it does not take."""
        n_models = check_count("n_models", n_models, 1, MAX_MODELS, ArchError)
        member = get_arch(arch)
        if not _has_steps(member.cls):
            raise ArchError(
                f"an ensemble of {arch!r} cannot be made: members must be a CharModel for windows of any length, "
                'such as "mullstm", "lstm" or "gru"'
            )
        config = dict(member.config) | config
        check_takes(member.cls, config)
        nn.Module.__init__(self)
        self.vocab_sz = vocab_sz
        self.emb_sz = emb_sz
        self.n_hid = n_hid
        self.seq_len = seq_len
        self.arch = arch
        self.n_models = n_models
        sizes = dict(emb_sz=emb_sz, n_hid=n_hid, seq_len=seq_len)
        self.members = nn.ModuleList([member.cls(vocab_sz, **sizes, **config) for _ in range(n_models)])

    @property
    def emb(self) -> nn.Embedding:
        "The embedding of the first member."
        return self.members[0].emb

    @property
    def out(self) -> nn.Linear:
        "The output layer of the first member."
        return self.members[0].out

    @property
    def in_use(self) -> list[CharModel]:
        "The members that a forward pass runs."
        if self.training and self.active is not None:
            return [self.members[self.active]]
        return list(self.members[: self.n_ready])

    def saved_as(self, config):
        if self.n_ready is None:
            return self, config
        ready = copy.copy(self)
        # the members are the same modules, and the list is another one
        ready._modules = dict(self._modules, members=nn.ModuleList(self.members[: self.n_ready]))
        ready.n_models = self.n_ready
        return ready, config | dict(n_models=self.n_ready)

    def table(self):
        return torch.cat([m.table() for m in self.in_use], -1)

    def layer_groups(self):
        by_member = [m.layer_groups() for m in self.members]
        return [[module for group in groups for module in group] for groups in zip(*by_member)]

    def init_hidden(self, bs):
        return join_states(check_state(m, m.init_hidden(bs)) for m in self.in_use)

    def step(self, inp, state):
        members = self.in_use
        inps = inp.chunk(len(members), -1)
        states = self._member_states(state)
        return join_states(m.step(i, s) for m, i, s in zip(members, inps, states))

    def output(self, state):
        states = self._member_states(state)
        return torch.cat([m.output(s) for m, s in zip(self.in_use, states)], -1)

    def encode(self, x):
        return join_states(m.encode(x) for m in self.in_use)

    def head(self, outs):
        members = self.in_use
        parts = outs.chunk(len(members), -1)
        log_probs = torch.stack([m.head(o) for m, o in zip(members, parts)])
        if self.training:
            return log_probs.mean(0)
        return log_probs.logsumexp(0) - math.log(len(members))

    def forward_seq(self, x, state):
        states = self._member_states(state)
        outs, states = zip(*[m.forward_seq(x, s) for m, s in zip(self.in_use, states)])
        return torch.cat(outs, -1), join_states(states)

    def _member_states(self, state):
        return split_state(state, len(state) // len(self.in_use))


def _has_steps(cls):
    "Whether an architecture can be a member: it reads step by step, windows of any length."
    is_model = isinstance(cls, type) and issubclass(cls, CharModel)
    return is_model and cls.fixed_seq_len is None and cls is not CharEnsemble
