"""`CharGate`: how far to trust a network and each kind of counts, by what is known before the next character.

    log P(c) = sum_j w_j log P_j(c) + a number that makes the sum of P one

A weight w_j is a linear function of features: the longest context that occurred, how often each context occurred, how
many characters followed it, the share of the most frequent one, and how sure the network is. As the log-probability is
concave in the parameters, a fit finds the best ones whatever it starts from (Hinton 2002, *Training Products of
Experts*; Mahoney 2005, *Adaptive Weighing of Context Models*, adapts such weights while it reads).

On a kind of text that the fit has not seen, a gate can be far worse than the network. `predictions` returns what the
network and the counts predict too, and `trust` decides while reading.
"""

from itertools import accumulate

import torch
from torch import Tensor, nn

from .counts import CharCounts
from .witten_bell import Innovations, innovations

__all__ = ["CharGate", "GateInputs", "N_PREDICTIONS"]

N_PREDICTIONS = 3  # the gate's, the network's and that of counts
_first_trust = 0.8, 0.1, 0.1  # in each of them, for a gate that was fitted
_counted_order = 3  # the longest context of the counts that predict alone
_first_counts = 2  # the first two weights are those of the network and of the characters without a context


class GateInputs:
    "What a gate weighs, for rows of a batch: the network's log-probabilities, those of counts, and features."

    def __init__(
        self,
        counts: CharCounts,
        log_probs: Tensor,  # (bs, V) of the network
        rows: Tensor,  # (bs, kinds) of the counts
    ):
        self.log_probs = log_probs
        self.base = counts.tables().base.to(log_probs.dtype)
        self.innovations = innovations(counts, rows, log_probs.dtype)
        self.features = _features(counts, log_probs, rows)


def n_features(counts: CharCounts) -> int:
    "Return the number of features."
    return counts.n_orders + 1 + 3 * counts.n_kinds + 2


def _features(counts, log_probs, rows):
    "The features (bs, n_features)."
    tables = counts.tables()
    totals, lengths, peaks = tables.totals[rows], tables.lengths[rows], tables.peaks[rows]
    order = torch.arange(1, counts.n_orders + 1, device=rows.device)
    longest = ((totals[:, : counts.n_orders] > 0) * order).amax(1)
    one_hot = torch.nn.functional.one_hot(longest, counts.n_orders + 1)
    probs = log_probs.exp()
    entropy = -(probs * log_probs).sum(1, keepdim=True)
    shares = peaks / totals.clamp(min=1).double()
    numbers = [one_hot, totals.double().log1p() / 8, lengths.double().log1p() / 4, shares]
    return torch.cat([*(o.to(log_probs.dtype) for o in numbers), entropy, probs.amax(1, keepdim=True)], 1)


class CharGate(nn.Module):
    "The weights of a network and of counts. They start as those of the network alone: 1 and zeros."

    first_trust: Tensor  # (3,): the trust in the gate, in the network and in counts at the beginning of a text

    def __init__(self, counts: CharCounts):
        super().__init__()
        self.n_orders = counts.n_orders
        n_out = _first_counts + counts.n_kinds
        self.weight = nn.Parameter(torch.zeros(n_out, n_features(counts)))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("first_trust", torch.zeros(N_PREDICTIONS))
        self.reset()

    @torch.no_grad()
    def reset(self):
        "Return to the network alone."
        self.weight.zero_()
        self.bias.zero_()
        self.bias[:1] = 1
        self.first_trust.zero_()
        self.first_trust[0] = 1

    def share_trust(self):
        "Give the network and the counts a part of the trust at the beginning of a text."
        self.first_trust.copy_(torch.tensor(_first_trust))

    def forward(self, inputs: GateInputs) -> Tensor:  # (bs, V) log-probabilities
        "Mix."
        weight, bias = (p.to(inputs.features.dtype) for p in (self.weight, self.bias))
        return mixed(inputs, inputs.features @ weight.t() + bias)

    def predictions(self, inputs: GateInputs) -> Tensor:  # (bs, 3, V) log-probabilities
        "Return the mixture of the gate, the network's prediction, and that of counts of up to 3 characters."
        weights = torch.zeros_like(self.bias, dtype=inputs.features.dtype)
        weights[1 : _first_counts + min(_counted_order, self.n_orders)] = 1
        counted = mixed(inputs, weights.expand(len(inputs.features), -1))
        return torch.stack([self(inputs), inputs.log_probs, counted], 1)


def mixed(
    inputs: GateInputs,
    weights: Tensor,  # (bs, 2 + kinds): of the network, of the characters without a context, and of each kind
) -> Tensor:  # (bs, V) log-probabilities
    "Return the normalized weighted sum of log-probabilities."
    seen = inputs.innovations
    n_chars = inputs.log_probs.shape[1]
    logits = weights[:, :1] * inputs.log_probs + weights[:, 1:2] * inputs.base
    weight = weights.flatten()[seen.row * weights.shape[1] + seen.kind + _first_counts]
    logits = logits.flatten().index_add(0, seen.row * n_chars + seen.char, weight * seen.value)
    return logits.view(-1, n_chars).log_softmax(1)


def joined(parts: list[GateInputs]) -> GateInputs:
    "Return the rows of several inputs."
    whole = object.__new__(GateInputs)
    whole.base = parts[0].base
    whole.log_probs = torch.cat([part.log_probs for part in parts])
    whole.features = torch.cat([part.features for part in parts])
    starts = accumulate((len(part.log_probs) for part in parts), initial=0)
    seen = [part.innovations._replace(row=part.innovations.row + n) for part, n in zip(parts, starts)]
    whole.innovations = Innovations(*map(torch.cat, zip(*seen)))
    return whole


def select(
    inputs: GateInputs,
    begin: int,
    end: int,
    first: int,  # the first entry of row `begin`
    last: int,  # the first entry of row `end`
) -> GateInputs:
    "Return rows of inputs whose innovations are sorted by row."
    part = object.__new__(GateInputs)
    part.log_probs = inputs.log_probs[begin:end]
    part.features = inputs.features[begin:end]
    part.base = inputs.base
    seen = Innovations(*(o[first:last] for o in inputs.innovations))
    part.innovations = seen._replace(row=seen.row - begin)
    return part
