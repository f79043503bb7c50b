"""Targets of streams as items: `StreamItems`, which fastai's `Interpretation` indexes and gives to `test_dl`."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["StreamItems"]


class StreamItems:
    """Some targets of streams, each by its position in the text: `dls.valid.items[[0, 5]]`.

    `dls.test_dl(items)` makes a loader of them. It reads the streams from their start, because the prediction of a
    character depends on all characters before it, and `get_preds` returns these targets only."""

    def __init__(
        self,
        streams,  # the dataset, a `CharStreams`
        positions: Tensor,  # (n,) int64: the positions of the targets in the text
    ):
        self.streams = streams
        self.positions = positions

    @property
    def iloc(self) -> "StreamItems":
        "Itself, because fastai's `Interpretation` indexes `items.iloc`."
        return self

    def __getitem__(
        self,
        idxs: int | Sequence[int] | Tensor,  # numbers of items
    ) -> "int | StreamItems":  # a position, or several items
        found = self.positions[idxs if isinstance(idxs, (int, slice)) else torch.as_tensor(idxs, dtype=torch.int64)]
        return StreamItems(self.streams, found) if found.dim() else int(found)

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        return f"StreamItems of {len(self):,} characters, at {self.positions.tolist()[:10]}"
