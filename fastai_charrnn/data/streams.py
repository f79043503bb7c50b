"""A text as streams: `CharStreams`, parallel rows of consecutive characters, so a state can continue across batches.

    rows      the text is cut into `bs` rows of consecutive characters, as equal in length as possible
    batches   `seq_len` columns of all rows, from left to right: x the characters, y the characters that follow

Every character except the first of the text is a target exactly once. If `bs` does not divide the text, the first rows
are one character longer, and their last characters follow in batches of one column. `remainder=False` leaves these out.
With `shift=True` each epoch starts at another offset of up to one row, and the remainder is left out too.
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .._checks import check_memory
from ..errors import DataError
from ..metrics import CharNLLLoss
from .ids import CharIds, MappedIds
from .permutation import SpanStarts
from .stream_items import StreamItems
from .vocab import CharVocab
from .windows import CharPrompts, CharWindows, as_items

__all__ = ["CharStreams"]


class _Rectangle(NamedTuple):
    "The full batches of one stretch of text: `bs` rows of equal length."

    starts: Tensor  # (bs,) int64, on the CPU: the position before each row's first target
    row_len: int  # targets in a row
    n_batches: int  # `row_len` divided by `seq_len`, rounded up


class CharStreams:
    """A dataset of the characters of some stretches of a text, in order.

    An item is one row of one batch: batch k holds the items from k·bs to (k+1)·bs - 1."""

    n_inp = 1
    target = "every"
    block_size = 1  # items to request from `batches` at a time; loaders round it up to one batch
    index_device = torch.device("cpu")
    decode = CharWindows.decode

    def __init__(
        self,
        ids: CharIds | MappedIds,  # the encoded text
        vocab: CharVocab,  # the meaning of its indices
        spans: Sequence[tuple[int, int]],  # (begin, end) of each stretch: the positions of the targets
        bs: int,  # rows
        seq_len: int,  # columns of a batch
        stateful: bool,  # whether models keep their state from batch to batch
        remainder: bool = True,  # whether characters that do not fill the rows are targets too
        info: dict | None = None,  # n_chars, stride, split and spans, for model files
        shift: bool = False,  # whether each epoch starts at another offset; then there is no remainder
    ):
        "Raises `DataError` for more rows than fit into memory."
        check_memory(16 * bs, f"a batch of {bs:,} rows", "pass a smaller bs")
        self.ids = ids
        self.vocab = vocab
        self.bs = bs
        self.seq_len = seq_len
        self.targets_per_row = seq_len
        self.stateful = stateful
        self.info = info or {}
        self.shift = shift
        self.remainder = remainder and not shift
        self.offset = 0
        self.picked = None
        self.spans = tuple((max(begin, 1), end) for begin, end in spans)
        self.loss_func = CharNLLLoss()
        self.c = len(vocab)
        self._cut()

    def _cut(self):
        "Cut each stretch into rows."
        # one entry for each stretch, not for each batch: a list of batches would grow with the text
        self._rectangles = [self._rectangle(begin, end) for begin, end in self.spans]
        self._remainder_starts = torch.cat([self._row_ends(*span) for span in self.spans] or [torch.arange(0)])

    def _rectangle(self, begin, end):
        row_len = self._row_len(begin, end)
        row = torch.arange(self.bs)
        n_longer = self._n_longer(begin, end)
        # the first rows have one target more, so row r starts min(r, n_longer) positions later
        starts = begin - 1 + row * row_len + row.clamp(max=n_longer)
        return _Rectangle(starts, row_len, -(-row_len // self.seq_len))

    def _row_len(self, begin, end):
        "Targets in a row. Shifted streams are cut as if there were one row more, which leaves room for the offset."
        n_rows = self.bs + 1 if self.shift else self.bs
        return (end - begin) // n_rows

    def _n_longer(self, begin, end):
        "The number of rows with one target more than the others."
        return (end - begin) % self.bs if self.remainder else 0

    def _row_ends(self, begin, end):
        "The positions before the last targets of the longer rows."
        starts, row_len, _ = self._rectangle(begin, end)
        return starts[: self._n_longer(begin, end)] + row_len

    def with_bs(
        self,
        bs: int,  # rows
    ) -> "CharStreams":
        "Return the same stretches in another number of rows."
        streams = self._copy(self.ids, self.spans, bs)
        streams.picked = self.picked
        return streams

    def picking(
        self,
        positions: Tensor,  # (n,) int64: targets, by their position in the text
    ) -> "CharStreams":
        """Return the same streams, with the same offset in every epoch. `get_preds` returns these targets of them only.

        Raises `DataError` for a position that is not a target of these streams."""
        streams = self.with_bs(self.bs)
        streams.offset = self.offset
        streams.picked = positions
        missing = positions[~torch.isin(positions, streams.positions())]
        if len(missing):
            raise DataError(f"position {int(missing[0]):,} is not a target of these streams; take positions of `items`")
        return streams

    def new_empty(self) -> "CharStreams":
        "Return a copy without the text, for `export`."
        return self._copy(CharIds(torch.zeros(0, dtype=torch.uint8)), (), self.bs)

    def _copy(self, ids, spans, bs):
        return CharStreams(
            ids, self.vocab, spans, bs, self.seq_len, self.stateful, self.remainder, self.info, self.shift
        )

    @property
    def n_targets(self) -> int:
        "The number of characters predicted in an epoch."
        return sum(r.row_len * self.bs for r in self._rectangles) + len(self._remainder_starts)

    def _n_batches(self):
        return -(-len(self) // self.bs)

    def begin_epoch(
        self,
        rng: random.Random,  # draws the offset
    ):
        "Draw the offset of the next epoch if the streams are shifted."
        if self.shift and self.picked is None:
            n_unused = [end - begin - r.row_len * self.bs for (begin, end), r in zip(self.spans, self._rectangles)]
            self.offset = rng.randint(0, min(n_unused))

    def batches(
        self,
        idxs: Tensor,  # (m,) int64: items, whole batches of them in order
        bs: int,  # rows to take from each batch: all, or those of one of several processes
    ) -> Iterator[tuple[Tensor, Tensor]]:  # x, y (rows, columns) int64
        "Yield the batches of these items."
        for items in idxs.split(bs):
            yield self.batch_at(int(items[0]) // self.bs, items % self.bs)

    def batch_at(
        self,
        k: int,  # the number of the batch, from 0
        rows: Tensor | None = None,  # (m,) int64, on the CPU: which of its rows; None: all
    ) -> tuple[Tensor, Tensor]:  # x, y (rows, columns), both int64
        "Return batch k of an epoch."
        starts, n_cols = self._batch(k)
        if rows is not None:
            starts = starts[rows]
        # a blocking copy would wait until the device has finished the previous batch
        starts = starts.to(self.ids.index_device, non_blocking=True)
        (chars,) = self.ids.gather(starts, n_cols + 1, self.bs)
        chars = chars.long()
        return chars[:, :-1], chars[:, 1:]

    def _batch(self, k):
        "For each row of batch k the position before its first target, and the number of columns."
        for starts, row_len, n_batches in self._rectangles:
            if k < n_batches:
                col = k * self.seq_len
                return starts + (self.offset + col), min(self.seq_len, row_len - col)
            k -= n_batches
        return self._remainder_starts[k * self.bs : (k + 1) * self.bs], 1

    def positions_at(
        self,
        k: int,  # the number of the batch, from 0
    ) -> Tensor:  # (rows · columns,) int64
        "Return the position in the text of each target of a batch, row by row."
        starts, n_cols = self._batch(k)
        return (starts[:, None] + torch.arange(1, n_cols + 1)).flatten()

    def positions(self) -> Tensor:  # (n_targets,) int64
        "Return the positions in the text of the targets of an epoch, in the order of the text."
        batches = [self.positions_at(k) for k in range(self._n_batches())]
        return torch.cat([torch.arange(0), *batches]).sort().values

    @property
    def items(self) -> StreamItems:
        "The targets, in the order of the text, in a form that fastai's `Interpretation` can index."
        return StreamItems(self, self.positions() if self.picked is None else self.picked)

    def contexts(
        self,
        positions: Tensor,  # (n,) int64: positions in the text
    ) -> Tensor:  # (n, seq_len) int64
        "Return the characters before each position, padded with index 0 before the start of the text."
        before = positions[:, None] + torch.arange(-self.seq_len, 0)
        starts = before.flatten().clamp(min=0).to(self.ids.index_device)
        chars = torch.cat([block.long() for block in self.ids.gather(starts, 1, max(len(starts), 1))])
        return chars.cpu().reshape(before.shape) * (before >= 0)

    @property
    def starts(self) -> SpanStarts:
        "The starts of all windows inside the stretches, for `audit`."
        return SpanStarts(self.spans, self.seq_len, 1)

    def at(
        self,
        items: "Sequence | StreamItems",  # texts, `items` of streams, or starts of windows
    ) -> "CharPrompts | CharStreams | CharWindows":
        "Return the dataset of other items, for `test_dl` and `predict`. Raises `DataError` for unusable items."
        if isinstance(items, (list, tuple)) and items and isinstance(items[0], StreamItems):
            items = StreamItems.joined(items)
        if isinstance(items, StreamItems):
            return items.streams.picking(items.positions)
        items = as_items(items)
        if self.stateful and len(items) and not isinstance(next(iter(items)), (str, bytes)):
            raise DataError(
                "streams that continue have no windows; pass texts, or items such as dls.valid.items[[0, 5]]"
            )
        return CharWindows.at(self, items)

    def to(self, device):
        "Move the text to a device."
        self.ids.to(device)

    def __len__(self):
        return sum(r.n_batches * self.bs for r in self._rectangles) + len(self._remainder_starts)

    def __getitem__(self, i):
        return tuple(rows[i % self.bs] for rows in self.batch_at(i // self.bs))
