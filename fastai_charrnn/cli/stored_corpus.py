"""Texts that are too large for memory: `StoredCorpus`. They are encoded in a temporary folder: `text_folder`."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from glob import escape
from io import StringIO
from pathlib import Path

import numpy as np
from fastai.basics import rank_distrib

from ..data.encoded import EncodedFile, encode_file
from ..data.loaders import CharDataLoaders
from ..data.text_file import TextFile
from ..data.vocab import CharVocab
from .documents import store_digests
from .text_parts import text_size

__all__ = ["StoredCorpus", "is_large", "text_folder"]

# bytes of files from which their text stays on disk; characters above ASCII take two to four times more in memory
_min_stored = 2**24
_piece = 2**20  # characters in memory at a time
# characters that validate at most unless --valid or --valid-pct ask for more: enough for three digits of a loss
_max_valid = 1_000_000


def is_large(
    files: Sequence[str | Path],  # text files
) -> bool:
    "Whether the texts of these files together should stay on disk. A missing file counts as empty."
    return sum(map(text_size, files)) >= _min_stored


@contextmanager
def text_folder(
    out: Path,  # the model file of the training
) -> Iterator[Path]:
    """A folder for large texts beside a model file, made when it is needed and removed at the end of the block.

    Folders that killed runs left are removed too. Of several processes, only the first uses the folder of the model."""
    name = f".{out.stem}.{os.getpid()}.texts"
    if rank_distrib():
        folder = Path(tempfile.gettempdir()) / name
    else:
        folder = out.parent / name
        _remove_old(out)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_old(out):
    for folder in out.parent.glob(f".{escape(out.stem)}.*.texts"):
        pid = folder.name.split(".")[-2]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


@dataclass(frozen=True)
class StoredCorpus:
    "Texts on disk, with the methods of `cli.corpus.Corpus`."

    text: EncodedFile  # all texts, those that validate last
    files: tuple[str, ...]  # their files
    encoding: str
    folder: Path  # where `text` is
    valid: str = "tail"  # as `CharDataLoaders.from_text`
    valid_pct: float = 0.1  # as `CharDataLoaders.from_text`
    note: str = ""  # which part of the files was read, if not all

    @classmethod
    def encoded(
        cls,
        files: Sequence[str | Path],  # files that train
        valid_files: Sequence[str | Path],  # files that validate; empty: a part of `files`
        how: str,  # how these were chosen
        encoding: str,  # the encoding of their bytes
        folder: Path,  # for the encoded text
        valid: str,  # the part that validates, as `CharDataLoaders.from_text`
        valid_pct: float | None,  # how much of it; None: a tenth, but at most a million characters
        note: str = "",  # what was left out
    ) -> "StoredCorpus":
        "Encode files of any size. Raises `CorpusError`."
        files, n_valid = (*files, *valid_files), len(valid_files)
        text = replace(_encoded(files, encoding, folder), n_valid=n_valid or None, how=how)
        if valid_pct is None:
            valid_pct = min(0.1, _max_valid / len(text))
        return cls(text, tuple(map(str, files)), encoding, folder, valid, valid_pct, note)

    @property
    def n_chars(self) -> int:
        "The size of the text, as recipes count it: with a tenth to validate on."
        if self.text.n_valid:
            n_train = int(np.load(self.text.edges)[-1 - self.text.n_valid])
        else:
            n_train = len(self.text) * (1 - (0.1 if self.valid_pct is None else self.valid_pct))
        return round(n_train / 0.9)

    @property
    def chars(self) -> set[str]:
        "All characters."
        return set(self.text.vocab)

    def in_vocab(
        self,
        vocab: CharVocab,  # of a model, extended by the characters of the texts
    ) -> "StoredCorpus":
        "The corpus for loaders of another vocabulary, encoded again."
        text = _encoded(self.files, self.encoding, self.folder, vocab)
        return replace(self, text=replace(text, n_valid=self.text.n_valid, how=self.text.how))

    def split(self) -> dict:
        "The arguments of `CharDataLoaders.from_text` that say what validates."
        return dict(valid=self.valid, valid_pct=self.valid_pct)

    def describe_in(
        self,
        dls: CharDataLoaders,  # made of these texts
    ):
        "Store in the description of the data what identifies each text, for `charrnn evaluate`."
        info = dls.train_ds.info
        ids = dls.train_ds.ids
        begins = range(0, len(ids), _piece)
        info["digest"] = _digest(ids.stretch(begin, min(begin + _piece, len(ids))) for begin in begins)
        if "documents" in info:
            store_digests(info, [self._digest_of_file(file, dls.vocab) for file in self.files])

    def _digest_of_file(self, name, vocab):
        "That of the text without a line break that was added at its end."
        file = TextFile(name, self.encoding)
        file.may_be_empty = True
        return _digest(map(vocab.encode, file))


def _encoded(files, encoding, folder, vocab=None):
    "`encode_file`, with a progress bar on a terminal only."
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    with nullcontext() if is_terminal else redirect_stdout(StringIO()):
        return encode_file(files[0] if len(files) == 1 else files, encoding, vocab, cache=folder)


def _digest(pieces):
    "`CharIds.digest` of an encoded text in pieces."
    sha = hashlib.sha256()
    for piece in pieces:
        sha.update(piece.astype(np.int32))
    return sha.hexdigest()
