"""Targets of streams as items: `StreamItems`, which fastai's `Interpretation` indexes and gives to `test_dl`."""

from collections.abc import Iterator, Sequence

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
        idxs: int | slice | Sequence[int] | Tensor,  # numbers of items
    ) -> "StreamItems":  # these items, or this one
        found = self.positions[idxs if isinstance(idxs, slice) else torch.as_tensor(idxs, dtype=torch.int64)]
        return StreamItems(self.streams, found.reshape(-1))

    def __iter__(self) -> Iterator["StreamItems"]:
        return (self[i] for i in range(len(self)))

    @classmethod
    def joined(
        cls,
        parts: "Sequence[StreamItems]",  # of the same streams
    ) -> "StreamItems":
        "Return the items of several, in their order. fastai's `WandbCallback` takes items one by one."
        return cls(parts[0].streams, torch.cat([part.positions for part in parts]))

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        return f"StreamItems of {len(self):,} characters, at {self.positions.tolist()[:10]}"
