"""An encoded text: `CharIds` in memory, `MappedIds` on disk. Both gather many stretches of it at once.

Stretches of a text in memory are gathered by one look-up for each batch. Stretches of a text on disk are gathered for
many batches at once, in the order of the text: one scan of the disk serves them all, and memory use stays constant.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from .ids_file import IdsCheck, IdsFile

__all__ = ["CharIds", "MappedIds"]

_piece_bytes = 2**22  # bytes of a text on disk to read at a time
_max_scan_gap = 2**13  # mean gap in bytes between stretches above which separate reads beat a scan


class CharIds:
    "An encoded text in memory, in the smallest dtype. The loaders of a text share it, so it is moved once."

    def __init__(
        self,
        data: Tensor,  # (n_chars,) uint8, int16 or int32
        edges: np.ndarray | None = None,  # (n_documents+1,) int64: the borders of several documents
    ):
        self.data = data
        self.edges = edges

    @classmethod
    def from_array(
        cls,
        ids: np.ndarray,  # (n_chars,) as `CharVocab.encode` returns it
        edges: np.ndarray | None = None,  # (n_documents+1,) int64: the borders of several documents
    ) -> "CharIds":
        "Convert an encoded text. Above one byte the dtype is signed, because torch cannot index uint16 and uint32."
        if ids.dtype != np.uint8:
            fits_int16 = ids.size == 0 or ids.max() < 2**15
            ids = ids.astype(np.int16 if fits_int16 else np.int32)
        return cls(torch.from_numpy(np.ascontiguousarray(ids)), edges)

    def to(self, device):
        "Move the text to a device."
        if self.data.device != torch.device(device):
            self.data = self.data.to(device)

    @property
    def digest(self) -> str:  # sha256, in hexadecimal
        "A checksum. Two encoded texts with the same digest are equal."
        sha = hashlib.sha256()
        # in pieces, because the text takes four times its memory as int32
        for piece in self.data.cpu().split(2**18):
            sha.update(piece.to(torch.int32).numpy())
        return sha.hexdigest()

    @property
    def index_device(self) -> torch.device:
        "The device that `gather` expects `starts` on."
        return self.data.device

    def gather(
        self,
        starts: Tensor,  # (m,) int64, on `index_device`
        k: int,  # characters in each stretch
        bs: int,  # stretches in each batch
    ) -> Iterator[Tensor]:  # (bs, k) of the text's dtype; the last batch may be smaller
        "Yield the stretches of `k` characters that begin at `starts`, in batches."
        windows = self.data.unfold(0, k, 1)
        return (windows[batch] for batch in starts.split(bs))

    def stretch(self, begin: int, end: int) -> np.ndarray:  # (end-begin,) of the text's dtype
        "The characters from `begin` to `end`."
        return self.data[begin:end].cpu().numpy()

    def __len__(self):
        return len(self.data)


class MappedIds:
    """An encoded text on disk. Batches are returned on `device`; the text stays on disk.

    A few stretches are read one by one. Many stretches are sorted and gathered in one scan of the file, piece by piece,
    so memory does not grow with the text. Raises `CorpusError` if the file is damaged when it is opened, or is cut
    short or written to later; one that is removed or replaced is still read, as it was."""

    index_device = torch.device("cpu")

    def __init__(
        self,
        path: str | Path,  # a .npy file, 1-D, uint8, int16 or int32: written by `encode_file`
        edges: np.ndarray | None = None,  # (n_documents+1,) int64: the borders of several documents
        check: IdsCheck | None = None,  # what the file must contain; None: anything
    ):
        self.path = Path(path)
        self.edges = edges
        self.check = check
        self.device = torch.device("cpu")
        self.file = IdsFile(self.path, check)
        self.dtype = self.file.dtype
        self.n = self.file.n

    def to(self, device):
        "Return later batches on `device`."
        self.device = torch.device(device)

    def gather(self, starts: Tensor, k: int, bs: int) -> Iterator[Tensor]:
        "Yield batches of stretches on `device`. Arguments and shapes are those of `CharIds.gather`."
        n_bytes = self.n * self.dtype.itemsize
        # where stretches are far apart, a scan would read much more than is needed
        is_sparse = len(starts) * _max_scan_gap < n_bytes
        read = self.file.read_each if is_sparse else self._scan
        stretches = torch.from_numpy(read(starts.numpy(), k))
        return (batch.to(self.device, non_blocking=True) for batch in stretches.split(bs))

    def stretch(self, begin: int, end: int) -> np.ndarray:  # (end-begin,) of the text's dtype
        "The characters from `begin` to `end`, read to memory."
        return self.file.read(begin, end)

    def _scan(self, starts, k):
        "Gather all stretches in one scan of the file, piece by piece."
        order = np.argsort(starts)
        starts = starts[order]
        out = np.empty((len(order), k), self.dtype)
        piece = max(_piece_bytes // self.dtype.itemsize, k)
        buffer = np.empty(min(piece + k - 1, self.n), self.dtype)
        done = 0
        while done < len(starts):
            first = int(starts[done])  # pieces without a start are skipped
            end = np.searchsorted(starts, first + piece)
            text = buffer[: int(starts[end - 1]) + k - first]
            self.file.read_into(text, first)
            out[order[done:end]] = sliding_window_view(text, k)[starts[done:end] - first]
            done = end
        self.file.check_unchanged()
        return out

    def __len__(self):
        return self.n

    def __reduce__(self):
        return type(self), (self.path, self.edges, self.check)
