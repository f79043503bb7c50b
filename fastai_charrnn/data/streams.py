"""A text as streams: `CharStreams`, cut into rows that are read side by side, so that a state can be carried from batch to batch.

    rows      bs pieces of the text, each the next characters of the one before it, as equal as can be
    batches   n columns of all rows, from left to right: x the characters, y the ones after them

Every character is a target once, but the first of a text, which nothing precedes. What does not fill the rectangle is not
left out: rows are one character longer from the first on, and the last batch holds these characters of these rows (of
several stretches: the last batches). Streams that are shifted begin at another character every epoch, up to a row's length
later, so that rows and batches are cut elsewhere.
"""

import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..metrics import CharNLLLoss
from .permutation import SpanStarts
from .vocab import CharVocab
from .windows import CharIds, CharPrompts, CharWindows, MappedIds

__all__ = ["CharStreams"]


class CharStreams:
    "A dataset of the characters of stretches of a text, in order; an item is a row of a batch, so that batch k holds the items from k·bs on."

    n_inp = 1
    target = "every"

    def __init__(
        self,
        ids: CharIds | MappedIds,  # the encoded text
        vocab: CharVocab,  # what its indices mean
        spans: Sequence[tuple[int, int]],  # (begin, end) of each stretch: the characters that are targets
        bs: int,  # rows
        seq_len: int,  # columns of a batch
        stateful: bool,  # whether models carry their state from batch to batch
        rest: bool = True,  # whether the characters that do not fill the rectangle are targets too
        info: dict | None = None,  # how the data was made: n_chars, stride, split, spans; goes into model files
        shift: bool = False,  # whether an epoch begins at another character each time; then there is no rest
    ):
        self.ids = ids
        self.vocab = vocab
        self.bs = bs
        self.seq_len = seq_len
        self.stateful = stateful
        self.info = info or {}
        self.shift = shift
        self.rest = rest and not shift
        self.offset = 0
        self.spans = tuple((max(a, 1), b) for a, b in spans)
        self.loss_func = CharNLLLoss()
        self.c = len(vocab)

    def cut(
        self,
        bs: int,  # rows
    ) -> "CharStreams":
        "The same stretches in other rows."
        return CharStreams(
            self.ids, self.vocab, self.spans, bs, self.seq_len, self.stateful, self.rest, self.info, self.shift
        )

    @property
    def n_targets(self) -> int:
        "Characters that are predicted in an epoch."
        return sum((b - a) if self.rest else self._long(a, b) * self.bs for a, b in self.spans)

    def begin(
        self,
        rng: random.Random,  # what draws
    ):
        "Shift the streams for the next epoch, if they are shifted."
        if self.shift:
            self.offset = rng.randint(0, min(b - a - self._long(a, b) * self.bs for a, b in self.spans))

    def batches(
        self,
        idxs: Tensor,  # (m,) int64: items, batches of them in order
        bs: int,  # rows taken of a batch: all, or those of one of several processes
    ) -> Iterator[tuple[Tensor, Tensor]]:  # x, y (rows, columns) int64
        "The batches of these items."
        for rows in idxs.split(bs):
            yield self.batch_at(int(rows[0]) // self.bs, rows % self.bs)

    def batch_at(
        self,
        k: int,  # which batch, from 0
        rows: Tensor | None = None,  # (m,) int64, on the CPU: which of its rows; None: all
    ) -> tuple[Tensor, Tensor]:  # x, y (rows, columns), both int64
        "The k-th batch of an epoch."
        first, columns = self._rectangle(k)
        if rows is not None:
            first = first[rows]
        (w,) = self.ids.gather(
            first.to(self.ids.home, non_blocking=True), columns + 1, self.bs
        )  # else the host would wait for the batch before
        w = w.long()
        return w[:, :-1], w[:, 1:]

    def _rectangle(self, k):
        "Where each row of a batch starts in the text, a character before its first target, and how many columns it has."
        for a, b in self.spans:
            if k < (many := self._columns(a, b)):
                at = k * self.seq_len
                return self._firsts(a, b) + at, min(self.seq_len, self._long(a, b) - at)
            k -= many
        over = torch.cat([self._firsts(a, b)[: (b - a) % self.bs] + self._long(a, b) for a, b in self.spans])
        return over[k * self.bs : (k + 1) * self.bs], 1

    def text_order(self) -> Tensor:  # (n_targets,) int64
        "Where each target of the text stands in an epoch's batches, laid out one after another, row by row."
        rectangles = [self._rectangle(k) for k in range(-(-len(self) // self.bs))]
        return torch.cat(
            [(first[:, None] + torch.arange(columns)).flatten() for first, columns in rectangles]
        ).argsort()

    def _firsts(self, a, b):
        row = torch.arange(self.bs)
        return a - 1 + self.offset + row * self._long(a, b) + row.clamp(max=(b - a) % self.bs if self.rest else 0)

    def _long(self, a, b):
        "Characters of a row; shifted streams leave the room of one more row free."
        return (b - a) // (self.bs + self.shift)

    def _columns(self, a, b):
        "Batches of all rows that a stretch gives."
        return -(-self._long(a, b) // self.seq_len)

    def __len__(self):
        return sum(self._columns(a, b) * self.bs + (b - a) % self.bs * self.rest for a, b in self.spans)

    @property
    def starts(self) -> SpanStarts:
        "Where the windows of these stretches start, for `audit`."
        return SpanStarts(self.spans, self.seq_len, 1)

    def new_empty(self) -> "CharStreams":
        "The same without any text, for `export`."
        return CharStreams(
            CharIds(torch.zeros(0, dtype=torch.uint8)),
            self.vocab,
            (),
            self.bs,
            self.seq_len,
            self.stateful,
            self.rest,
            self.info,
            self.shift,
        )

    ahead, home = 1, torch.device("cpu")
    decode = CharWindows.decode

    def at(self, items: Sequence) -> CharPrompts:
        return CharPrompts.from_texts([items] if isinstance(items, str) else items, self.vocab, self.seq_len)

    def to(self, device):
        self.ids.to(device)

    def __getitem__(self, i):
        return tuple(o[i % self.bs] for o in self.batch_at(i // self.bs))
