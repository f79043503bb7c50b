"""Networks side by side that read the same text, and whose probabilities are averaged (`CharEnsemble`).

    learn = char_learner(dls, "ensemble", n_hid=512, config=dict(arch="gru", n_models=4))

What one network learns by heart another does not, so that their mean predicts new text better than they do (Hansen &
Salamon 1990, *Neural Network Ensembles*). Each is trained on its own loss: in training the output is the mean of their
log-probabilities, whose negative is the mean of their losses. Read out, it is the log of their mean probability.

To all else it is one model: its table, state and outputs are the members', one beside the other.
"""

import math

import torch
from torch import Tensor, nn

from .._utils import is_count
from ..errors import ArchError
from .base import CharModel
from .registry import check_takes, get_arch, register_arch

__all__ = ["CharEnsemble"]


@register_arch("ensemble")
class CharEnsemble(CharModel):
    "Several networks of one architecture, different in their initial weights and dropouts alone."

    def __init__(
        self,
        vocab_sz: int,
        emb_sz: int = 128,
        n_hid: int = 256,
        seq_len: int | None = 8,
        arch: str = "mullstm",  # what each of them is, from `list_archs()`
        n_models: int = 3,  # how many
        **config,  # further arguments of the architecture
    ):
        """Raises `ArchError` for an architecture that is none or is not made of steps, for arguments it does not take, and for no members."""
        if not is_count(n_models):
            raise ArchError(f"n_models={n_models!r} is not a whole number from 1 up")
        cls = get_arch(arch).cls
        if not (isinstance(cls, type) and issubclass(cls, CharModel)) or cls.fixed_seq_len or cls is CharEnsemble:
            raise ArchError(
                f'an ensemble of {arch!r} cannot be made: its members read step by step, windows of any length; take "mullstm", "lstm" or "gru"'
            )
        config = dict(get_arch(arch).config) | config
        check_takes(cls, config)
        nn.Module.__init__(self)
        self.vocab_sz = vocab_sz
        self.emb_sz = emb_sz
        self.n_hid = n_hid
        self.seq_len = seq_len
        self.arch = arch
        self.n_models = n_models
        self.members = nn.ModuleList(
            [cls(vocab_sz, emb_sz=emb_sz, n_hid=n_hid, seq_len=seq_len, **config) for _ in range(n_models)]
        )
        self.plain = isinstance(self.members[0].init_hidden(1), Tensor)  # whether a member's state is no tuple

    @property
    def emb(self) -> nn.Embedding:
        "The first one's embedding."
        return self.members[0].emb

    @property
    def out(self) -> nn.Linear:
        "The first one's read-out."
        return self.members[0].out

    def table(self):
        return torch.cat([m.table() for m in self.members], -1)

    def init_hidden(self, bs):
        return _joined(m.init_hidden(bs) for m in self.members)

    def step(self, inp, h):
        return _joined(m.step(i, s) for m, i, s in zip(self.members, inp.chunk(self.n_models, -1), self._states(h)))

    def output(self, h):
        return torch.cat([m.output(s) for m, s in zip(self.members, self._states(h))], -1)

    def encode(self, x):
        return _joined(m.encode(x) for m in self.members)

    def head(self, outs):
        log_probs = torch.stack([m.head(o) for m, o in zip(self.members, outs.chunk(self.n_models, -1))])
        return log_probs.mean(0) if self.training else log_probs.logsumexp(0) - math.log(self.n_models)

    def forward_seq(self, x, h):
        outs, states = zip(*(m.forward_seq(x, s) for m, s in zip(self.members, self._states(h))))
        return torch.cat(outs, -1), _joined(states)

    def _states(self, h):
        "The state, member by member."
        k = len(h) // self.n_models
        return h if self.plain else [h[i : i + k] for i in range(0, len(h), k)]


def _joined(states):
    return tuple(o for s in states for o in (s if isinstance(s, tuple) else (s,)))
