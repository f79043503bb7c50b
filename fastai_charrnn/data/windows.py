"""Windows of characters as datasets: `CharWindows` over an encoded text in memory (`CharIds`) or on disk (`MappedIds`).

A window is an offset into the text. Batches are gathered whole: from memory by one look-up each, from disk for up to
a thousand batches at once, in the order of the text, so that the disk is read in one sweep and memory stays flat.
"""

import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from ..errors import DataError
from ..metrics import CharNLLLoss
from .permutation import Starts
from .vocab import CharVocab

__all__ = ["CharWindows", "CharPrompts", "CharIds", "MappedIds"]

_piece = 2**24  # bytes of a mapped text that are in memory at a time
_sparse = 2**13  # bytes between stretches from which on reading each alone is faster than a sweep


class CharIds:
    "The encoded text, one 1-D tensor in as few bytes as fit, shared by all loaders over it so that it moves once."

    def __init__(
        self,
        data: Tensor,  # (n_chars,) uint8, int16 or int32
    ):
        self.data = data

    @classmethod
    def from_array(cls, a: np.ndarray) -> "CharIds":
        "Take an encoded text as `CharVocab.encode` gives it; torch indexes signed types only beyond a byte."
        wide = a if a.dtype == np.uint8 else a.astype(np.int16 if a.size == 0 or a.max() < 2**15 else np.int32)
        return cls(torch.from_numpy(np.ascontiguousarray(wide)))

    def to(self, device):
        if self.data.device != torch.device(device):
            self.data = self.data.to(device)

    @property
    def digest(self) -> str:  # sha256, in hexadecimal
        "Tells whether two encoded texts are the same."
        return hashlib.sha256(self.data.cpu().to(torch.int32).numpy().tobytes()).hexdigest()

    @property
    def home(self) -> torch.device:
        "Where starts are looked up."
        return self.data.device

    def gather(
        self,
        starts: Tensor,  # (m,) int64, on the device of the text
        k: int,  # characters in each
        bs: int,  # how many in a batch
    ) -> Iterator[Tensor]:  # (bs, k), the last maybe smaller, of the dtype of the text
        "The stretches of `k` characters from `starts`, in batches."
        windows = self.data.unfold(0, k, 1)
        return (windows[o] for o in starts.split(bs))

    def __len__(self):
        return len(self.data)


class MappedIds:
    """An encoded text on disk; batches come out on `device`, the text stays where it is.

    Few stretches are read one by one. Many are sorted and gathered in one sweep through a map of the file; each piece
    of the map is given back to the system at once, so that resident memory does not grow with the text."""

    home = torch.device("cpu")

    def __init__(
        self,
        path: str | Path,  # .npy, 1-D, uint8, int16 or int32: what `encode_file` made
    ):
        self.path = Path(path)
        self.device = torch.device("cpu")
        whole = np.load(self.path, mmap_mode="r")
        self.dtype = whole.dtype
        self.n = len(whole)
        self.offset = whole.offset
        self.file = open(self.path, "rb", buffering=0)
        self.map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)

    def to(self, device):
        self.device = torch.device(device)

    def gather(self, starts: Tensor, k: int, bs: int) -> Iterator[Tensor]:
        "As `CharIds.gather`, on `device`."
        read = self._read if len(starts) * _sparse < self.n * self.dtype.itemsize else self._swept
        return (o.to(self.device, non_blocking=True) for o in torch.from_numpy(read(starts.numpy(), k)).split(bs))

    def _read(self, starts, k):
        size = self.dtype.itemsize
        at = os.pread
        fd = self.file.fileno()
        raw = b"".join([at(fd, k * size, o) for o in (self.offset + starts * size).tolist()])
        return np.frombuffer(bytearray(raw), self.dtype).reshape(-1, k)

    def _swept(self, starts, k):
        order = np.argsort(starts)
        starts = starts[order]
        out = np.empty((len(order), k), self.dtype)
        piece = max(_piece // self.dtype.itemsize, k)
        a = 0
        while a < len(starts):  # each turn takes what starts in the next piece that holds any
            lo = int(starts[a])
            b = np.searchsorted(starts, lo + piece)
            text = np.frombuffer(
                self.map, self.dtype, min(piece + k - 1, self.n - lo), self.offset + lo * self.dtype.itemsize
            )
            out[order[a:b]] = sliding_window_view(text, k)[starts[a:b] - lo]
            if hasattr(self.map, "madvise"):
                self.map.madvise(mmap.MADV_DONTNEED)  # else resident memory grows to the whole text
            a = b
        return out

    def __len__(self):
        return self.n

    def __reduce__(self):
        return type(self), (self.path,)


class CharWindows:
    "A dataset of windows: where each starts in the text, how long it is, and the vocabulary to read it by."

    n_inp, stateful = 1, False

    def __init__(
        self,
        ids: CharIds | MappedIds,  # the encoded text
        vocab: CharVocab,  # what its indices mean
        starts: Tensor | Starts,  # (n_windows,) int64: where each window starts
        seq_len: int,  # characters in a window
        info: dict
        | None = None,  # how the data was made: n_chars, stride, split, spans, digest of the text; goes into model files
        target: str = "next",  # what is to be predicted: the character after the window ("next"), or the one after each of its characters ("every")
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
    ) -> tuple[Tensor, Tensor]:  # x (bs, window), y (bs,) or (bs, window), both int64
        "A whole minibatch by one gather."
        return next(self.batches(idxs, max(len(idxs), 1)))

    def batches(
        self,
        idxs: Tensor,  # (m,) int64, on `home`: numbers of windows
        bs: int,  # windows in a batch
    ) -> Iterator[tuple[Tensor, Tensor]]:  # as `batch`, the last maybe smaller
        "Minibatch after minibatch, gathered as suits the text."
        if isinstance(self.starts, Tensor):
            starts = self.starts[idxs]
        else:
            starts = torch.from_numpy(self.starts[idxs.numpy()]).to(self.ids.home)
        for w in self.ids.gather(starts, self.seq_len + 1, bs):
            w = w.long()
            yield w[:, :-1], w[:, 1:] if self.target == "every" else w[:, -1]

    @property
    def n_targets(self) -> int:
        "Characters that an epoch predicts."
        return len(self) * (self.seq_len if self.target == "every" else 1)

    @property
    def home(self) -> torch.device:
        "Where numbers of windows are looked up."
        return self.starts.device if isinstance(self.starts, Tensor) else torch.device("cpu")

    @property
    def ahead(self) -> int:
        "How many windows to ask `batches` for at a time: so many that a sweep through a mapped text pays, in at most 16 MB."
        return max(min(2**19, 2**24 // (self.seq_len + 1)), 1)

    def decode(self, b, full=True) -> tuple[str, ...]:
        "One sample of indices as strings."
        return tuple(self.vocab.decode(o) for o in b)

    def at(
        self,
        items: Sequence,  # texts, or starts of windows
    ) -> "CharWindows|CharPrompts":
        "The dataset of other items, as `test_dl` and `predict` ask for."
        items = [items] if isinstance(items, str) else items
        if len(items) and isinstance(next(iter(items)), str):
            return CharPrompts.from_texts(items, self.vocab, self.seq_len)
        starts = torch.tensor(np.asarray(items), dtype=torch.int64)
        if len(starts) and not 0 <= starts.min() <= starts.max() < len(self.ids) - self.seq_len:
            raise DataError(
                f"no window starts at {int(starts.max())}: starts run from 0 to {len(self.ids) - self.seq_len - 1:,}"
            )
        return CharWindows(self.ids, self.vocab, starts.to(self.ids.home), self.seq_len, self.info, self.target)

    @property
    def items(self) -> pd.Series | Starts:  # n_windows of int64
        "The starts of the windows, as what fastai's `Interpretation` can index."
        return pd.Series(self.starts.cpu().numpy(), name="start") if isinstance(self.starts, Tensor) else self.starts

    def new_empty(self) -> "CharWindows":
        "The same without any text, for `export`."
        return CharWindows(
            CharIds(torch.zeros(0, dtype=torch.uint8)),
            self.vocab,
            torch.zeros(0, dtype=torch.int64),
            self.seq_len,
            self.info,
            self.target,
        )

    def to(self, device):
        "Move text and starts; other loaders over the same text follow."
        self.ids.to(device)
        if isinstance(self.starts, Tensor):
            self.starts = self.starts.to(self.ids.home)

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, i):
        return tuple(o[0] for o in self.batch(torch.tensor([i], device=self.home)))


class CharPrompts:
    "A dataset of texts whose next character is asked for: each is one window, its last `window` characters."

    n_inp, stateful = 1, False

    def __init__(
        self,
        rows: Tensor,  # (n_texts, window)
        vocab: CharVocab,  # what its indices mean
    ):
        self.rows, self.vocab, self.seq_len, self.c, self.loss_func = (
            rows,
            vocab,
            rows.shape[1],
            len(vocab),
            CharNLLLoss(),
        )
        self.items = pd.DataFrame(rows.cpu().numpy())

    @classmethod
    def from_texts(cls, texts: Sequence[str], vocab: CharVocab, seq_len: int, unk: str = "error") -> "CharPrompts":
        "Longer texts give their tail, shorter ones are padded on the left with index 0. Raises `UnknownCharError`."
        rows = torch.zeros(len(texts), seq_len, dtype=torch.int64)
        for row, text in zip(rows, texts):
            ids = vocab.encode(text, unk=unk)[-seq_len:]
            if len(ids):
                row[-len(ids) :] = torch.from_numpy(ids.astype(np.int64))
        return cls(rows, vocab)

    def batches(self, idxs: Tensor, bs: int) -> Iterator[tuple[Tensor]]:
        return ((self.rows[o],) for o in idxs.split(bs))

    decode = CharWindows.decode
    at = CharWindows.at
    batch = CharWindows.batch
    ahead = CharWindows.ahead
    home = property(lambda self: self.rows.device)

    def to(self, device):
        self.rows = self.rows.to(device)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return (self.rows[i],)
