"""What contexts predict beyond the next shorter ones, with the method of Witten and Bell: `innovations`.

Of a context that occurred N times and was followed by T different characters, R times by the character c,

    P(c) = (R + T P'(c)) / (N + T)

where P' is the prediction of the next shorter context (Witten and Bell 1991, *The Zero-Frequency Problem*). So
log P - log P' is log1p(R / (T P'(c))), and a number that does not depend on c. It differs from 0 only for characters
that followed. `contexts.base_kind` says which context is the next shorter one.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .contexts import base_kind
from .counts import CharCounts

__all__ = ["Innovations", "innovations"]


class Innovations(NamedTuple):
    "What contexts predict beyond the next shorter ones: log P - log P', up to a number for each row and context."

    row: Tensor  # (entries,) int64: the row of the batch
    kind: Tensor  # (entries,) int64: the kind of context
    char: Tensor  # (entries,) int64
    value: Tensor  # (entries,) above 0


def innovations(
    counts: CharCounts,
    rows: Tensor,  # (bs, kinds) from `rows`
    dtype: torch.dtype = torch.float32,  # of the values
) -> Innovations:
    "Return what each context predicts beyond the next shorter one, for the characters that followed it."
    tables = counts.tables()
    bs = len(rows)
    by_kind = rows.t().flatten()
    lengths = tables.lengths[by_kind]
    place = torch.repeat_interleave(lengths)
    first = lengths.cumsum(0) - lengths
    entry = torch.arange(len(place), device=rows.device) + (tables.starts[by_kind] - first)[place]
    chars = counts.chars[entry].long()
    kind, row = place // bs, place % bs
    novelty = lengths.to(dtype)
    total = tables.totals[by_kind].to(dtype)
    # log of T / (N + T), the part that shorter contexts have
    share = torch.where(lengths > 0, (novelty / (novelty + total)).log(), 0.0)
    ratio = counts.counts[entry].to(dtype) / novelty[place]
    values = _chain(counts, row * counts.vocab_sz + chars, ratio, share, lengths.view(counts.n_kinds, bs).sum(1), bs)
    return Innovations(row, kind, chars, values)


def _chain(counts, index, ratio, share, sizes, bs):
    "The values of innovations, one kind after another, as each needs the prediction of its shorter context."
    base = counts.tables().base.to(ratio.dtype).repeat(bs)
    # of each kind: log-probabilities up to a number for each row, and these numbers
    chain = {-1: (base, base.new_zeros(bs))}
    bases = [base_kind(kind, counts.n_orders) for kind in range(counts.n_kinds)]
    values = []
    parts = zip(index.split(sizes.tolist()), ratio.split(sizes.tolist()), share.view(counts.n_kinds, bs))
    for kind, (index, ratio, share) in enumerate(parts):
        is_last = bases[kind] not in bases[kind + 1 :]
        log_p, offset = chain.pop(bases[kind]) if is_last else chain[bases[kind]]
        value = (ratio / (log_p[index] + offset[index // counts.vocab_sz]).exp()).log1p()
        values.append(value)
        if kind in bases:
            log_p = log_p if is_last else log_p.clone()
            log_p[index] += value
            chain[kind] = log_p, offset + share
    return torch.cat(values)
