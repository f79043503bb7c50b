"""Texts from files and folders: which files are meant (`find_texts`), and what they hold (`read_documents`).

Errors name the file, and the method to use for what is not a file.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from fastai.data.transforms import get_files

from .._checks import check_path, shown
from .._utils import warn_caller
from ..errors import CharRnnWarning, DataError
from .documents import NamedTexts
from .encode_sources import summary_of_changes
from .encoded_meta import is_cached
from .text_file import TextFile

__all__ = [
    "is_address",
    "checked_fname",
    "checked_fnames",
    "check_distinct",
    "find_texts",
    "total_size",
    "read_documents",
]


def is_address(
    text: object,  # anything
) -> bool:
    "Whether this is an address such as https://…"
    return isinstance(text, str) and "://" in text and not any(char.isspace() for char in text)


def checked_fname(
    fname: object,  # what a user passed as a file
) -> Path:
    "Return the path of one file. Raises `DataError` for an address, a folder, or something else."
    if is_address(fname):
        raise DataError(f"{fname} is an address, not a file; pass it to CharDataLoaders.from_url")
    if hasattr(fname, "__iter__") and not isinstance(fname, (str, bytes)):
        raise DataError("these are several files; pass them to CharDataLoaders.from_files")
    path = check_path("fname", fname)
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a file; pass it to CharDataLoaders.from_folder")
    return path


def checked_fnames(
    fnames: object,  # what a user passed as files
    what: str = "file",  # what an error calls one of them
) -> list[Path]:
    "Return the paths of several files. Raises `DataError` if there is none, for one twice, and as `checked_fname`."
    if isinstance(fnames, (str, os.PathLike)):
        fnames = [fnames]
    elif isinstance(fnames, (set, frozenset, dict)) or not isinstance(fnames, Iterable):
        raise DataError(f"fnames must be a list of paths, not {type(fnames).__name__}")
    fnames = [checked_fname(fname) for fname in fnames]
    if not fnames:
        raise DataError(f"there are no {what}s; pass at least one path")
    return fnames


def check_distinct(
    fnames: Sequence[str | Path],  # files that train
    valid_fnames: Sequence[str | Path] = (),  # files that validate
):
    "Raise `DataError` if a file is given twice: its text would count double, or train and validate."
    seen = {}
    for part in ("train", "validate"):
        for fname in fnames if part == "train" else valid_fnames:
            path = os.path.realpath(fname)
            if path in seen:
                where = "twice" if seen[path] == part else "to train and to validate on"
                raise DataError(f"{fname} is given {where}; leave one out")
            seen[path] = part


def find_texts(
    path: str | Path,  # a folder
    extensions: Sequence[str] | None = (".txt",),  # of the files to take, compressed by gzip or not; None: all
    recurse: bool = True,  # whether to look in its folders too
) -> list[Path]:  # in sorted order
    "The text files of a folder. Hidden files and folders are left out. Raises `DataError` if there are none."
    path = check_path("path", path)
    if is_address(str(path)) or not path.is_dir():
        way_out = "from_file reads one file" if path.is_file() else "give the path of a folder"
        raise DataError(f"{path} is not a folder; {way_out}")
    extensions = _normal_extensions(extensions)
    fnames = sorted(get_files(path, recurse=recurse))
    texts = [fname for fname in fnames if _has_extension(fname, extensions) and not is_cached(fname)]
    if not texts:
        suffixes = sorted({fname.suffix for fname in fnames if fname.suffix})
        there = f"; its files end in {', '.join(suffixes[:8])}" if suffixes else ""
        wanted = f"that end in {', '.join(extensions)}" if extensions else "at all"
        raise DataError(f"{path} has no files {wanted}{there}; pass another folder or extensions=…")
    return texts


def _normal_extensions(extensions):
    if extensions is None:
        return None
    extensions = [extensions] if isinstance(extensions, str) else extensions
    if not isinstance(extensions, Iterable) or not all(isinstance(ext, str) for ext in extensions):
        raise DataError(f"extensions={shown(extensions)} must be a list such as ['.txt'], or None for all files")
    return [ext if ext.startswith(".") else f".{ext}" for ext in map(str.lower, extensions)]


def _has_extension(fname, extensions):
    name = fname.name.lower().removesuffix(".gz")
    return extensions is None or name.endswith(tuple(extensions)) or fname.name.lower().endswith(tuple(extensions))


def total_size(
    fnames: Sequence[Path],  # files
) -> int:  # bytes
    "The size of all files together. Files that are missing count as empty: reading them is an error."
    return sum(fname.stat().st_size for fname in fnames if fname.is_file())


def read_documents(
    fnames: Sequence[str | Path | TextFile],  # text files, which may be gzipped; one of several may be empty
    encoding: str = "utf-8",  # the encoding of their bytes
    how: str = "",  # how they were chosen to validate
) -> NamedTexts:
    "Read files as `read_text` does, with one warning for all that were changed. Raises `CorpusError`."
    files = [fname if isinstance(fname, TextFile) else TextFile(fname, encoding) for fname in fnames]
    texts = []
    for file in files:
        file.may_be_empty = len(files) > 1
        texts.append("".join(file))
    if changes := summary_of_changes(files):
        warn_caller(changes, CharRnnWarning)
    return NamedTexts(texts, [str(file.fname) for file in files], how)
