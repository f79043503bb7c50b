"""Encode a text once to a file that is memory-mapped, for texts that do not fit in memory: `encode_file`.

Two files are written: `<name>.<digest>.npy` has the indices, `<name>.<digest>.json` describes the source (size, times,
sha256) and the vocabulary. The digest is that of the request: encoding, vocabulary and treatment of unknown characters.
The JSON file is written last and removed first, so data without it counts as absent. This module does not import torch.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._utils import atomic_path, atomic_write, warn_caller
from ..errors import CharRnnWarning, CorpusError
from .char_messages import is_large, warn_large
from .text_file import TextFile
from .vocab import CharVocab

__all__ = ["EncodedFile", "encode_file"]

_format = 1
_meta_keys = {"stamp", "sha256", "vocab", "n_chars", "changes"}


@dataclass(frozen=True)
class EncodedFile:
    "An encoded text on disk."

    path: Path  # a .npy file: (n_chars,) uint8, int16 or int32
    vocab: CharVocab  # the meaning of its indices
    n_chars: int  # its length

    def __len__(self) -> int:
        return self.n_chars


def encode_file(
    fname: str | Path,  # a text file of any size
    encoding: str = "utf-8",  # the encoding of its bytes
    vocab: CharVocab | None = None,  # None: the characters of the text
    unk: str = "error",  # characters outside `vocab`: "error", "skip", or the known character to use for them
    cache: str | Path | None = None,  # the folder for the encoded text; None: the folder of the file
) -> EncodedFile:  # path and vocabulary of the encoded text
    """Encode a file in pieces with a progress bar, or return the result of an earlier call.

    An earlier result is used if the source has the same size and times, or else the same sha256.
    Memory does not grow with the text. On disk a character takes one byte if the vocabulary has at most 256.
    Raises `CorpusError` if the file cannot be read or the result cannot be written, `UnknownCharError` for unknown
    characters and `VocabError` for an invalid `unk` or a text without characters."""
    if vocab is not None:
        vocab.check_unk(unk)
    source = _Source(fname, encoding)
    stamp = source.stamp()
    data_path, meta_path = _cache_paths(source, vocab, unk, cache)
    meta = _read_meta(meta_path, data_path)
    if meta and meta["stamp"] != stamp:
        meta = _confirm(meta, source, stamp, meta_path)
    if not meta:
        meta = _encode(source, stamp, vocab, unk, data_path, meta_path)
    if meta["changes"]:
        warn_caller(meta["changes"], CharRnnWarning)
    return EncodedFile(data_path, CharVocab(meta["vocab"]), meta["n_chars"])


class _Source(TextFile):
    "The text file to encode. It is read with a progress bar, and with a checksum while `sha` is set."

    action = ""
    sha = None

    def read_bytes(self):
        from fastprogress.fastprogress import progress_bar

        n_pieces = -(-self.fname.stat().st_size // self.size)
        bar = progress_bar(super().read_bytes(), total=n_pieces)
        bar.comment = f"{self.action} {self.fname.name}"
        for raw in bar:
            if self.sha:
                self.sha.update(raw)
            yield raw

    def checksum(self) -> str:
        self.action = "comparing"
        self.sha = hashlib.sha256()
        for _ in self.read_bytes():
            continue
        return self.sha.hexdigest()

    def stamp(self) -> list:
        "Size and times of the file: equal stamps mean an unchanged file."
        try:
            st = self.fname.stat()
        except OSError as e:
            raise CorpusError(f"cannot read {self.fname}: {e.strerror}; give the path of a text file") from None
        if not self.fname.is_file():
            raise CorpusError(
                f"{self.fname} is not a plain file and cannot be read twice; pass mmap=False to load it into memory"
            )
        return [st.st_size, st.st_mtime_ns, st.st_ctime_ns]


def _cache_paths(source, vocab, unk, cache):
    "Where the data and its description are kept for this request."
    known = None if vocab is None else [vocab.itos, unk]
    request = json.dumps([_format, source.encoding, known])
    digest = hashlib.sha256(request.encode()).hexdigest()[:12]
    folder = source.fname.parent if cache is None else Path(cache).expanduser()
    return tuple(folder / f"{source.fname.name}.{digest}.{suffix}" for suffix in ("npy", "json"))


def _read_meta(meta_path, data_path):
    "The description of an earlier result, or None if it or the data is absent or damaged."
    try:
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
        complete = meta["format"] == _format and data_path.stat().st_size == meta["data_bytes"]
        return meta if complete and _meta_keys <= meta.keys() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _confirm(meta, source, stamp, meta_path):
    "The description with a new stamp if the content of the source is unchanged, else None."
    same_size = meta["stamp"][0] == stamp[0]
    if not same_size or meta["sha256"] != source.checksum():
        return None
    meta = meta | dict(stamp=stamp)
    _write_meta(meta_path, meta)
    return meta


def _encode(source, stamp, vocab, unk, data_path, meta_path):
    "Write the data, then its description."
    if vocab is None:
        source.action = "looking for the characters of"
        vocab = CharVocab.from_pieces(source)
    source.action = "encoding"
    source.sha = hashlib.sha256()
    counts = np.zeros(len(vocab), np.int64)
    with _write_errors(data_path), atomic_path(data_path) as part:
        n_chars = _write_ids(part, source, vocab, unk, counts)
        if source.stamp() != stamp:
            raise CorpusError(f"{source.fname} changed while it was read; try again when it is complete")
        meta = dict(
            format=_format,
            source=str(source.fname),
            stamp=stamp,
            sha256=source.sha.hexdigest(),
            encoding=source.encoding,
            unk=unk,
            n_chars=n_chars,
            data_bytes=part.stat().st_size,
            changes=source.changes,
            vocab=vocab.itos,
        )
        # the old description must not outlive the old data, which is replaced at the end of this block
        meta_path.unlink(missing_ok=True)
    _write_meta(meta_path, meta)
    if is_large(vocab):
        warn_large(vocab, counts)
    return meta


def _write_ids(path, source, vocab, unk, counts):
    "Write the indices of a text, count the characters of a large vocabulary, and return the number of indices."
    dtype = _index_dtype(len(vocab))
    n_chars = 0
    with open(path, "wb") as f:
        _write_header(f, dtype, 0)
        for piece in source:
            ids = vocab.encode(piece, unk=unk, at=source.n_chars - len(piece))
            if is_large(vocab):
                counts += np.bincount(ids, minlength=len(vocab))
            f.write(ids.astype(dtype, copy=False).data)
            n_chars += len(ids)
        f.seek(0)
        _write_header(f, dtype, n_chars)
    return n_chars


def _index_dtype(n):
    "The smallest dtype for n indices that torch can index by: unsigned only for one byte."
    if n <= 2**8:
        return np.dtype(np.uint8)
    return np.dtype(np.int16 if n <= 2**15 else np.int32)


def _write_header(f, dtype, n):
    "Write NumPy's header of a 1-D array. Its length is the same for any n, because NumPy pads it."
    header = dict(descr=np.lib.format.dtype_to_descr(dtype), fortran_order=False, shape=(n,))
    np.lib.format.write_array_header_1_0(f, header)


def _write_meta(meta_path, meta):
    with _write_errors(meta_path):
        atomic_write(meta_path, json.dumps(meta))


@contextmanager
def _write_errors(path) -> Iterator[None]:
    "Make the folder of `path`, and turn the errors of writing there into `CorpusError`."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as e:
        way_out = "pass cache=… with a writable folder, or mmap=False to load the text into memory"
        raise CorpusError(f"cannot write {path}: {e.strerror}; {way_out}") from None
