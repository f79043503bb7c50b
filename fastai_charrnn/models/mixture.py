"""`CharMixture`: a network with counts of a text, mixed character by character.

    mixture = CharMixture.around(learn.model, learn.dls.vocab)
    mixture.count(ids, spans=[(0, 15_000)])       # what the network has learnt from
    mixture.fit_gate(ids[15_000:])                # neither the network nor the counts have seen it

A network generalizes, and counts remember: rare words, names, fixed phrases. Their mixture predicts new text better
than each of them. `CharGate` says how they are weighed, and `trust` whether to believe it: on a kind of text that the
gate does not know, the network or the counts alone can be better.

A mixture is one `CharModel`. Its state is the network's, the last characters, the words before, the column, the
trust, and what was predicted last. It does not train by itself: in training mode its output is the network's alone,
because the counts know the text that is trained on.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .._checks import check_seed
from ..errors import ArchError, DataError
from .base import CharModel, check_state
from .contexts import next_context
from .count_tables import checked_ids
from .counts import CharCounts
from .gate import N_PREDICTIONS, CharGate, GateInputs
from .gate_fit import fit_gate
from .mixed_network import OWN_SIZES, build_network, check_network
from .registry import get_arch, register_arch
from .trust import combined, scores_of, trust_after, trusts_after

__all__ = ["CharMixture"]

_n_digits = 4  # a character is kept in so many digits to the base 256, exact in every float
_max_numbers = 2**22  # log-probabilities that are mixed at once
_max_rows = 2**13


@register_arch("mixture", listed=False)
class CharMixture(CharModel):
    "A network and counts, with a gate. `mix_counts` makes one of a trained learner."

    def __init__(
        self,
        vocab_sz: int,
        emb_sz: int = 42,
        n_hid: int = 256,
        seq_len: int | None = 8,
        network: str = "mullstm",  # the architecture of the network, from `list_archs()`
        network_config: dict | None = None,  # its further arguments
        n_orders: int = 6,  # the longest context of characters that is counted
        n_contexts: Iterable[int] | None = None,  # contexts of each kind; None: no text has been counted
        n_entries: int = 0,  # entries of all contexts
    ):
        "Raises `ArchError` for an unknown network or one without steps, and for arguments that it does not take."
        built = build_network(network, network_config, vocab_sz, dict(emb_sz=emb_sz, n_hid=n_hid, seq_len=seq_len))
        self._set(built, CharCounts(vocab_sz, n_orders, n_contexts, n_entries))
        self.network_arch = network
        self.network_config = dict(network_config or {})

    def _set(self, network, counts):
        nn.Module.__init__(self)
        self.vocab_sz = network.vocab_sz
        self.emb_sz = network.emb_sz
        self.n_hid = network.n_hid
        self.seq_len = network.seq_len
        self.network = network
        self.counts = counts
        self.gate = CharGate(counts)
        self.gate_result: dict | None = None  # what the last `fit_gate` returned

    @classmethod
    def around(
        cls,
        network: CharModel,  # a trained network; it is not copied
        vocab: Iterable[str],  # characters by index, such as a `CharVocab`
        n_orders: int = 6,  # the longest context of characters to count
        arch: str | None = None,  # the architecture's name, which a model file needs; None: that of the class
        config: dict | None = None,  # its arguments, which a model file needs
    ) -> "CharMixture":  # with empty counts: it predicts as the network does
        "Return a mixture with a network. Raises `ArchError` for a network without steps or of another vocabulary."
        check_network(network)
        vocab = list(vocab)
        if len(vocab) != network.vocab_sz:
            raise ArchError(f"the vocabulary has {len(vocab)} characters, and the network {network.vocab_sz}")
        new = cls.__new__(cls)
        new._set(network, CharCounts.of([], vocab, n_orders).to(network.emb.weight.device))
        new.target = network.target
        new.network_arch = arch or get_arch(type(network)).name
        new.network_config = {k: v for k, v in (config or {}).items() if k not in OWN_SIZES}
        new.gate.to(network.emb.weight)
        return new.train(network.training)

    @property
    def config(self) -> dict:
        'The arguments that build a mixture of this shape, for `char_learner(dls, "mixture", config=…)`.'
        own = dict(emb_sz=self.emb_sz, n_hid=self.n_hid, network=self.network_arch, network_config=self.network_config)
        return own | self.counts.config

    def saved_as(self, config):
        "Counting another text changes the sizes of the tables."
        return self, self.config

    def with_network(
        self,
        network: CharModel,  # of the same vocabulary
        arch: str | None = None,  # as in `around`
        config: dict | None = None,
    ) -> "CharMixture":  # a mixture that shares the counts, with a copy of the gate
        "Return a mixture of these counts with another network."
        new = self.around(network, [""] * self.vocab_sz, self.counts.n_orders, arch, config)
        new.counts = self.counts
        new.gate.load_state_dict(self.gate.state_dict())
        new.gate_result = self.gate_result
        return new

    def count(
        self,
        ids: Tensor,  # (n,) indices of a text
        spans: Iterable[tuple[int, int]] | None = None,  # the parts to count, (begin, end) positions; None: all
        **kwargs,  # max_bytes, as in `CharCounts.of`
    ) -> "CharMixture":  # itself
        "Count a text, in place of the one counted before. The gate stays as it is."
        device = self.counts.keys.device
        letters = self.counts.letters
        self.counts = CharCounts.of_letters(ids, letters.cpu(), self.counts.n_orders, spans, **kwargs).to(device)
        return self

    def fit_gate(
        self,
        ids: Tensor,  # (n,) indices of a text that neither the network nor the counts have seen
        before: Tensor | None = None,  # the characters before it, to begin with; the last 64 are read
        seed: int = 0,  # for the order of the characters
    ) -> dict:  # nats a character of the text: "network", "mixture"; "kept": whether the fit is used
        """Fit the gate. A fit that is worse on the text than the network alone is not used.

        Does not touch the global random state. Raises `DataError` for a text of fewer than 2 characters."""
        ids = _as_ids(ids, self)
        before = ids[:0] if before is None else checked_ids(before, self.vocab_sz)
        before = before.long().to(ids.device)
        self.gate_result = fit_gate(self.network, self.counts, self.gate, ids, before, check_seed("seed", seed, 63))
        return self.gate_result

    @property
    def emb(self) -> nn.Embedding:
        "The embedding of the network."
        return self.network.emb

    @property
    def out(self) -> nn.Linear:
        "The output layer of the network."
        return self.network.out

    def layer_groups(self):
        *lower, last = self.network.layer_groups()
        return [*lower, [*last, self.gate]]

    def table(self):
        table = self.network.table()
        index = torch.arange(self.vocab_sz, device=table.device)
        return torch.cat([table, _digits(index).to(table.dtype)], 1)

    def init_hidden(self, bs):
        network = check_state(self.network, self.network.init_hidden(bs))
        trust = self.gate.first_trust.to(self.emb.weight).log().expand(bs, N_PREDICTIONS)
        return (*network, *self.counts.init_state(bs), trust, trust.new_zeros(bs, N_PREDICTIONS, self.vocab_sz))

    def step(self, inp, state):
        network, context, trusted = _parts(state)
        inp, digits = inp[:, :-_n_digits], inp[:, -_n_digits:]
        x = _number(digits)
        network = check_state(self.network, self.network.step(inp, network))
        context = next_context(x, self.counts.letters, context)[1]
        if not self.training:
            trust, predicted = trusted
            trust = trust_after(trust, scores_of(predicted, x[:, 0]), self.gate.first_trust)
            trusted = trust, self._predictions(self.network.output(network), self.counts.rows_of(context))
        return (*network, *context, *trusted)

    def output(self, state):
        network, _, trusted = _parts(state)
        out = self.network.output(network)
        return out if self.training else torch.cat([out, combined(*trusted)], 1)

    def encode(self, x):
        if not self.training:
            return super().encode(x)
        _, context, trusted = _parts(self.init_hidden(len(x)))
        return (*self.network.encode(x), *next_context(x, self.counts.letters, context)[1], *trusted)

    def forward_seq(self, x, state):
        network, context, trusted = _parts(state)
        outs, network = self.network.forward_seq(x, network)
        if self.training:
            return outs, (*network, *next_context(x, self.counts.letters, context)[1], *trusted)
        rows, context = self.counts.read(x, context)
        log_probs, trusted = self._mix(x.t(), outs, rows.transpose(0, 1), trusted)
        return torch.cat([outs, log_probs], -1), (*network, *context, *trusted)

    def head(self, outs):
        self.network.kept = self.kept
        return self.network.head(outs) if self.training else outs[..., -self.vocab_sz :]

    def _mix(self, x, outs, rows, trusted):
        "Log-probabilities (n, bs, V) after each of n characters (n, bs), and the trust and predictions after the last."
        trust, predicted = trusted
        n_at_once = max(1, _max_numbers // max(predicted.numel(), 1))
        mixed = [predicted.new_zeros(0, x.shape[1], self.vocab_sz)]
        for begin in range(0, len(x), n_at_once):
            part = slice(begin, begin + n_at_once)
            predictions = self._predictions(outs[part], rows[part])
            before = torch.cat([predicted[None], predictions[:-1]])
            trusts = trusts_after(trust, scores_of(before, x[part]), self.gate.first_trust)
            mixed.append(combined(trusts, predictions))
            trust, predicted = trusts[-1], predictions[-1]
        return torch.cat(mixed), (trust, predicted)

    def _predictions(self, outs, rows):
        "What gate, network and counts predict (…, 3, V), for outputs of the network (…, k) and rows of the counts."
        log_probs = self.network.head(outs)
        n_rows = max(1, min(_max_rows, _max_numbers // self.vocab_sz))
        parts = zip(log_probs.flatten(0, -2).split(n_rows), rows.flatten(0, -2).split(n_rows))
        with torch.autocast(outs.device.type, enabled=False):
            predictions = torch.cat([self.gate.predictions(GateInputs(self.counts, p, r)) for p, r in parts])
        return predictions.unflatten(0, log_probs.shape[:-1])


def _parts(state):
    "The state of the network, the context, and the trust with the predictions."
    return state[:-5], state[-5:-2], state[-2:]


def _digits(numbers):
    "Whole numbers (n,) as digits to the base 256 (n, 4)."
    shifts = 8 * torch.arange(_n_digits, device=numbers.device)
    return (numbers[:, None] >> shifts) & 255


def _number(digits):
    "The whole numbers (…, 1) of digits (…, 4)."
    shifts = 8 * torch.arange(_n_digits, device=digits.device)
    return (digits.round().long() << shifts).sum(-1, keepdim=True)


def _as_ids(ids, mixture):
    ids = checked_ids(ids, mixture.vocab_sz)
    if len(ids) < 2:
        raise DataError(f"the text has {len(ids)} characters; a character and its target need 2")
    return ids.long().to(mixture.emb.weight.device)
