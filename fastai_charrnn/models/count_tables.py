"""Count which characters follow each context of a text: `count_contexts`, sorted tables made with NumPy."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._checks import shown
from .._utils import is_whole
from ..errors import DataError
from .contexts import MISSING, N_OTHERS, context_keys, first_context

__all__ = [
    "KindCounts",
    "count_contexts",
    "fitted",
    "checked_ids",
    "checked_spans",
    "is_span",
    "last_part",
    "MAX_COUNT",
]

MAX_COUNT = 2**15 - 1  # larger counts are halved, with all counts of their context, until they fit
_char_bits = 24


class KindCounts(NamedTuple):
    "What followed the contexts of one kind, sorted by key and character."

    keys: np.ndarray  # (contexts,) int64
    lengths: np.ndarray  # (contexts,) int64: how many different characters followed
    chars: np.ndarray  # (entries,) int64
    counts: np.ndarray  # (entries,) int64

    def totals(self) -> np.ndarray:  # (contexts,)
        "Return how often each context occurred."
        return _row_sums(self.counts, self.lengths)

    def seen(self, n: int) -> "KindCounts":
        "Return the contexts that occurred at least n times."
        kept = self.totals() >= n
        entries = np.repeat(kept, self.lengths)
        return KindCounts(self.keys[kept], self.lengths[kept], self.chars[entries], self.counts[entries])


def count_contexts(
    pieces: Iterable[Tensor],  # int64 indices of texts (n,) each; no context reaches from one into another
    letters: Tensor,  # (V,) from `contexts.spell`
    n_orders: int,  # the longest context of characters
) -> list[KindCounts]:  # one for each kind of context
    "Count all contexts. Takes about 0.1 s for 540,000 characters and one kind."
    pieces = [piece for piece in pieces if len(piece) > 1]
    if not pieces:
        empty = np.zeros(0, np.int64)
        return [KindCounts(empty, empty, empty, empty)] * (n_orders + N_OTHERS)
    following = torch.cat([piece[1:] for piece in pieces])
    readers = [context_keys(piece[None, :-1], letters, first_context(1, n_orders)) for piece in pieces]
    return [_counted(torch.cat(keys, 1)[0], following) for keys in zip(*readers)]


def _counted(keys, following):
    "The counts of one kind of context."
    known = keys != MISSING
    pairs = np.sort((keys[known] << _char_bits | following[known]).numpy())
    entries, counts = _runs(pairs)
    keys, lengths = _runs(entries >> _char_bits)
    chars = entries & (2**_char_bits - 1)
    return KindCounts(keys, lengths, chars, _halved(counts, lengths))


def _runs(values):
    "The different values of a sorted array, and how often each occurs."
    is_first = np.ones(len(values), bool)
    is_first[1:] = values[1:] != values[:-1]
    starts = np.flatnonzero(is_first)
    return values[starts], np.diff(starts, append=len(values))


def _halved(counts, lengths):
    "Halve the counts of contexts that have one above `MAX_COUNT`, until it fits. No count becomes 0."
    if not len(counts) or counts.max() <= MAX_COUNT:
        return counts
    most = np.maximum.reduceat(counts, np.cumsum(lengths) - lengths)
    shifts = np.ceil(np.log2(np.maximum(most / MAX_COUNT, 1))).astype(np.int64)
    return np.maximum(counts >> np.repeat(shifts, lengths), 1)


def _row_sums(values, lengths):
    sums = np.concatenate([[0], np.cumsum(values)])
    ends = np.cumsum(lengths)
    return sums[ends] - sums[ends - lengths]


def fitted(
    kinds: list[KindCounts],  # from `count_contexts`
    max_bytes: int,  # of all tables
    entry_bytes: int,  # of an entry
    context_bytes: int,  # of a context
) -> list[KindCounts]:
    """Leave out rare contexts until the tables fit.

    Those that occurred once go first, kind by kind from the one with most contexts on, then those that occurred twice,
    and so on."""
    kinds = list(kinds)
    n = 1
    while sum(context_bytes * len(k.keys) + entry_bytes * len(k.chars) for k in kinds) > max_bytes:
        n += 1
        for i in sorted(range(len(kinds)), key=lambda i: -len(kinds[i].keys)):
            if sum(context_bytes * len(k.keys) + entry_bytes * len(k.chars) for k in kinds) > max_bytes:
                kinds[i] = kinds[i].seen(n)
    return kinds


def checked_ids(
    ids: object,  # what a user passed
    vocab_sz: int,  # V, characters in the vocabulary
) -> Tensor:  # (n,) as it is
    "Return indices of a text. Raises `DataError` for anything else."
    try:
        ids = torch.as_tensor(ids)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"ids={shown(ids)} are no indices; pass those of vocab.encode(text)") from None
    if ids.dim() != 1 or ids.numel() and (ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool):
        raise DataError(f"ids have the shape {tuple(ids.shape)} and {ids.dtype}; pass whole numbers in one dimension")
    # by NumPy, which compares unsigned numbers of all sizes
    numbers = ids.cpu().numpy()
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < vocab_sz:
        raise DataError(
            f"ids are from {numbers.min()} to {numbers.max()}, and the vocabulary has {vocab_sz:,} characters"
        )
    return ids


def checked_spans(
    spans: Iterable[tuple[int, int]] | None,  # what a user passed: (begin, end) positions; None: all
    n: int,  # characters of the text
) -> list[tuple[int, int]]:
    "Return spans. Raises `DataError` for those that leave the text."
    if spans is None:
        return [(0, n)]
    if not isinstance(spans, Iterable):
        raise DataError(f"spans={shown(spans)} are not a list of (begin, end)")
    spans = list(spans)
    for span in spans:
        if not is_span(span, 0, n):
            raise DataError(f"spans has {shown(span)}, not (begin, end) with 0 <= begin <= end <= {n:,}")
    return [(int(begin), int(end)) for begin, end in spans]


def is_span(
    span: object,  # what a user passed
    first: int,
    last: int,
) -> bool:
    "Whether it is (begin, end), positions from `first` to `last`."
    is_pair = isinstance(span, (tuple, list)) and len(span) == 2 and all(is_whole(o) for o in span)
    return is_pair and first <= span[0] <= span[1] <= last


def last_part(spans: list[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    "Return the parts of spans that have their last n characters."
    kept = []
    for begin, end in reversed(spans):
        kept.insert(0, (max(begin, end - n), end))
        n -= end - kept[0][0]
    return [(begin, end) for begin, end in kept if end > begin]
