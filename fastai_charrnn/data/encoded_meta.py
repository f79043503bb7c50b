"""The description of an encoded text, and whether its files are whole: `read_meta`, `write_meta`, `confirm`.

It is a JSON object with the source (size, times, sha256), the vocabulary, the number of characters, and the checksums
of all files, itself included. Data whose stamp (`ids_file.stamp_of`) is that of the description was not written to
since it was verified; any other data is read whole and verified. This module does not import torch.
"""

import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from .._checks import check_path
from .._files import atomic_write
from ..errors import CorpusError
from .encode_sources import Sources
from .ids_file import IdsCheck, IdsFile, damaged, settle
from .vocab import CharVocab

__all__ = [
    "cache_paths",
    "edges_path",
    "index_dtype",
    "is_cached",
    "read_meta",
    "read_edges",
    "confirm",
    "write_meta",
    "cache_errors",
]

_format = 2  # 1 had no checksums


def cache_paths(
    source: Sources,  # what is encoded
    vocab: CharVocab | None,  # as `encode_file`
    unk: str,  # as `encode_file`
    cache: str | Path | None,  # as `encode_file`
) -> tuple[Path, Path]:
    "Return where the data and its description are kept for this request."
    known = None if vocab is None else [vocab.itos, unk]
    request = [_format, source.encoding, known]
    if source.several:
        request.append(source.sep)
    if source.several or cache is not None:
        # files of equal names may share a folder
        request.append([str(file.fname.resolve()) for file in source.files])
    digest = hashlib.sha256(json.dumps(request).encode()).hexdigest()[:12]
    folder = source.files[0].fname.parent if cache is None else check_path("cache", cache, CorpusError).expanduser()
    return folder / f"{source.name}.{digest}.npy", folder / f"{source.name}.{digest}.json"


def edges_path(
    data_path: Path,  # of the data
) -> Path:
    "Return where the borders of several files are kept."
    return data_path.with_suffix(".edges.npy")


def index_dtype(
    n: int,  # entries of a vocabulary
) -> np.dtype:
    "Return the smallest dtype for n indices that torch can index by: unsigned only for one byte."
    if n <= 2**8:
        return np.dtype(np.uint8)
    return np.dtype(np.int16 if n <= 2**15 else np.int32)


def is_cached(
    path: Path,  # any file
) -> bool:
    "Whether a file has the name of an encoded text or of its description."
    return re.search(r"\.[0-9a-f]{12}\.((edges\.)?npy|json)$", path.name) is not None


def read_meta(
    meta_path: Path,  # of the description
    data_path: Path,  # of the data
    several: bool,  # whether there must be borders
) -> dict | None:
    "Return the description of an earlier result, or None if it or one of its files is absent or damaged."
    try:
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
        if meta.pop("check") != _digest(meta):
            return None
        if several:
            _verified_edges(edges_path(data_path), meta["edges_crc"], meta["n_chars"])
        return _with_verified_data(meta, meta_path, data_path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # also a `CorpusError` of a damaged file
        return None


def _digest(meta):
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _with_verified_data(meta, meta_path, data_path):
    "The description, with a new stamp of the data if it has another one and the right checksum."
    file = IdsFile(data_path)
    if file.n != meta["n_chars"] or file.dtype != index_dtype(len(meta["vocab"])):
        return None
    if file.stamp == tuple(meta["data_stamp"]):
        return meta
    settle(data_path)
    if file.crc() != meta["data_crc"]:
        return None
    meta["data_stamp"] = file.stamp
    # a folder that cannot be written costs the checksum every time
    with suppress(CorpusError):
        write_meta(meta_path, meta)
    return meta


def _verified_edges(path, crc, n_chars):
    raw = path.read_bytes()
    if zlib.crc32(raw) != crc:
        raise damaged(path, "is damaged or was replaced")
    edges = np.load(io.BytesIO(raw))
    if edges[-1] != n_chars:
        raise damaged(path, "belongs to another text")
    return edges


def read_edges(
    path: Path,  # of the borders
    check: IdsCheck | None,  # what the file must contain; None: anything
    n_chars: int,  # of the text
) -> np.ndarray:  # (n_files+1,) int64
    "Return the borders of several files. Raises `CorpusError` if they are damaged."
    try:
        return np.load(path) if check is None else _verified_edges(path, check.edges_crc, n_chars)
    except OSError as e:
        raise damaged(path, f"cannot be read ({e.strerror})") from None


def confirm(
    meta: dict,  # a description
    source: Sources,  # what is encoded
    stamp: list,  # of the source
    meta_path: Path,  # of the description
) -> dict | None:
    "Return the description with a new stamp if the content of the source is unchanged, else None."
    if not _equal_sizes(meta["stamp"], stamp) or meta["sha256"] != source.checksum():
        return None
    meta = meta | dict(stamp=stamp)
    write_meta(meta_path, meta)
    return meta


def _equal_sizes(stamp, other):
    "Whether the files with these stamps have the same sizes."
    if isinstance(stamp[0], list):
        return [s[0] for s in stamp] == [s[0] for s in other]
    return stamp[0] == other[0]


def write_meta(
    meta_path: Path,  # of the description
    meta: dict,  # the description
):
    "Write a description with its own checksum. Raises `CorpusError`."
    meta = meta | dict(format=_format)
    with cache_errors(meta_path):
        atomic_write(meta_path, json.dumps(meta | dict(check=_digest(meta))))


@contextmanager
def cache_errors(
    path: Path,  # a file of the cache
) -> Iterator[None]:
    "Make the folder of `path`, and turn the errors of writing there into `CorpusError`."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as e:
        way_out = "pass cache=… with a writable folder, or mmap=False to load the text into memory"
        raise CorpusError(f"cannot write {path}: {e.strerror}; {way_out}") from None
