"""Datasets of windows: `CharWindows` over an encoded text, `CharPrompts` over texts to continue.

A window is its start in the text. Both datasets return whole minibatches (`batches`), so no Python runs for each item.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .._checks import shown
from ..errors import DataError
from ..metrics import CharNLLLoss
from .ids import CharIds, MappedIds
from .permutation import Starts
from .vocab import CharVocab

__all__ = ["CharWindows", "CharPrompts"]

_max_gathered = 2**24  # bytes of windows to gather at once


class CharWindows:
    """A dataset of windows of a text: `x` holds `seq_len` characters, `y` what follows.

    `target="next"`: `y` is the character after the window. `target="every"`: `y` has the character after each of its
    characters."""

    n_inp = 1
    stateful = False

    def __init__(
        self,
        ids: CharIds | MappedIds,  # the encoded text
        vocab: CharVocab,  # the meaning of its indices
        starts: Tensor | Starts,  # (n_windows,) int64: where each window starts
        seq_len: int,  # characters in a window
        info: dict | None = None,  # n_chars, stride, split, spans and digest of the text, for model files
        target: str = "next",  # "next" or "every"
    ):
        self.ids = ids
        self.vocab = vocab
        self.starts = starts
        self.seq_len = seq_len
        self.info = info or {}
        self.target = target
        self.loss_func = CharNLLLoss()
        self.c = len(vocab)

    def batch(
        self,
        idxs: Tensor,  # (bs,) int64: numbers of windows
    ) -> tuple[Tensor, Tensor]:  # x (bs, seq_len), y (bs,) or (bs, seq_len), both int64
        "Return one minibatch, gathered at once."
        return next(self.batches(idxs, max(len(idxs), 1)))

    def batches(
        self,
        idxs: Tensor,  # (m,) int64, on `index_device`: numbers of windows
        bs: int,  # windows in a batch
    ) -> Iterator[tuple[Tensor, Tensor]]:  # as `batch`; the last one may be smaller
        "Yield minibatches of these windows, in their order."
        if isinstance(self.starts, Tensor):
            starts = self.starts[idxs]
        else:
            starts = torch.from_numpy(self.starts[idxs.numpy()]).to(self.ids.index_device)
        for window in self.ids.gather(starts, self.seq_len + 1, bs):
            window = window.long()
            yield window[:, :-1], window[:, 1:] if self.target == "every" else window[:, -1]

    @property
    def n_targets(self) -> int:
        "The number of characters predicted in an epoch."
        return len(self) * self.targets_per_row

    @property
    def targets_per_row(self) -> int:
        "The number of characters predicted in a window."
        return self.seq_len if self.target == "every" else 1

    @property
    def index_device(self) -> torch.device:
        "The device that `batches` expects numbers of windows on."
        return self.starts.device if isinstance(self.starts, Tensor) else torch.device("cpu")

    @property
    def block_size(self) -> int:
        "How many windows to request from `batches` at a time: enough for a scan of a text on disk, in at most 16 MB."
        return max(min(2**19, _max_gathered // (self.seq_len + 1)), 1)

    def decode(self, b, full=True) -> tuple[str, ...]:
        "Return a sample of indices as strings. fastai calls it to show a batch."
        return tuple(self.vocab.decode(ids) for ids in b)

    def at(
        self,
        items: Sequence,  # texts, or starts of windows
    ) -> "CharWindows|CharPrompts":
        "Return the dataset of other items, for `test_dl` and `predict`. Raises `DataError` for a start out of range."
        items = as_items(items)
        if len(items) and isinstance(next(iter(items)), (str, bytes)):
            return CharPrompts.from_texts(items, self.vocab, self.seq_len, stateful=self.stateful)
        starts = torch.from_numpy(_as_starts(items))
        end = len(self.ids) - self.seq_len
        if len(starts) and not 0 <= starts.min() <= starts.max() < end:
            raise DataError(f"no window starts at {int(starts.max())}; starts must be from 0 to {end - 1:,}")
        return CharWindows(self.ids, self.vocab, starts.to(self.ids.index_device), self.seq_len, self.info, self.target)

    @property
    def items(self) -> pd.Series | Starts:  # n_windows of int64
        "The starts of the windows, in a form that fastai's `Interpretation` can index."
        return pd.Series(self.starts.cpu().numpy(), name="start") if isinstance(self.starts, Tensor) else self.starts

    def new_empty(self) -> "CharWindows":
        "Return a copy without the text, for `export`."
        no_text = CharIds(torch.zeros(0, dtype=torch.uint8))
        no_starts = torch.zeros(0, dtype=torch.int64)
        return CharWindows(no_text, self.vocab, no_starts, self.seq_len, self.info, self.target)

    def to(self, device):
        "Move text and starts to a device. Other loaders of the same text follow, because they share it."
        self.ids.to(device)
        if isinstance(self.starts, Tensor):
            self.starts = self.starts.to(self.ids.index_device)

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, i):
        batch = self.batch(torch.tensor([i], device=self.index_device))
        return tuple(rows[0] for rows in batch)


def as_items(
    items: object,  # what a user passed
) -> Sequence:
    "Return several items. A single text becomes a list. Raises `DataError` for what has no items."
    if isinstance(items, (str, bytes)):
        return [items]
    if not hasattr(items, "__len__") or not hasattr(items, "__iter__"):
        raise DataError(f"items={shown(items)} must be texts, or starts of windows")
    return items


def _as_starts(items):
    starts = np.asarray(items)
    if starts.size and (starts.dtype.kind not in "iu" or starts.ndim != 1):
        raise DataError(f"items={shown(items)} must be texts, or starts of windows, which are integers")
    return starts.reshape(-1).astype(np.int64)


class CharPrompts:
    """A dataset of texts to continue, without targets.

    Each is one window, the last `seq_len` characters of the text. For a model that carries its state it is the whole
    text."""

    n_inp = 1

    def __init__(
        self,
        rows: Tensor,  # (n_texts, width) int64, padded with index 0 on the left
        vocab: CharVocab,  # the meaning of its indices
        seq_len: int | None = None,  # characters in a window; None: the width
        stateful: bool = False,  # whether rows are whole texts, for a model that carries its state
    ):
        self.rows = rows
        self.vocab = vocab
        self.seq_len = rows.shape[1] if seq_len is None else seq_len
        self.stateful = stateful
        self.c = len(vocab)
        self.loss_func = CharNLLLoss()
        self.items = pd.DataFrame(rows.cpu().numpy())

    @classmethod
    def from_texts(
        cls,
        texts: Sequence[str],  # longer ones are cut to their last `seq_len` characters
        vocab: CharVocab,  # encodes them
        seq_len: int,  # characters in a window
        unk: str = "error",  # unknown characters: "error", "skip", or the known character to use for them
        stateful: bool = False,  # whether to keep whole texts, for a model that carries its state
    ) -> "CharPrompts":
        "Encode texts. Short ones are padded on the left with index 0. Raises `UnknownCharError`."
        encoded = [vocab.encode(text, unk=unk) for text in texts]
        width = max([1, *map(len, encoded)]) if stateful else seq_len
        rows = torch.zeros(len(encoded), width, dtype=torch.int64)
        for row, ids in zip(rows, encoded):
            ids = ids[-width:]
            if len(ids):
                row[-len(ids) :] = torch.from_numpy(ids.astype(np.int64))
        return cls(rows, vocab, seq_len, stateful)

    def batches(self, idxs: Tensor, bs: int) -> Iterator[tuple[Tensor]]:
        "Yield minibatches of these rows: tuples of one tensor."
        return ((self.rows[batch],) for batch in idxs.split(bs))

    decode = CharWindows.decode
    at = CharWindows.at
    batch = CharWindows.batch
    block_size = CharWindows.block_size
    index_device = property(lambda self: self.rows.device)

    def to(self, device):
        "Move the rows to a device."
        self.rows = self.rows.to(device)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return (self.rows[i],)
