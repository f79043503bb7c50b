"""Find and read the texts that a command line names: files, folders, patterns and standard input: `read_texts`."""

import glob
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from ..data.documents import NamedTexts
from ..data.text_file import TextFile
from ..errors import CharRnnWarning, CorpusError

__all__ = ["FOLDER_SUFFIXES", "find_files", "read_texts", "is_one_file"]

# files of a folder that are read, compressed by gzip or not; a pattern finds others
FOLDER_SUFFIXES = tuple(
    ".txt .text .md .rst .tex .org .srt .csv .tsv .html .xml .py .js .ts .c .h .cpp .java .rs .go .rb .sh .sql".split()
)
_stdin = "-"
_n_sniffed = 2**16  # bytes searched for null bytes, the sign of a binary file


def is_one_file(
    name: str,  # as on the command line
) -> bool:
    "Whether a name stands for one text: it is neither a folder nor a pattern."
    return not Path(name).is_dir() and (os.path.exists(name) or not glob.has_magic(name))


def read_texts(
    names: Sequence[str],  # as on the command line
    encoding: str = "utf-8",  # the encoding of their bytes
    not_in: NamedTexts | None = None,  # texts read before, which must not be named again
) -> NamedTexts:  # each text with the name of its file
    """Read every file that is named, as `read_text` does. Notes about folders are printed as warnings.

    Raises `CorpusError` for what `find_files` refuses, a file that is named twice, and a file that cannot be read."""
    files = find_files(names, encoding)
    _check_distinct(not_in.names if not_in else [], files)
    return NamedTexts([_read(file, encoding) for file in files], files)


def find_files(
    names: Sequence[str],  # as on the command line
    encoding: str = "utf-8",  # a folder's files with null bytes are left out, except in UTF-16 and UTF-32
) -> list[str]:  # paths, or "-" for standard input
    """Replace folders and patterns by their files, in sorted order.

    Raises `CorpusError` for an address, a pattern that fits no file, and a folder without texts."""
    files = []
    for name in names:
        if re.match(r"\w+://", name):
            raise CorpusError(
                f"{name} is an address, not a file; download it first, such as with curl -O, "
                "or use CharDataLoaders.from_url in Python"
            )
        if name != _stdin and Path(name).is_dir():
            files += _files_of_folder(name, encoding)
        elif name == _stdin or is_one_file(name):
            files.append(name)
        else:
            files += _files_of_pattern(name)
    return files


def _files_of_pattern(pattern):
    found = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    if not found:
        raise CorpusError(f"no file fits {pattern!r}; check the pattern, and quote it, such as 'books/**/*.txt'")
    return found


def _files_of_folder(folder, encoding):
    "The text files of a folder and its folders. What is left out is counted in a warning."
    files = []
    n_other = {"hidden": 0, "empty": 0, "binary": 0, "with another ending": 0}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            kind = _kind(path, folder, encoding)
            if kind == "text":
                files.append(str(path))
            else:
                n_other[kind] += 1
    left_out = ", ".join(f"{n:,} {kind}" for kind, n in n_other.items() if n)
    if not files:
        raise CorpusError(
            f"{folder} has no text files ({left_out or 'it is empty'}); a folder's texts end in "
            f"{' '.join(FOLDER_SUFFIXES)}, for others give a pattern, such as '{folder.rstrip('/')}/**/*.log'"
        )
    if left_out:
        message = f"{folder}: {len(files):,} text files; left out: {left_out}"
        warnings.warn(message, CharRnnWarning, stacklevel=2)
    return files


def _kind(path, folder, encoding):
    "Whether a file of a folder is a text, or why it is left out."
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        return "hidden"
    if not path.name.lower().removesuffix(".gz").endswith(FOLDER_SUFFIXES):
        return "with another ending"
    with open(path, "rb") as f:
        beginning = f.read(_n_sniffed)
    if not beginning:
        return "empty"
    is_text = path.suffix == ".gz" or b"\0" not in beginning or re.search("16|32", encoding)
    return "text" if is_text else "binary"


def _check_distinct(before, files):
    "Raise `CorpusError` for a file that is named twice."
    seen = {_identity(name): name for name in before}
    for name in files:
        if _identity(name) in seen:
            where = "to train and to validate on" if seen[_identity(name)] in before else "twice"
            what = "- (standard input)" if name == _stdin else name
            raise CorpusError(f"{what} is given {where}; leave one out")
        seen[_identity(name)] = name


def _identity(name):
    return name if name == _stdin else os.path.realpath(name)


def _read(name, encoding):
    "The text of one file."
    file = _StandardInput(encoding) if name == _stdin else TextFile(name, encoding)
    text = "".join(file)
    if file.changes:
        warnings.warn(file.changes, CharRnnWarning, stacklevel=2)
    return text


class _StandardInput(TextFile):
    "Standard input as a text file, which can be read once."

    def __init__(self, encoding):
        super().__init__("standard input", encoding)

    def open(self):
        if sys.stdin.isatty():
            print("charrnn: type the text; Ctrl-D on a line of its own ends it", file=sys.stderr)
        return sys.stdin.buffer
