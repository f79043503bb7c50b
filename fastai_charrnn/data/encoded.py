"""Encode a text once to a file that is memory-mapped, for texts that do not fit in memory: `encode_file`.

Two files are written: `<name>.<digest>.npy` has the indices, `<name>.<digest>.json` describes the source (size, times,
sha256) and the vocabulary. The digest is that of the request: encoding, vocabulary and treatment of unknown characters.
Of several files, a third file `<name>.<digest>.edges.npy` has the borders. The JSON file is written last and removed
first, so data without it counts as absent. This module does not import torch.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from .._checks import check_path
from .._files import atomic_path, atomic_write
from .._utils import warn_caller
from ..errors import CharRnnWarning, CorpusError
from .char_messages import is_large, warn_large
from .documents import check_sep
from .encode_sources import Sources
from .vocab import CharVocab, check_vocab

__all__ = ["EncodedFile", "encode_file"]

_format = 1
_meta_keys = {"stamp", "sha256", "vocab", "n_chars", "changes"}


@dataclass(frozen=True)
class EncodedFile:
    "An encoded text on disk."

    path: Path  # a .npy file: (n_chars,) uint8, int16 or int32
    vocab: CharVocab  # the meaning of its indices
    n_chars: int  # its length
    edges: Path | None = None  # of several files: (n_files+1,) int64, file i is at edges[i] to edges[i+1]
    n_valid: int | None = None  # how many of the last files validate; None: `valid_pct` decides
    how: str = ""  # how these were chosen

    def __len__(self) -> int:
        return self.n_chars


def encode_file(
    fname: str | Path | Sequence[str | Path],  # a text file of any size, or a list of them
    encoding: str = "utf-8",  # the encoding of its bytes
    vocab: CharVocab | None = None,  # None: the characters of the text
    unk: str = "error",  # characters outside `vocab`: "error", "skip", or the known character to use for them
    cache: str | Path | None = None,  # the folder for the encoded text; None: the folder of the file, or of the first
    sep: str | None = "\n",  # one character that ends each of several files; None: nothing is added
) -> EncodedFile:  # path and vocabulary of the encoded text
    """Encode a file in pieces with a progress bar, or return the result of an earlier call.

    A list of files is encoded as one text, one file after the other, with their borders. An earlier result is used
    if the source has the same size and times, or else the same sha256.
    Memory does not grow with the text. On disk a character takes one byte if the vocabulary has at most 256.
    Raises `CorpusError` if the file cannot be read or the result cannot be written, `UnknownCharError` for unknown
    characters and `VocabError` for an invalid `unk` or a text without characters."""
    check_vocab(vocab)
    if vocab is not None:
        vocab.check_unk(unk)
    if isinstance(fname, (str, bytes, os.PathLike)) or not isinstance(fname, Iterable):
        source = Sources([check_path("fname", fname, CorpusError)], encoding, None)
    else:
        fnames = [check_path("fname", name, CorpusError) for name in fname]
        if not fnames:
            raise CorpusError("there are no files; pass at least one path")
        source = Sources(fnames, encoding, check_sep(sep, vocab, unk))
    stamp = source.stamp()
    data_path, meta_path = _cache_paths(source, vocab, unk, cache)
    meta = _read_meta(meta_path, data_path)
    if meta and meta["stamp"] != stamp:
        meta = _confirm(meta, source, stamp, meta_path)
    if not meta:
        meta = _encode(source, stamp, vocab, unk, data_path, meta_path)
    if meta["changes"]:
        warn_caller(meta["changes"], CharRnnWarning)
    edges = _edges_path(data_path) if source.several else None
    vocab = CharVocab(meta["vocab"])
    vocab.check_unk(unk)
    return EncodedFile(data_path, vocab, meta["n_chars"], edges)


def _cache_paths(source, vocab, unk, cache):
    "Where the data and its description are kept for this request."
    known = None if vocab is None else [vocab.itos, unk]
    request = [_format, source.encoding, known]
    if source.several:
        request += [source.sep, [str(file.fname.resolve()) for file in source.files]]
    digest = hashlib.sha256(json.dumps(request).encode()).hexdigest()[:12]
    folder = source.files[0].fname.parent if cache is None else check_path("cache", cache, CorpusError).expanduser()
    return tuple(folder / f"{source.name}.{digest}.{suffix}" for suffix in ("npy", "json"))


def _edges_path(data_path):
    "Where the borders of several files are kept."
    return data_path.with_suffix(".edges.npy")


def is_cached(
    path: Path,  # any file
) -> bool:
    "Whether a file has the name of an encoded text or of its description."
    return re.search(r"\.[0-9a-f]{12}\.((edges\.)?npy|json)$", path.name) is not None


def _read_meta(meta_path, data_path):
    "The description of an earlier result, or None if it or the data is absent or damaged."
    try:
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
        complete = meta["format"] == _format and data_path.stat().st_size == meta["data_bytes"]
        if "edges_bytes" in meta:
            complete = complete and _edges_path(data_path).stat().st_size == meta["edges_bytes"]
        return meta if complete and _meta_keys <= meta.keys() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _confirm(meta, source, stamp, meta_path):
    "The description with a new stamp if the content of the source is unchanged, else None."
    if not _equal_sizes(meta["stamp"], stamp) or meta["sha256"] != source.checksum():
        return None
    meta = meta | dict(stamp=stamp)
    _write_meta(meta_path, meta)
    return meta


def _equal_sizes(stamp, other):
    "Whether the files with these stamps have the same sizes."
    if isinstance(stamp[0], list):
        return [s[0] for s in stamp] == [s[0] for s in other]
    return stamp[0] == other[0]


def _encode(source, stamp, vocab, unk, data_path, meta_path):
    "Write the data, then its description."
    if vocab is None:
        pieces = chain.from_iterable(source.documents("looking for the characters of"))
        vocab = CharVocab.from_pieces(pieces)
    counts = np.zeros(len(vocab), np.int64)
    with _write_errors(data_path), atomic_path(data_path) as part:
        edges = _write_ids(part, source, vocab, unk, counts)
        if source.stamp() != stamp:
            raise CorpusError(f"{source.name} changed while it was read; try again when it is complete")
        files = [str(file.fname) for file in source.files]
        meta = dict(
            format=_format,
            source=files if source.several else files[0],
            stamp=stamp,
            sha256=source.sha.hexdigest(),
            encoding=source.encoding,
            unk=unk,
            n_chars=edges[-1],
            data_bytes=part.stat().st_size,
            changes=source.changes,
            vocab=vocab.itos,
        )
        # the old description must not outlive the old data, which is replaced at the end of this block
        meta_path.unlink(missing_ok=True)
        if source.several:
            meta["edges_bytes"] = _write_edges(_edges_path(data_path), edges)
    _write_meta(meta_path, meta)
    if is_large(vocab):
        warn_large(vocab, counts)
    return meta


def _write_ids(path, source, vocab, unk, counts):
    "Write the indices, count the characters of a large vocabulary, and return the borders of the documents."
    dtype = _index_dtype(len(vocab))
    edges = [0]
    with open(path, "wb") as f:
        _write_header(f, dtype, 0)
        for document in source.encode(vocab, unk):
            n_chars = 0
            for ids in document:
                if is_large(vocab):
                    counts += np.bincount(ids, minlength=len(vocab))
                f.write(ids.astype(dtype, copy=False).data)
                n_chars += len(ids)
            edges.append(edges[-1] + n_chars)
        f.seek(0)
        _write_header(f, dtype, edges[-1])
    return edges


def _write_edges(path, edges):
    "Write the borders and return the size of the file."
    with atomic_path(path) as part:
        with open(part, "wb") as f:
            np.save(f, np.array(edges, np.int64))
        return part.stat().st_size


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
