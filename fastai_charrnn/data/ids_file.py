"""Read an encoded text from its file: `IdsFile`. Files are read, not mapped.

A map of a file that is cut short ends the process by a signal (SIGBUS). Here a file that was cut short or written to
since it was opened raises `CorpusError`. A file that was removed or replaced is read to the end, because an open file
keeps its data. This module does not import torch.
"""

import io
import os
import re
import time
import weakref
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import CorpusError

__all__ = ["IdsFile", "IdsCheck", "header_of", "damaged", "stamp_of", "settle"]

_header = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '(\|u1|<i2|<i4)', 'fortran_order': False, 'shape': \((\d{1,18}),\), \} *\n",
    re.DOTALL,
)
_checked_size = 2**18  # indices to read at a time for a checksum
_tick = 0.011  # seconds: file systems keep times in steps of up to 10 ms


class IdsCheck(NamedTuple):
    "What `encode_file` knows of the files that it wrote or verified."

    crc: int  # CRC-32 of the indices
    edges_crc: int | None = None  # CRC-32 of the file with the borders of several documents
    stamp: tuple | None = None  # of the file that was verified; None: of none


def header_of(
    dtype: np.dtype,  # of the indices
    n: int,  # their number
) -> bytes:
    "Return NumPy's header of a 1-D array. Its length is the same for any n, because NumPy pads it."
    f = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        f, dict(descr=np.lib.format.dtype_to_descr(dtype), fortran_order=False, shape=(n,))
    )
    return f.getvalue()


def stamp_of(
    st: os.stat_result,  # of a file
) -> tuple[int, ...]:  # device, inode, size, times of the last change of the content and of the file
    "Return what differs for two files, or for two states of one. A change within a tick of the clock is not seen."
    return st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns


def settle(
    path: Path,  # a file
):
    "Wait until any later change of a file gives it another time."
    elapsed = time.time() - os.stat(path).st_ctime
    if elapsed < _tick:
        time.sleep(min(_tick - elapsed, _tick))


def damaged(
    path: Path,  # a file of an encoded text
    what: str,  # what is wrong
) -> CorpusError:
    "The error for a file that cannot be used."
    return CorpusError(f"the encoded text {path} {what}; make the dls again, which encodes the text again if needed")


class IdsFile:
    """An open file of indices, (n,) uint8, int16 or int32.

    Raises `CorpusError` if it cannot be read, is no such file, or has another size than its header says."""

    def __init__(
        self,
        path: str | Path,  # a .npy file
        check: IdsCheck | None = None,  # what it must contain; None: anything
    ):
        self.path = Path(path)
        try:
            self._handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as e:
            raise damaged(self.path, f"cannot be read ({e.strerror})") from None
        weakref.finalize(self, os.close, self._handle)
        self.stamp = stamp_of(os.fstat(self._handle))
        self.dtype, self.n, self._offset = self._read_header()
        if check is not None and check.stamp != self.stamp and check.crc != self.crc():
            raise damaged(self.path, "is damaged or was replaced")

    def _read_header(self):
        "The dtype, the number of indices, and the position of the first."
        found = _header.match(self._pread(1024, 0))
        if not found or found.end() != 10 + int.from_bytes(found[1], "little"):
            raise damaged(self.path, "has a damaged header")
        dtype = np.dtype(found[2].decode())
        n = int(found[3])
        if found.end() + n * dtype.itemsize != self.stamp[2]:
            raise damaged(self.path, f"has {self.stamp[2]:,} bytes, not as many as its header says")
        return dtype, n, found.end()

    def _pread(self, n_bytes, offset):
        try:
            return os.pread(self._handle, n_bytes, offset)
        except OSError as e:
            raise damaged(self.path, f"cannot be read ({e.strerror})") from None

    def check_unchanged(self):
        "Raise `CorpusError` if the file was written to since it was opened. Call it after reading."
        # not all of the stamp: the last time also changes when the file is renamed, linked or removed
        if stamp_of(os.fstat(self._handle))[2:4] != self.stamp[2:4]:
            raise damaged(self.path, "was changed while it was in use")

    def read_into(
        self,
        out: np.ndarray,  # (n,) of the file's dtype, contiguous: filled
        first: int,  # the position of its first index
    ):
        "Read consecutive indices. The caller then calls `check_unchanged`."
        buffer = memoryview(out).cast("B")
        offset = self._offset + first * self.dtype.itemsize
        while len(buffer):
            n_read = self._read_some(buffer, offset)
            if not n_read:
                raise damaged(self.path, "was cut short while it was in use")
            buffer = buffer[n_read:]
            offset += n_read

    def _read_some(self, buffer, offset):
        "Read up to one buffer, and return how many bytes there were."
        if not hasattr(os, "preadv"):
            raw = self._pread(len(buffer), offset)
            buffer[: len(raw)] = raw
            return len(raw)
        try:
            return os.preadv(self._handle, [buffer], offset)
        except OSError as e:
            raise damaged(self.path, f"cannot be read ({e.strerror})") from None

    def read(
        self,
        begin: int,  # the position of the first index
        end: int,  # the position after the last
    ) -> np.ndarray:  # (end-begin,) of the file's dtype
        "Return the indices from `begin` to `end`."
        out = np.empty(end - begin, self.dtype)
        self.read_into(out, begin)
        self.check_unchanged()
        return out

    def read_each(
        self,
        starts: np.ndarray,  # (m,) int64: positions
        k: int,  # indices to read at each
    ) -> np.ndarray:  # (m, k) of the file's dtype
        "Return a few stretches, each read separately."
        size = k * self.dtype.itemsize
        offsets = (self._offset + starts * self.dtype.itemsize).tolist()
        pread = os.pread
        handle = self._handle
        try:
            raw = bytearray(b"".join([pread(handle, size, offset) for offset in offsets]))
        except OSError as e:
            raise damaged(self.path, f"cannot be read ({e.strerror})") from None
        self.check_unchanged()
        if len(raw) != size * len(offsets):
            raise damaged(self.path, "was cut short while it was in use")
        return np.frombuffer(raw, self.dtype).reshape(-1, k)

    def crc(self) -> int:
        "Return the CRC-32 of all indices. Reads the whole file."
        crc = 0
        buffer = np.empty(min(_checked_size, self.n), self.dtype)
        for begin in range(0, self.n, _checked_size):
            part = buffer[: self.n - begin]
            self.read_into(part, begin)
            crc = zlib.crc32(part, crc)
        self.check_unchanged()
        return crc
