"""Encode a text once to a file that is read piece by piece, for texts that do not fit in memory: `encode_file`.

Two files are written: `<name>.<digest>.npy` has the indices, `<name>.<digest>.json` describes them (`encoded_meta`). Of
several files, a third file `<name>.<digest>.edges.npy` has the borders. Each is flushed to disk and then renamed, the
description last. Several processes may encode a text into one folder at the same time: each file is whole, and the
checksums in the description tell whether files belong together. This module does not import torch.
"""

import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from .._checks import check_path
from .._files import atomic_path
from .._utils import warn_caller
from ..errors import CharRnnError, CharRnnWarning, CorpusError
from .char_messages import is_large, warn_large
from .documents import check_sep
from .encode_sources import Sources
from .encoded_meta import cache_errors, cache_paths, confirm, edges_path, index_dtype, read_meta, write_meta
from .ids_file import IdsCheck, header_of, settle, stamp_of
from .vocab import CharVocab, check_vocab

__all__ = ["EncodedFile", "encode_file"]


@dataclass(frozen=True)
class EncodedFile:
    "An encoded text on disk."

    path: Path  # a .npy file: (n_chars,) uint8, int16 or int32
    vocab: CharVocab  # the meaning of its indices
    n_chars: int  # its length
    edges: Path | None = None  # of several files: (n_files+1,) int64, file i is at edges[i] to edges[i+1]
    n_valid: int | None = None  # how many of the last files validate; None: `valid_pct` decides
    how: str = ""  # how these were chosen
    check: IdsCheck | None = field(default=None, repr=False, compare=False)  # what the files contain; None: anything

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
    if the source has the same size and times, or else the same sha256, and if its own files were not written to since
    or have the right checksums. Several processes may use one `cache` at once. Memory does not grow with the text.
    On disk a character takes one byte if the vocabulary has at most 256.
    Raises `CorpusError` if the file cannot be read, changes while it is read, or the result cannot be written,
    `UnknownCharError` for unknown characters and `VocabError` for an invalid `unk` or a text without characters."""
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
    data_path, meta_path = cache_paths(source, vocab, unk, cache)
    meta = read_meta(meta_path, data_path, source.several)
    if meta and meta["stamp"] != stamp:
        meta = confirm(meta, source, stamp, meta_path)
    if not meta:
        meta = _encode(source, stamp, vocab, unk, data_path, meta_path)
    if meta["changes"]:
        warn_caller(meta["changes"], CharRnnWarning)
    edges = edges_path(data_path) if source.several else None
    check = IdsCheck(meta["data_crc"], meta["edges_crc"], tuple(meta["data_stamp"]))
    vocab = CharVocab(meta["vocab"])
    vocab.check_unk(unk)
    return EncodedFile(data_path, vocab, meta["n_chars"], edges, check=check)


def _encode(source, stamp, vocab, unk, data_path, meta_path):
    "Write the data, then its description."
    try:
        return _write_all(source, stamp, vocab, unk, data_path, meta_path)
    except CharRnnError:
        # characters of a text that is being written may be unknown or invalid
        _check_unchanged(source, stamp)
        raise


def _check_unchanged(source, stamp):
    if source.stamp() != stamp:
        raise CorpusError(f"{source.name} changed while it was read; try again when it is complete")


def _write_all(source, stamp, vocab, unk, data_path, meta_path):
    if vocab is None:
        pieces = chain.from_iterable(source.documents("looking for the characters of"))
        vocab = CharVocab.from_pieces(pieces)
    counts = np.zeros(len(vocab), np.int64)
    with cache_errors(data_path), atomic_path(data_path) as part:
        edges, data_crc = _write_ids(part, source, vocab, unk, counts)
        _check_unchanged(source, stamp)
        edges_crc = _write_edges(edges_path(data_path), edges) if source.several else None
        settle(part)
        written = stamp_of(os.stat(part))
    files = [str(file.fname) for file in source.files]
    meta = dict(
        source=files if source.several else files[0],
        stamp=stamp,
        sha256=source.sha.hexdigest(),
        encoding=source.encoding,
        unk=unk,
        n_chars=edges[-1],
        data_crc=data_crc,
        data_stamp=_stamp_as_written(data_path, written),
        edges_crc=edges_crc,
        changes=source.changes,
        vocab=vocab.itos,
    )
    try:
        write_meta(meta_path, meta)
    except CorpusError:
        # data without a description only fills the disk
        for path in (data_path, edges_path(data_path)):
            path.unlink(missing_ok=True)
        raise
    if is_large(vocab):
        warn_large(vocab, counts)
    return meta


def _stamp_as_written(path, written):
    "The stamp of a file that was renamed, which changes its last time, or the old one if it was replaced since."
    now = stamp_of(os.stat(path))
    return now if now[:4] == written[:4] else written


def _write_ids(path, source, vocab, unk, counts):
    """Write the indices and count the characters of a large vocabulary.

    Returns the borders of the documents and the CRC-32 of the indices."""
    dtype = index_dtype(len(vocab))
    edges = [0]
    crc = 0
    with open(path, "wb") as f:
        f.write(header_of(dtype, 0))
        for document in source.encode(vocab, unk):
            n_chars = 0
            for ids in document:
                if is_large(vocab):
                    counts += np.bincount(ids, minlength=len(vocab))
                raw = ids.astype(dtype, copy=False).data
                f.write(raw)
                crc = zlib.crc32(raw, crc)
                n_chars += len(ids)
            edges.append(edges[-1] + n_chars)
        f.seek(0)
        f.write(header_of(dtype, edges[-1]))
    return edges, crc


def _write_edges(path, edges):
    "Write the borders and return the CRC-32 of the file."
    with atomic_path(path) as part:
        with open(part, "wb") as f:
            np.save(f, np.array(edges, np.int64))
        return zlib.crc32(part.read_bytes())
