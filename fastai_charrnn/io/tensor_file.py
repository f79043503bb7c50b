"""Read a `.safetensors` file of a stranger: `open_tensors`.

The file is opened once. Its header is checked before anything is allocated for tensors, and tensors are read from the
same open file. Another program may replace the file meanwhile: the header and the tensors still belong together.

A file is 8 bytes with the length of the header, the header in JSON, and the bytes of the tensors without gaps:

    {"__metadata__": {"name": "text", …}, "out.bias": {"dtype": "F32", "shape": [85], "data_offsets": [0, 340]}, …}
"""

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from torch import Tensor

from .._checks import shown
from .._printable import printable
from ..errors import ModelFileError
from .limits import MAX_COUNT, MAX_HEADER_BYTES, MAX_NAME, MAX_TENSORS
from .untrusted_json import parse_json

__all__ = ["DTYPES", "TensorEntry", "TensorFile", "open_tensors"]

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_max_dims = 8


class TensorEntry(NamedTuple):
    "What the header says about a tensor."

    dtype: str  # as safetensors spells it, such as "F32"
    shape: list[int]
    begin: int  # its bytes, counted from the end of the header
    end: int


class TensorFile:
    "An open `.safetensors` file. `metadata` has its texts by name, `entries` a `TensorEntry` for each tensor by name."

    def __init__(
        self,
        path: Path,  # its path, for errors
        file: BinaryIO,  # open for reading
    ):
        "Raises `ModelFileError` for a file that is damaged or beyond the limits."
        self.path = path
        self._file = file
        self._stat = os.fstat(file.fileno())
        with _damage(path):
            if not stat.S_ISREG(self._stat.st_mode):
                raise ValueError("it is no regular file")
            self._read_header()

    def _read_header(self):
        size = self._stat.st_size
        n_header = _header_size(self._file.read(8), size)
        header = parse_json(self._file.read(n_header))
        self._data_start = 8 + n_header
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("its metadata is not made of texts")
        if len(header) > MAX_TENSORS:
            raise ValueError(f"it has {len(header):,} tensors, and at most {MAX_TENSORS:,} are read")
        self.metadata: dict[str, str] = metadata
        self.entries = {name: _entry(name, fields) for name, fields in header.items()}
        _check_offsets(self.entries, size - self._data_start)

    def read(
        self,
        name: str,  # one of `entries`
    ) -> Tensor:
        "Read a tensor. Raises `ModelFileError` if its bytes are missing or are no values of its dtype."
        entry = self.entries[name]
        raw = torch.empty(entry.end - entry.begin, dtype=torch.uint8)
        with _damage(self.path):
            self._file.seek(self._data_start + entry.begin)
            if self._file.readinto(raw.numpy()) != len(raw):
                raise ValueError("it was cut while it was read")
            if entry.dtype == "BOOL" and len(raw) and raw.max() > 1:
                raise ValueError(f"tensor {shown(name)} is BOOL and has other values than 0 and 1")
        return raw.view(DTYPES[entry.dtype]).reshape(entry.shape)

    def check_unchanged(self):
        "Raise `ModelFileError` if the file was written in place since it was opened."
        now = os.fstat(self._file.fileno())
        with _damage(self.path):
            if (now.st_size, now.st_mtime_ns) != (self._stat.st_size, self._stat.st_mtime_ns):
                raise ValueError("it was changed while it was read")


@contextmanager
def open_tensors(
    path: Path,  # a `.safetensors` file
) -> Iterator[TensorFile]:
    """Open a file and check its header. Reading tensors is possible inside the block.

    Raises `ModelFileError` for any other file, and for one that is written in place while it is read."""
    with _damage(path):
        file = open(path, "rb")
    with file:
        tensors = TensorFile(path, file)
        yield tensors
        tensors.check_unchanged()


@contextmanager
def _damage(path):
    "Turn errors of reading into a `ModelFileError` that names the file and the reason."
    try:
        yield
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or printable(e, max_len=300)
        raise ModelFileError(f"{path} is damaged or not a model file ({reason}); save it again") from None


def _header_size(first, size):
    if len(first) < 8:
        raise ValueError(f"it has {size} bytes")
    n_header = int.from_bytes(first, "little")
    if n_header > size - 8:
        raise ValueError(f"it declares a header of {n_header:,} bytes and has {size:,} bytes")
    if n_header > MAX_HEADER_BYTES:
        raise ValueError(f"its header has {n_header:,} bytes, and at most {MAX_HEADER_BYTES:,} are read")
    return n_header


def _entry(name, fields):
    "The entry of one tensor."
    if len(name) > MAX_NAME:
        raise ValueError(f"the name of a tensor has {len(name):,} characters, and at most {MAX_NAME} are read")
    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {shown(name)} needs dtype, shape and data_offsets")
    dtype = fields["dtype"]
    shape = fields["shape"]
    offsets = fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"tensor {shown(name)} has the dtype {shown(dtype)}, known are {', '.join(DTYPES)}")
    if not _are_sizes(shape) or len(shape) > _max_dims or not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {shown(name)} has the shape {shown(shape)} and the offsets {shown(offsets)}")
    n_bytes = math.prod(shape) * DTYPES[dtype].itemsize
    if offsets[1] - offsets[0] != n_bytes:
        raise ValueError(f"tensor {shown(name)} needs {n_bytes:,} bytes and has the offsets {shown(offsets)}")
    return TensorEntry(dtype, shape, *offsets)


def _are_sizes(values):
    return isinstance(values, list) and all(type(v) is int and 0 <= v <= MAX_COUNT for v in values)


def _check_offsets(entries, n_bytes):
    "Raise `ValueError` unless the tensors lie one after another in all the bytes of the file."
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            raise ValueError(f"tensor {shown(name)} begins at byte {entry.begin:,}, and the one before ends at {end:,}")
        end = entry.end
    if end != n_bytes:
        raise ValueError(f"its tensors have {end:,} bytes and it holds {n_bytes:,}")
