"""The files that `encode_file` reads: `Sources`, with one progress bar, one checksum and the borders of documents.

Each of several files is a document and ends with a separator. This module does not import torch.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import CorpusError, UnknownCharError
from .text_file import TextFile
from .vocab import CharVocab

__all__ = ["Sources"]


class _Source(TextFile):
    "One of the files. It reports each piece that it reads."

    def __init__(self, fname, encoding, on_read: Callable[[bytes], None]):
        super().__init__(fname, encoding)
        self.on_read = on_read

    def read_bytes(self):
        for raw in super().read_bytes():
            self.on_read(raw)
            yield raw

    def stat(self) -> os.stat_result:
        "What the system knows of the file. Raises `CorpusError` if it cannot be read."
        try:
            return self.fname.stat()
        except OSError as e:
            raise CorpusError(f"cannot read {self.fname}: {e.strerror}; give the path of a text file") from None

    def stamp(self) -> list:
        "Size and times of the file: equal stamps mean an unchanged file."
        st = self.stat()
        if not self.fname.is_file():
            raise CorpusError(
                f"{self.fname} is not a plain file and cannot be read twice; pass mmap=False to load it into memory"
            )
        return [st.st_size, st.st_mtime_ns, st.st_ctime_ns]


class Sources:
    "One file, or several documents."

    def __init__(
        self,
        fnames: Sequence[Path],  # the files
        encoding: str,  # the encoding of their bytes
        sep: str | None,  # what ends each document, or None for one file, which is left as it is
    ):
        self.files = [_Source(fname, encoding, self._on_read) for fname in fnames]
        self.encoding = encoding
        self.sep = sep
        self.sha = hashlib.sha256()
        self.ticks = iter(())
        for file in self.files:
            file.may_be_empty = self.several

    @property
    def several(self) -> bool:
        "Whether the files are documents."
        return self.sep is not None

    @property
    def name(self) -> str:
        "The name of the first file, and the number of further ones."
        first = self.files[0].fname.name
        return f"{first}+{len(self.files) - 1}" if self.several else first

    @property
    def changes(self) -> str:  # for a warning; empty if nothing was changed
        "What the last pass normalised."
        return summary_of_changes(self.files)

    def stamp(self) -> list:
        "The stamp of the file, or those of several."
        stamps = [file.stamp() for file in self.files]
        return stamps if self.several else stamps[0]

    def checksum(self) -> str:
        "The sha256 of all bytes."
        self._start("comparing")
        for file in self.files:
            for _ in file.read_bytes():
                continue
        self._finish()
        return self.sha.hexdigest()

    def documents(
        self,
        action: str,  # what the progress bar says
    ) -> Iterator[Iterator[str]]:  # the pieces of each document, with its separator
        "Read all files, one after the other. `sha` is then their checksum."
        self._start(action)
        for file in self.files:
            yield self._pieces(file)
        self._finish()

    def encode(
        self,
        vocab: CharVocab,  # the characters
        unk: str,  # as `CharVocab.encode`
    ) -> Iterator[Iterator]:  # arrays of indices, for each document
        "Read and encode all files. An error names the position, and the file if there are several."
        for pieces, file in zip(self.documents("encoding"), self.files):
            yield self._encode(file, pieces, vocab, unk)

    def _encode(self, file, pieces, vocab, unk):
        n_chars = 0
        for piece in pieces:
            try:
                yield vocab.encode(piece, unk=unk, at=n_chars)
            except UnknownCharError as e:
                if not self.several:
                    raise
                raise UnknownCharError(f"{file.fname}: {e}", e.chars, e.positions) from None
            n_chars += len(piece)

    def _pieces(self, file):
        last = ""
        for piece in file:
            last = piece[-1]
            yield piece
        if self.sep and last and last != self.sep:
            yield self.sep

    def _start(self, action):
        from fastprogress.fastprogress import progress_bar

        n_pieces = sum(max(-(-file.stat().st_size // file.size), 1) for file in self.files)
        bar = progress_bar(range(n_pieces))
        bar.comment = f"{action} {self.name}"
        self.ticks = iter(bar)
        self.sha = hashlib.sha256()

    def _finish(self):
        "Show the whole bar."
        for _ in self.ticks:
            continue

    def _on_read(self, raw):
        self.sha.update(raw)
        next(self.ticks, None)


def summary_of_changes(
    files: Sequence[TextFile],  # files that were read
) -> str:  # for a warning; empty if nothing was changed
    "What reading normalised in one of the files, and in how many."
    changes = [file.changes for file in files if file.changes]
    if len(changes) < 2:
        return "".join(changes)
    return f"{len(changes):,} of {len(files):,} files were changed while reading, the first: {changes[0]}"
