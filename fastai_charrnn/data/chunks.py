"""A text in chunks: `CharChunks` predicts every character, from a state of zeros at each `seq_len`-th.

The characters of a stretch of text that are targets are divided into chunks of `seq_len`; the last one may be shorter.
A batch holds chunks of one width. So nothing is padded, and a loss does not depend on the batch size.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from .ids import CharIds, MappedIds
from .streams import CharStreams
from .vocab import CharVocab
from .windows import CharWindows

__all__ = ["CharChunks"]


class CharChunks(CharStreams):
    """A dataset of the characters of some stretches of a text, in chunks of `seq_len`.

    An item is a chunk: first all full ones in the order of the text, then the shorter ones, the longest first."""

    block_size = CharWindows.block_size

    def __init__(
        self,
        ids: CharIds | MappedIds,  # the encoded text
        vocab: CharVocab,  # the meaning of its indices
        spans: Sequence[tuple[int, int]],  # (begin, end) of each stretch: the positions of the targets
        bs: int,  # chunks in a batch
        seq_len: int,  # targets of a chunk
        info: dict | None = None,  # n_chars, stride, split and spans, for model files
    ):
        super().__init__(ids, vocab, spans, bs, seq_len, stateful=False, info=info)

    def _cut(self):
        "Count the full chunks of each stretch, and list the shorter ones by their width."
        spans = np.array(self.spans, np.int64).reshape(-1, 2)
        n_full, n_left = np.divmod(np.maximum(spans[:, 1] - spans[:, 0], 0), self.seq_len)
        # the position before the first target of each stretch; full chunks are computed from it, not listed
        self._first = spans[:, 0] - 1
        self._n_before = np.concatenate([[0], np.cumsum(n_full)])
        ends = self._first + n_full * self.seq_len
        widths = sorted({*n_left.tolist()} - {0}, reverse=True)
        shorter = [ends[n_left == width] for width in widths]
        self._widths = [self.seq_len, *widths]
        self._shorter = np.concatenate([self._first[:0], *shorter])
        # group g, the chunks of one width, has the items from edge g to edge g+1
        sizes = [self._n_before[-1], *map(len, shorter)]
        self._edges = np.concatenate([[0], np.cumsum(sizes)]).tolist()

    def _copy(self, ids, spans, bs):
        return CharChunks(ids, self.vocab, spans, bs, self.seq_len, self.info)

    @property
    def group_sizes(self) -> list[int]:
        "The number of chunks of each width."
        return [end - begin for begin, end in pairwise(self._edges)]

    @property
    def n_targets(self) -> int:
        "The number of characters predicted in an epoch."
        return sum(width * n for width, n in zip(self._widths, self.group_sizes))

    def _n_batches(self):
        return sum(-(-n // self.bs) for n in self.group_sizes)

    def by_width(
        self,
        idxs: Tensor | Sequence[int],  # items; all of them if this is a range
    ) -> Iterator[Tensor | range]:
        "Yield the items of each width, in their order."
        for begin, end in pairwise(self._edges):
            if isinstance(idxs, range):
                yield idxs[begin:end]
            else:
                items = torch.as_tensor(idxs)
                yield items[(items >= begin) & (items < end)]

    def batches(
        self,
        idxs: Tensor,  # (m,) int64: items of one width
        bs: int,  # chunks in a batch
    ) -> Iterator[tuple[Tensor, Tensor]]:  # x, y (bs, width) int64; the last ones may have fewer rows
        "Yield batches of these items, in their order."
        if not len(idxs):
            return
        starts, width = self._chunks(idxs)
        for chars in self.ids.gather(starts.to(self.ids.index_device), width + 1, bs):
            chars = chars.long()
            yield chars[:, :-1], chars[:, 1:]

    def _chunks(self, items):
        "For items of one width the position before the first target of each, and the width."
        items = items.numpy()
        group = int(np.searchsorted(self._edges, items[0], "right")) - 1
        if group:
            starts = self._shorter[items - self._edges[1]]
        else:
            stretch = np.searchsorted(self._n_before, items, "right") - 1
            starts = self._first[stretch] + (items - self._n_before[stretch]) * self.seq_len
        return torch.from_numpy(starts), self._widths[group]

    def _batch(self, k):
        for begin, end in pairwise(self._edges):
            n_batches = -(-(end - begin) // self.bs)
            if k < n_batches:
                return self._chunks(torch.arange(begin + k * self.bs, min(begin + (k + 1) * self.bs, end)))
            k -= n_batches
        raise IndexError("there are fewer batches")

    def __len__(self):
        return self._edges[-1]

    def __getitem__(self, i):
        x, y = next(self.batches(torch.tensor([i]), 1))
        return x[0], y[0]
