"""Read text files: `read_text` returns the text of a file, `TextFile` yields it piece by piece.

Bytes are decoded, gzip files are unpacked, a byte order mark is dropped and every line end becomes '\\n'.
Binary files, damaged files and wrong encodings raise `CorpusError`. This module does not import torch.
"""

import codecs
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from .._checks import check_path, shown
from .._utils import warn_caller
from ..errors import CharRnnWarning, CorpusError

__all__ = ["read_text", "TextFile"]

_byte_order_mark = "\ufeff"
_gzip_magic = b"\x1f\x8b"
_n_sniffed = 2**16  # bytes searched for null bytes, the sign of a binary file
_file_kinds = {
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\x7fELF": "a program",
}


def read_text(
    fname: str | Path,  # a text file, which may be gzipped
    encoding: str = "utf-8",  # the encoding of its bytes
) -> str:  # the text, with '\n' line ends and no byte order mark
    """Return the text of a file. Line ends '\\r\\n' and '\\r' become '\\n', as in Python's text mode.

    Warns (`CharRnnWarning`) with the number of line ends changed and byte order marks dropped.
    Raises `CorpusError` if the file is missing, empty, binary, or not valid in `encoding` (naming the byte)."""
    file = TextFile(fname, encoding)
    text = "".join(file)
    if file.changes:
        warn_caller(file.changes, CharRnnWarning)
    return text


class TextFile:
    """An iterable over the pieces of a text file, for files that do not fit in memory.

    Pieces are decoded and normalised as in `read_text`. After a full pass, `n_chars` is the length of the text and
    `changes` describes what was normalised. Iterating raises `CorpusError`, and so does an encoding that is no str."""

    may_be_empty = False  # whether an empty file is no error, as among several documents

    def __init__(
        self,
        fname: str | Path,  # a text file, which may be gzipped
        encoding: str = "utf-8",  # the encoding of its bytes
        size: int = 2**20,  # bytes to read at a time
    ):
        self.fname = check_path("fname", fname, CorpusError)
        if not isinstance(encoding, str):
            raise _unknown_encoding(encoding)
        self.encoding = encoding
        self.size = size

    def __iter__(self) -> Iterator[str]:
        self.n_chars = 0
        self._n_bom = 0
        self._n_crlf = 0
        self._n_cr = 0
        pending = ""  # a '\r' at the end of a piece: the next piece may start with its '\n'
        for text in self._without_bom(self._decoded_pieces()):
            text = pending + text
            pending = "\r" if text.endswith("\r") else ""
            text = self._normalise_line_ends(text.removesuffix(pending))
            if text:
                yield text
        if pending:
            yield self._normalise_line_ends(pending)
        if not self.n_chars and not self.may_be_empty:
            raise CorpusError(f"{self.fname} is empty; give a file with text")

    def open(self) -> io.BufferedReader:
        "Open the file for reading bytes. Another source overrides this."
        return open(self.fname, "rb")

    def read_bytes(self) -> Iterator[bytes]:
        "Yield the bytes of the file piece by piece, unpacked if the file is gzipped. Raises `CorpusError`."
        try:
            with self.open() as f:
                before = _state(f)
                is_gzip = f.peek(2).startswith(_gzip_magic)
                unpacked = gzip.open(f) if is_gzip else f
                raw = unpacked.read(self.size)
                self._check_is_text(raw)
                while raw:
                    yield raw
                    raw = unpacked.read(self.size)
                self._check_unchanged(before, f)
        except (EOFError, zlib.error, gzip.BadGzipFile) as e:
            message = f"{self.fname} is a damaged gzip file ({e}); compress it again, or pass the uncompressed text"
            raise CorpusError(message) from None
        except OSError as e:
            raise CorpusError(f"cannot read {self.fname}: {e.strerror or e}; give the path of a text file") from None

    def _check_unchanged(self, before, f):
        if _state(f) != before:
            raise CorpusError(f"{self.fname} changed while it was read; try again when it is complete")

    def _check_is_text(self, raw):
        "Raise `CorpusError` if the first bytes hold a null byte, which only text in UTF-16 and UTF-32 contains."
        if b"\0" not in raw[:_n_sniffed] or _allows_null_bytes(self.encoding):
            return
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise CorpusError(f"{self.fname} is UTF-16 text; pass encoding='utf-16'")
        kind = next((kind for magic, kind in _file_kinds.items() if raw.startswith(magic)), "a binary file")
        raise CorpusError(
            f"{self.fname} is {kind}, not a text file (it contains null bytes); give a text file, "
            "or pass encoding='utf-16' if it is UTF-16 text"
        )

    @property
    def changes(self) -> str:  # for a warning; empty if nothing was changed
        "A sentence that describes what the last pass normalised."
        changes = []
        if self._n_bom:
            changes.append("a byte order mark was dropped")
        if self._n_crlf or self._n_cr:
            changes.append(f"{self._n_crlf:,} CRLF and {self._n_cr:,} CR line ends were read as '\\n'")
        return f"{self.fname}: {' and '.join(changes)}" if changes else ""

    def _without_bom(self, pieces):
        "The pieces that are not empty, without the byte order mark at the start of the first."
        pieces = filter(None, pieces)
        first = next(pieces, "")
        if first.startswith(_byte_order_mark):
            self._n_bom = 1
            first = first[1:]
        yield first
        yield from pieces

    def _normalise_line_ends(self, text):
        if "\r" in text:
            n_crlf = text.count("\r\n")
            self._n_crlf += n_crlf
            self._n_cr += text.count("\r") - n_crlf
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.n_chars += len(text)
        return text

    def _decoded_pieces(self):
        "The text as decoded, piece by piece. Errors give position and line in the whole file."
        decoder = self._decoder()
        n_read = 0
        for raw in chain(self.read_bytes(), [b""]):  # an empty piece marks the end
            n_pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as e:
                raise self._invalid_byte(e, n_read - n_pending + e.start) from None
            except UnicodeError as e:
                message = f"{self.fname} is not valid {self.encoding}: {e}; pass the file's encoding=…"
                raise CorpusError(message) from None
            yield text
            n_read += len(raw)

    def _decoder(self):
        try:
            # rejects codecs that do not decode bytes to text, such as rot13
            io.TextIOWrapper(io.BytesIO(), self.encoding)
            return codecs.getincrementaldecoder(self.encoding)()
        except (LookupError, ValueError):
            # ValueError: it contains a null character
            raise _unknown_encoding(self.encoding) from None

    def _invalid_byte(self, error, position):
        return CorpusError(
            f"{self.fname} is not valid {self.encoding}: byte 0x{error.object[error.start]:02x} "
            f"at position {position:,} (line {self._line_number(position):,}): {error.reason}; "
            "pass the file's encoding=…, often 'latin-1', 'cp1252' or 'utf-16'"
        )

    def _line_number(self, position):
        "The line that contains the byte at `position`. Reads the file again, so it is called only for an error."
        line = 1
        remaining = position
        for raw in TextFile.read_bytes(self):  # not the method of a subclass, which may show progress
            line += raw.count(b"\n", 0, remaining)
            remaining -= len(raw)
            if remaining <= 0:
                break
        return line


def _state(f):
    "Size and time of an open file, which change when it is written to; None for what is not a plain file."
    try:
        st = os.fstat(f.fileno())
    except OSError:
        # a buffer in memory
        return None
    return (st.st_size, st.st_mtime_ns) if stat.S_ISREG(st.st_mode) else None


def _unknown_encoding(encoding):
    return CorpusError(f"unknown encoding {shown(encoding)}; try 'utf-8', 'latin-1' or 'cp1252'")


def _allows_null_bytes(encoding):
    "Whether text in this encoding may contain null bytes."
    name = re.sub("[^a-z0-9]", "", encoding.lower())
    return name.startswith(("utf16", "utf32", "u16", "u32", "unicode"))
