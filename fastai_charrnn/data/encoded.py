"""A text encoded once to a file that is mapped instead of loaded: `encode_file`, for texts that outgrow memory.

Two files: `<name>.<digest>.npy`, the indices as NumPy saves them, and `<name>.<digest>.json`, which says of what source
(size, times, sha256) and vocabulary they are. The digest is of what was asked: encoding, vocabulary, treatment of
unknown characters. The JSON file is written last and removed first, so that without it nothing is there, and with it
everything is. No torch here.
"""

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CharRnnWarning, CorpusError
from .corpus import TextFile
from .vocab import CharVocab, warn_large

__all__ = ["EncodedFile", "encode_file"]

_format = 1


@dataclass(frozen=True)
class EncodedFile:
    "An encoded text on disk."

    path: Path  # .npy, (n_chars,) uint8, int16 or int32
    vocab: CharVocab  # what its indices mean
    n_chars: int  # its length

    def __len__(self) -> int:
        return self.n_chars


def encode_file(
    fname: str | Path,  # a text file of any size
    encoding: str = "utf-8",  # how its bytes spell characters
    vocab: CharVocab | None = None,  # None: the characters of the text
    unk: str = "error",  # characters outside `vocab`: "error", "skip", or a known character to put in their place
    cache: str | Path | None = None,  # the folder to keep the encoded text in; None: the text's own
) -> EncodedFile:  # where it lies, and its vocabulary
    """The encoded text of a file, made in pieces with a progress bar, or found as made before.

    What was made before is taken if the source has the same size and times, or else the same sha256; if not, it is made anew.
    Memory does not grow with the text; the disk takes one byte a character where the vocabulary has at most 256.
    Raises `CorpusError` if the file cannot be read or the encoded text not be written, `VocabError` for unknown characters."""
    if vocab is not None:
        vocab.check_unk(unk)
    text = _Shown(fname, encoding)
    stamp = text.stamp()
    known = None if vocab is None else [vocab.itos, unk]
    asked = hashlib.sha256(json.dumps([_format, encoding, known]).encode()).hexdigest()[:12]
    folder = text.fname.parent if cache is None else Path(cache).expanduser()
    told, data = (folder / f"{text.fname.name}.{asked}.{ext}" for ext in ("json", "npy"))
    said = _found(told, data)
    if said and said["stamp"] != stamp:
        same = said["stamp"][0] == stamp[0] and said["sha256"] == text.checksum()
        said = said | dict(stamp=stamp) if same else None
        if same:
            _tell(told, said)
    if not said:
        said = _make(text, stamp, vocab, unk, told, data)
    if said["changes"]:
        warnings.warn(said["changes"], CharRnnWarning, stacklevel=2)
    return EncodedFile(data, CharVocab(said["vocab"]), said["n_chars"])


class _Shown(TextFile):
    "A text file that is read with a progress bar, and, while `sha` is there, a checksum."

    doing, sha = "", None

    def read_bytes(self):
        from fastprogress.fastprogress import progress_bar

        bar = progress_bar(super().read_bytes(), total=-(-self.fname.stat().st_size // self.size))
        bar.comment = f"{self.doing} {self.fname.name}"
        for raw in bar:
            if self.sha:
                self.sha.update(raw)
            yield raw

    def checksum(self) -> str:
        self.doing = "comparing"
        self.sha = hashlib.sha256()
        for _ in self.read_bytes():
            continue
        return self.sha.hexdigest()

    def stamp(self) -> list:
        "What changes when a file does: size, and the times of its content and of its entry."
        try:
            st = self.fname.stat()
        except OSError as e:
            raise CorpusError(f"cannot read {self.fname}: {e.strerror}; give the path of a text file") from None
        if not self.fname.is_file():
            raise CorpusError(
                f"{self.fname} is not a plain file, so it cannot be read twice; pass mmap=False to load it into memory"
            )
        return [st.st_size, st.st_mtime_ns, st.st_ctime_ns]


def _found(told, data):
    "What the JSON file says, if it and the data are there and whole."
    try:
        d = json.loads(told.read_text(encoding="utf-8"))
        whole = d["format"] == _format and data.stat().st_size == d["data_bytes"]
        return d if whole and {"stamp", "sha256", "vocab", "n_chars", "changes"} <= d.keys() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent or damaged: it is made anew


def _make(text, stamp, vocab, unk, told, data):
    "Encode, first the data, then the JSON file that vouches for it."
    if vocab is None:
        text.doing = "looking for the characters of"
        vocab = CharVocab.from_pieces(text)
    dtype = np.dtype(
        np.uint8 if len(vocab) <= 2**8 else np.int16 if len(vocab) <= 2**15 else np.int32
    )  # torch indexes no wider unsigned types
    text.doing = "encoding"
    text.sha = hashlib.sha256()
    counts = np.zeros(len(vocab), np.int64)
    n = 0
    with _beside(data) as part:
        with open(part, "wb") as f:
            _header(f, dtype, 0)
            for piece in text:
                ids = vocab.encode(piece, unk=unk, at=text.n_chars - len(piece))
                if len(vocab) > 1001:
                    counts += np.bincount(ids, minlength=len(vocab))
                f.write(ids.astype(dtype, copy=False).data)
                n += len(ids)
            f.seek(0)
            _header(f, dtype, n)
        if text.stamp() != stamp:
            raise CorpusError(f"{text.fname} changed while it was read; try again when it is whole")
        said = dict(
            format=_format,
            source=str(text.fname),
            stamp=stamp,
            sha256=text.sha.hexdigest(),
            encoding=text.encoding,
            unk=unk,
            n_chars=n,
            data_bytes=part.stat().st_size,
            changes=text.changes,
            vocab=vocab.itos,
        )
        told.unlink(missing_ok=True)
        os.replace(part, data)
    _tell(told, said)
    if len(vocab) > 1001:
        warn_large(vocab, counts)
    return said


def _header(f, dtype, n):
    "NumPy's header of a 1-D array, as long for any `n`: NumPy pads it so that it can grow."
    np.lib.format.write_array_header_1_0(
        f, dict(descr=np.lib.format.dtype_to_descr(dtype), fortran_order=False, shape=(n,))
    )


def _tell(told, said):
    with _beside(told) as part:
        part.write_text(json.dumps(said), encoding="utf-8")
        os.replace(part, told)


@contextmanager
def _beside(path) -> Iterator[Path]:
    "A temporary name on the disk of `path`; what is there is gone at the end whatever happens."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as tmp:
            yield Path(tmp) / path.name
    except OSError as e:
        raise CorpusError(
            f"cannot write {path}: {e.strerror}; pass cache=… with a folder that has room, or mmap=False to load the text into memory"
        ) from None
