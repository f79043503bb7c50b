"""A part of texts that are too large for the time of `charrnn train --minutes`: `fitting_texts`.

Of several files, whole ones are taken from all over their list. Of a large file, stretches spread over it are copied,
from line end to line end; the last one ends where the file ends, so the end of the text still validates.
"""

import codecs
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .._files import write_errors
from ..callback.timed_validation import spread_order
from ..data.text_file import TextFile
from ..data.vocab import CharVocab
from ..errors import CharRnnError, CorpusError

__all__ = ["FittingTexts", "fitting_texts", "bytes_in", "text_size"]

_n_stretches = 16
_tried = 2**22  # bytes that are read to measure the speed
# A large text is read twice, compared, encoded, written and summed up: so many times the time of reading it once.
_passes = 2.0
_gzip_factor = 4  # how much larger a text is than its compressed file
_searched = 2**16  # bytes in which a line end is looked for
_copied = 2**20  # bytes to copy at a time
_continuations = bytes(range(0x80, 0xC0))  # in UTF-8, the bytes of a character after its first


class FittingTexts(NamedTuple):
    "Texts of which the time allows to read all."

    paths: list  # the files, or those with parts of them
    note: str  # what was left out; empty: nothing


def bytes_in(
    path: str | Path,  # a text file
    encoding: str,  # of its bytes
    seconds: float,  # for reading
) -> int:
    "How many bytes of such a text can be read and encoded in the time, by the speed of its beginning."
    start = time.perf_counter()
    n_bytes = 0
    pieces = []
    file = TextFile(path, encoding, size=2**18)
    try:
        for piece in file:
            pieces.append(piece)
            n_bytes += len(piece.encode("utf-8", "surrogatepass"))
            if n_bytes >= _tried:
                break
        vocab = CharVocab.from_pieces(pieces)
        for piece in pieces:
            vocab.encode(piece)
    except CharRnnError:
        # reading the whole text reports it
        return 0
    return int(seconds * n_bytes / (_passes * (time.perf_counter() - start)))


def fitting_texts(
    paths: Sequence[str | Path],  # text files
    encoding: str,  # of their bytes
    max_bytes: int,  # to read of all files
    folder: Path,  # for parts of files; made if it is needed
) -> FittingTexts:
    "Choose a part of texts that are larger than `max_bytes` in all. Raises `CorpusError` if it cannot be written."
    sizes = [text_size(path) for path in paths]
    total = sum(sizes)
    if total <= max_bytes or not _can_be_cut(encoding):
        return FittingTexts(list(paths), "")
    chosen = _chosen(sizes, max_bytes)
    share = max_bytes // len(chosen)
    parts = [_part(Path(paths[i]), sizes[i], max(share, max_bytes // 4), folder, i) for i in chosen]
    n_bytes = sum(os.path.getsize(part) for part in parts)
    files = f"{len(parts):,} of {len(paths):,} files" if len(paths) > 1 else f"{_n_stretches} stretches"
    note = (
        f"--minutes allows to read {n_bytes / 1e6:,.0f} of {total / 1e6:,.0f} MB: {files} spread over the text; "
        "with more minutes more is read"
    )
    return FittingTexts(parts, note)


def text_size(
    file: str | Path,  # a text file, which may be missing or gzipped
) -> int:
    "The size of its text in bytes, for a gzip file an estimate."
    size = os.path.getsize(file) if os.path.isfile(file) else 0
    return size * _gzip_factor if str(file).endswith(".gz") else size


def _can_be_cut(encoding):
    "Whether a byte is a character, or the encoding is UTF-8. An unknown encoding is reported when the file is read."
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        return False
    return re.fullmatch(r"utf-8(-sig)?|ascii|iso8859-\d+|cp125\d|cp437|cp850|koi8-.|mac-.*", name) is not None


def _chosen(sizes, max_bytes):
    "Numbers of files from all over the list, of about `max_bytes` in all; the last file is one of them."
    last = len(sizes) - 1
    chosen = {last}
    left = max_bytes - min(sizes[last], max_bytes // 4)
    for i in spread_order(len(sizes)):
        size = min(sizes[i], max_bytes // 4)
        if i not in chosen and size <= left:
            chosen.add(i)
            left -= size
    return sorted(chosen)


def _part(path, size, max_bytes, folder, number):
    "The file itself, or one with stretches of it."
    if size <= max_bytes:
        return path
    part = folder / "parts" / str(number) / path.name
    with write_errors(part, CorpusError, "free disk space, or pass --out with another folder"):
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "rb") as source, open(part, "wb") as target:
            if source.read(2) == b"\x1f\x8b":
                # a gzip file cannot be read from the middle; its beginning unpacks to several times its size
                _copy_unpacked(path, target, max_bytes)
            else:
                _copy_stretches(source, target, size, max_bytes)
    return part


def _copy_unpacked(path, target, max_bytes):
    n_left = max_bytes
    for raw in TextFile(path, "latin-1").read_bytes():
        if n_left <= len(raw):
            target.write(_cut_end(raw[:n_left]))
            return
        target.write(raw)
        n_left -= len(raw)


def _copy_stretches(source, target, size, max_bytes):
    length = max_bytes // _n_stretches
    for k in range(_n_stretches):
        begin = (size - length) * k // (_n_stretches - 1)
        end = begin + length
        source.seek(begin)
        if begin:
            _skip_line(source)
        while (n := min(end - source.tell(), _copied)) > 0:
            raw = source.read(n)
            if not raw:
                break
            is_cut = source.tell() >= end and end < size
            target.write(_cut_end(raw) if is_cut else raw)


def _skip_line(source):
    "Go to the next line, or to the next character if there is no line end."
    if source.readline(_searched).endswith(b"\n"):
        return
    following = source.read(4)
    n_rest = len(following) - len(following.lstrip(_continuations))
    source.seek(n_rest - len(following), os.SEEK_CUR)


def _cut_end(raw):
    "Bytes without what follows their last line end, or without a part of a character if there is no line end."
    end = raw.rfind(b"\n", max(len(raw) - _searched, 0))
    if end >= 0:
        return raw[: end + 1]
    # the last character may be whole, and is left out too
    kept = raw.rstrip(_continuations)
    return kept[:-1] if kept and kept[-1] >= 0xC0 else kept
