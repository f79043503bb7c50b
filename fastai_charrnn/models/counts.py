"""`CharCounts`: which characters followed each context of a text, as tables that predict the next character.

    counts = CharCounts.of(ids, dls.vocab)        # contexts of up to 6 characters, of words and of columns
    rows, state = counts.read(ids[None, :100], counts.init_state(1))

`witten_bell.innovations` says what they predict.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .._checks import check_count, shown
from ..errors import ArchError, DataError
from .contexts import MISSING, N_OTHERS, ContextState, context_keys, first_context, next_context, spell, state_keys
from .count_tables import checked_ids, checked_spans, count_contexts, fitted, last_part

__all__ = ["CharCounts"]

MAX_ORDER = 16
MAX_ENTRIES = 2**28  # contexts, and entries of all contexts, in a file
MAX_BYTES = 56 * 10**6  # of the tables of a text
MAX_CHARS = 2**23  # characters that are counted: the last ones of a longer text


class _Tables(NamedTuple):
    "Look-up tables made from the buffers. The last context stands for those that are missing."

    version: tuple
    keys: Tensor  # (C,) int64, sorted: the kind and the key
    starts: Tensor  # (C + 1,) int64: the first entry
    lengths: Tensor  # (C + 1,) int64: entries
    totals: Tensor  # (C + 1,) int64: occurrences
    peaks: Tensor  # (C + 1,) int64: the largest count
    base: Tensor  # (V,) float64: log-probabilities without a context


class CharCounts(nn.Module):
    """Counts of the characters after each context, as buffers: a model file holds them.

    C contexts and E entries: a context has an entry for each character that followed it."""

    def __init__(
        self,
        vocab_sz: int,  # V, characters in the vocabulary, padding included
        n_orders: int = 6,  # the longest context of characters
        n_contexts: Iterable[int] | None = None,  # contexts of each kind; None: no text has been counted
        n_entries: int = 0,  # E
    ):
        "Raises `ArchError` for sizes that are no whole numbers or too large."
        super().__init__()
        self.vocab_sz = check_count("vocab_sz", vocab_sz, error=ArchError)
        self.n_orders = check_count("n_orders", n_orders, 1, MAX_ORDER, ArchError)
        self.n_kinds = self.n_orders + N_OTHERS
        self.n_contexts = self._checked_sizes(n_contexts)
        self.n_entries = check_count("n_entries", n_entries, 0, MAX_ENTRIES, ArchError)
        small = _small_dtype(vocab_sz)
        n = sum(self.n_contexts)
        # the keys of each kind are sorted
        self.register_buffer("keys", torch.zeros(n, dtype=torch.int32))
        self.register_buffer("lengths", torch.zeros(n, dtype=small))
        self.register_buffer("chars", torch.zeros(self.n_entries, dtype=small))
        self.register_buffer("counts", torch.zeros(self.n_entries, dtype=torch.int16))
        self.register_buffer("char_counts", torch.zeros(vocab_sz, dtype=torch.int32))
        self.register_buffer("letters", torch.zeros(vocab_sz, dtype=torch.int32))
        self._tables: _Tables | None = None

    def _checked_sizes(self, n_contexts):
        if n_contexts is None:
            return (0,) * self.n_kinds
        if not isinstance(n_contexts, (list, tuple)) or len(n_contexts) != self.n_kinds:
            raise ArchError(f"n_contexts={shown(n_contexts)} are not {self.n_kinds} whole numbers")
        sizes = tuple(check_count("n_contexts", n, 0, MAX_ENTRIES, ArchError) for n in n_contexts)
        check_count("sum(n_contexts)", sum(sizes), 0, MAX_ENTRIES, ArchError)
        return sizes

    @classmethod
    def of(
        cls,
        ids: Tensor,  # (n,) indices of a text, of any integer dtype, or a NumPy array
        vocab: Iterable[str],  # characters by index, such as a `CharVocab`
        n_orders: int = 6,  # the longest context of characters
        spans: Iterable[tuple[int, int]] | None = None,  # which parts to count: (begin, end) positions; None: all
        max_bytes: int = MAX_BYTES,  # of the tables
    ) -> "CharCounts":
        """Count a text. No context reaches from one span into another.

        Of more than 8,388,608 characters the last ones are counted. Contexts that occurred once, then twice and so on
        are left out where the tables would exceed `max_bytes`. Raises `DataError` for spans outside the text."""
        return cls.of_letters(ids, spell(vocab), n_orders, spans, max_bytes)

    @classmethod
    def of_letters(
        cls,
        ids: Tensor,  # as in `of`
        letters: Tensor,  # (V,) from `spell`
        n_orders: int = 6,
        spans: Iterable[tuple[int, int]] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> "CharCounts":
        "Count a text, as `of` does."
        n_orders = check_count("n_orders", n_orders, 1, MAX_ORDER, ArchError)
        max_bytes = check_count("max_bytes", max_bytes)
        vocab_sz = len(letters)
        ids = checked_ids(ids, vocab_sz).cpu()
        pieces = [ids[begin:end].long() for begin, end in last_part(checked_spans(spans, len(ids)), MAX_CHARS)]
        sizes = _small_dtype(vocab_sz).itemsize
        kinds = fitted(count_contexts(pieces, letters, n_orders), max_bytes, sizes + 2, sizes + 4)
        n_contexts = [len(k.keys) for k in kinds]
        new = cls(vocab_sz, n_orders, n_contexts, sum(len(k.chars) for k in kinds))
        new.letters.copy_(letters)
        if pieces:
            new.char_counts.copy_(torch.bincount(torch.cat(pieces), minlength=vocab_sz))
        for name in ("keys", "lengths", "chars", "counts"):
            parts = torch.cat([torch.from_numpy(getattr(k, name)) for k in kinds])
            new.get_buffer(name).copy_(parts - 2**31 if name == "keys" else parts)
        return new

    @property
    def n_chars(self) -> int:
        "How many characters were counted."
        return int(self.char_counts.sum(dtype=torch.int64))

    @property
    def config(self) -> dict:
        "The arguments that make tables of this size."
        return dict(n_orders=self.n_orders, n_contexts=list(self.n_contexts), n_entries=self.n_entries)

    def init_state(
        self,
        bs: int,  # rows
    ) -> ContextState:
        "Return the state before the first character."
        return first_context(bs, self.n_orders, self.keys.device)

    def read(
        self,
        x: Tensor,  # (bs, n) int64
        state: ContextState,  # before the first character
    ) -> tuple[Tensor, ContextState]:  # (bs, n, kinds) rows of the tables after each character, the last state
        "Read characters."
        state_after = next_context(x, self.letters, state)[1]
        keys = torch.stack(list(context_keys(x, self.letters, state)), -1)
        return self.rows(keys), state_after

    def rows_of(self, state: ContextState) -> Tensor:  # (bs, kinds) int64
        "Find the contexts that a state stands for."
        return self.rows(state_keys(state))

    def rows(
        self,
        keys: Tensor,  # (…, kinds) from `context_keys`
    ) -> Tensor:  # (…, kinds) int64, C for a context that is missing
        "Find contexts."
        tables = self.tables()
        n = len(tables.keys)
        if not n:
            return torch.zeros_like(keys)
        keys = torch.where(keys == MISSING, MISSING, keys + self._kinds(keys.device))
        # sorted searches stay within the caches
        found = torch.searchsorted(tables.keys, keys).clamp_(max=n - 1)
        return torch.where(tables.keys[found] == keys, found, n)

    def _kinds(self, device):
        return torch.arange(self.n_kinds, device=device) << 32

    def tables(self) -> _Tables:
        "Return the look-up tables. They are made once, and again after the buffers change."
        buffers = (self.keys, self.lengths, self.chars, self.counts, self.char_counts)
        version = tuple((o.data_ptr(), o._version) if not o.is_inference() else (o.data_ptr(), 0) for o in buffers)
        if self._tables is None or self._tables.version != version:
            self._tables = self._make_tables(version)
        return self._tables

    def __deepcopy__(self, memo):
        "A copy that shares the buffers: they are large, and replaced when they change."
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, _buffers=self._buffers.copy())
        return new

    def __getstate__(self):
        return self.__dict__ | dict(_tables=None)

    def _load_from_state_dict(self, *args, **kwargs):
        for name, buffer in self._buffers.items():
            # a copy may share it
            self._buffers[name] = buffer.clone()
        super()._load_from_state_dict(*args, **kwargs)

    @torch.inference_mode(False)
    @torch.no_grad()
    def _make_tables(self, version):
        sizes = torch.tensor(self.n_contexts, device=self.keys.device)
        kinds = torch.repeat_interleave(self._kinds(self.keys.device), sizes)
        lengths = torch.cat([self.lengths.long(), self.lengths.new_zeros(1, dtype=torch.int64)])
        ends = lengths.cumsum(0)
        _check(self, lengths, int(ends[-1]))
        sums = torch.cat([ends.new_zeros(1), self.counts.long().cumsum(0)])
        totals = sums[ends] - sums[ends - lengths]
        peaks = torch.segment_reduce(self.counts.float(), "max", lengths=lengths, unsafe=True, initial=0).long()
        seen = self.char_counts.double()
        n_seen = (seen > 0).sum().double()
        base = (seen + n_seen / self.vocab_sz + (n_seen == 0)) / (seen.sum() + n_seen + (n_seen == 0) * self.vocab_sz)
        keys = kinds + self.keys + 2**31
        return _Tables(version, keys, ends - lengths, lengths, totals, peaks, base.log())


def _check(counts, lengths, n_entries):
    "Raise `DataError` for tables that a damaged or crafted file has: with them, a look-up would leave its table."
    chars = counts.chars.long()
    is_outside = bool((chars < 0).any() or (chars >= counts.vocab_sz).any() or (lengths < 0).any())
    if is_outside or n_entries != len(chars) or bool((counts.counts < 1).any() or (counts.char_counts < 0).any()):
        raise DataError("the tables of counts are damaged; count the text again with mixture.count")


def _small_dtype(vocab_sz):
    "The dtype of characters, and of how many different ones follow a context."
    if vocab_sz < 2**8:
        return torch.uint8
    return torch.int16 if vocab_sz < 2**15 else torch.int32
