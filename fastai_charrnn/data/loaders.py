"""Text as fastai data: `CharDataLoaders`, training and validation batches over one text or several.

    dls = CharDataLoaders.from_text(text, seq_len=8, bs=512)
    x,y = dls.one_batch()      # x (bs, seq_len) int64: windows; y (bs,) int64: the character after each

Texts come from memory (`from_text`, in `base_loaders`), files, folders, tables and addresses.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from .._checks import check_path
from .._utils import renamed, typed_delegates
from ..errors import DataError
from .base_loaders import BaseLoaders
from .documents import choose_documents, reordered
from .download import fetch_url
from .encoded import encode_file
from .files import check_distinct, checked_fname, checked_fnames, find_texts, read_documents, total_size
from .splits import SPLITS
from .tables import read_csv, text_column, valid_rows
from .text_file import read_text
from .vocab import CharVocab

__all__ = ["CharDataLoaders"]

_min_mapped = 2**26  # bytes of files from which their text stays on disk


class CharDataLoaders(BaseLoaders):
    """Training and validation loaders over one text or several.

    Made by `from_text`, `from_file`, `from_files`, `from_folder`, `from_df`, `from_csv` or `from_url`."""

    @classmethod
    @renamed(n="seq_len")
    @typed_delegates(BaseLoaders.from_text, but=["text"])
    def from_file(
        cls,
        fname: str | Path,  # a text file, which may be gzipped
        encoding: str = "utf-8",  # the encoding of its bytes
        mmap: bool | None = None,  # whether the encoded text stays on disk; None: for files of 64 MB or more
        cache: str | Path | None = None,  # the folder for the encoded text; None: the folder of the file
        vocab: CharVocab | None = None,  # None: the characters of the text
        unk: str = "error",  # characters outside `vocab`: "error", "skip", or the known character to use for them
        **kwargs,  # arguments of `from_text`
    ) -> "CharDataLoaders":
        """Make loaders over a file, read by `read_text` or, if the text stays on disk, encoded by `encode_file`.

        Raises `CorpusError` if the file cannot be read or `cache` cannot be written, and the errors of `from_text`."""
        fname = checked_fname(fname)
        if mmap is None:
            mmap = total_size([fname]) >= _min_mapped
        if mmap:
            return cls.from_text(encode_file(fname, encoding, vocab, unk, cache), **kwargs)
        return cls.from_text(read_text(fname, encoding), vocab=vocab, unk=unk, **kwargs)

    @classmethod
    @typed_delegates(BaseLoaders.from_text, but=["text", "valid_text"])
    def from_files(
        cls,
        fnames: Sequence[str | Path],  # text files, which may be gzipped
        valid_fnames: Sequence[str | Path] | None = None,  # files to validate on; then all of `fnames` train
        encoding: str = "utf-8",  # the encoding of their bytes
        mmap: bool | None = None,  # whether the encoded text stays on disk; None: for 64 MB or more in total
        cache: str | Path | None = None,  # the folder for the encoded text; None: the folder of the first file
        valid: str | Sequence[int] = "tail",  # "tail", "random" or the numbers of the files that validate
        valid_pct: float = 0.1,  # the part that validates
        seed: int = 42,  # of the split "random"
        vocab: CharVocab | None = None,  # None: the characters of the files
        unk: str = "error",  # characters outside `vocab`: "error", "skip", or the known character to use for them
        sep: str | None = "\n",  # one character that ends each file; None: nothing is added
        **kwargs,  # arguments of `from_text`
    ) -> "CharDataLoaders":
        """Make loaders over several files, each a document as in `from_text`. Empty files are left out.

        Raises `CorpusError` if a file cannot be read or `cache` cannot be written, `DataError` if there is no file or
        one is given twice, and the errors of `from_text`, which name the file."""
        train, last, how = _ordered(fnames, valid_fnames, valid, valid_pct, seed)
        check_distinct(train, last)
        if mmap is None:
            mmap = total_size([*train, *last]) >= _min_mapped
        if mmap:
            encoded = encode_file([*train, *last], encoding, vocab, unk, cache, sep)
            encoded = replace(encoded, n_valid=len(last) or None, how=how)
            return cls.from_text(encoded, valid_pct=valid_pct, **kwargs)
        valid_text = read_documents(last, encoding, how) if last else None
        options = dict(valid_pct=valid_pct, vocab=vocab, unk=unk, sep=sep)
        return cls.from_text(read_documents(train, encoding), valid_text=valid_text, **options, **kwargs)

    @classmethod
    @typed_delegates(from_files, but=["fnames", "valid_fnames"])
    def from_folder(
        cls,
        path: str | Path,  # the folder; the learner saves there
        train: str = "train",  # the folder in it that trains
        valid: str | Sequence[int] = "valid",  # the folder in it that validates, or a split as in `from_files`
        valid_pct: float | None = None,  # the part of all files that validates; None: `valid`, else a tenth
        extensions: Sequence[str] | None = (".txt",),  # of the files to take, gzipped or not; None: all
        recurse: bool = True,  # whether to look in folders of the folder
        cache: str | Path | None = None,  # the folder for the encoded text; None: `path`
        **kwargs,  # arguments of `from_files`
    ) -> "CharDataLoaders":
        """Make loaders over the text files of a folder, in sorted order. Each is a document as in `from_text`.

        If the folder has folders `train` and `valid`, these are used. Otherwise, or with `valid_pct`, all files are
        split as in `from_files`, by default at the end. Raises `DataError` if there are no such files, and as
        `from_files`."""
        path = check_path("path", path)
        options = dict(cache=path if cache is None else cache, path=path) | kwargs
        is_split = not isinstance(valid, str) or valid in SPLITS
        folders = [] if is_split else [path / check_path("train", train), path / check_path("valid", valid)]
        if valid_pct is None and folders and all(folder.is_dir() for folder in folders):
            fnames, valid_fnames = (find_texts(folder, extensions, recurse) for folder in folders)
            return cls.from_files(fnames, valid_fnames, **options)
        fnames = find_texts(path, extensions, recurse)
        if valid != "valid" and not is_split:
            raise DataError(f"there are no folders {folders[0]} and {folders[1]}; pass train=… and valid=…, or a split")
        valid_pct = 0.1 if valid_pct is None else valid_pct
        return cls.from_files(fnames, valid=valid if is_split else "tail", valid_pct=valid_pct, **options)

    @classmethod
    @typed_delegates(BaseLoaders.from_text, but=["text"])
    def from_df(
        cls,
        df: pd.DataFrame,  # a table with one text a row
        path: str | Path = ".",  # where the learner saves
        valid_pct: float = 0.1,  # the part that validates, without `valid_col`
        seed: int = 42,  # of valid="random"
        text_col: int | str = 0,  # the column of texts: its name, or its number
        valid_col: int | str | None = None,  # a column that is True in the rows that validate
        **kwargs,  # arguments of `from_text`
    ) -> "CharDataLoaders":
        """Make loaders over a column of a table. Each row is a document as in `from_text`.

        Raises `DataError` for a missing column, cells that are not text, and as `from_text`."""
        texts = text_column(df, text_col).tolist()
        if valid_col is not None:
            if "valid" in kwargs or "valid_text" in kwargs:
                raise DataError("valid_col says which rows validate; leave out valid=… and valid_text=…")
            kwargs["valid"] = valid_rows(df, valid_col)
        return cls.from_text(texts, path=path, valid_pct=valid_pct, seed=seed, **kwargs)

    @classmethod
    @typed_delegates(from_df, but=["df"])
    def from_csv(
        cls,
        path: str | Path,  # the folder of the table; the learner saves there
        csv_fname: str = "texts.csv",  # its file name
        header: int | str | None = "infer",  # as `pd.read_csv`: the row of the column names; None: there is none
        delimiter: str | None = None,  # as `pd.read_csv`: what separates columns; None: a comma
        **kwargs,  # arguments of `from_df`
    ) -> "CharDataLoaders":
        "Make loaders over a column of a CSV file. Raises `CorpusError` if it cannot be read, and as `from_df`."
        fname = check_path("path", path) / check_path("csv_fname", csv_fname)
        df = read_csv(fname, header, delimiter)
        return cls.from_df(df, path=path, **kwargs)

    @classmethod
    @typed_delegates(from_file, but=["fname"])
    def from_url(
        cls,
        url: str,  # the address of a text file, which may be gzipped
        fname: str | Path | None = None,  # where to save it: a file or a folder; None: fastai's data folder
        sha256: str | None = None,  # its checksum in hexadecimal, verified if given
        timeout: float | None = None,  # limit for the download in seconds; None: no limit
        **kwargs,  # arguments of `from_file`
    ) -> "CharDataLoaders":
        """Download a file with a progress bar, unless it is there, and make loaders over it.

        Raises `DownloadError` if the download fails, `sha256` differs or `CHARRNN_OFFLINE=1` is set, and the errors of
        `from_file`."""
        return cls.from_file(fetch_url(url, fname, sha256, timeout), **kwargs)


def _ordered(fnames, valid_fnames, valid, valid_pct, seed):
    "The files that train, those that validate if that is decided, and how they were chosen."
    train = checked_fnames(fnames)
    is_tail = isinstance(valid, str) and valid == "tail"
    if valid_fnames is not None:
        if not is_tail:
            raise DataError(f"valid_fnames are what validates; leave out valid={valid!r:.40}")
        return train, checked_fnames(valid_fnames, "validation file"), "given for validation"
    if is_tail:
        return train, [], ""
    numbers = choose_documents(len(train), valid, valid_pct, seed)
    train = reordered(train, numbers)
    how = f"drawn at random, seed {seed}" if isinstance(valid, str) else "given by number"
    return train[: -len(numbers)], train[-len(numbers) :], how
