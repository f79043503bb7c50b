"""The files that a command line names: `find_files` for names, folders, patterns and "-", `read_texts` for their texts.

Rules and errors of files are those of `data.files`; here are added patterns, standard input, and for a folder the
number of files that are left out.
"""

import glob
import os
import re
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from io import BufferedReader, BytesIO
from pathlib import Path

from .._files import write_errors
from ..data.documents import NamedTexts
from ..data.files import check_distinct, find_texts, is_address, read_documents
from ..data.text_file import TextFile
from ..errors import CharRnnWarning, CorpusError

__all__ = ["FOLDER_SUFFIXES", "find_files", "read_texts", "store_stdin"]

# files of a folder that are read, compressed by gzip or not; a pattern finds others
FOLDER_SUFFIXES = tuple(
    ".txt .text .md .rst .tex .org .srt .csv .tsv .html .xml .py .js .ts .c .h .cpp .java .rs .go .rb .sh .sql".split()
)
STDIN = "-"
_n_sniffed = 2**16  # bytes searched for null bytes, the sign of a binary file


def read_texts(
    names: Sequence[str],  # as on the command line
    encoding: str = "utf-8",  # the encoding of their bytes
    stdin: Path | None = None,  # where `store_stdin` has written standard input
) -> NamedTexts:  # each text with the name of its file
    "Read every file that is named into memory. Raises `CorpusError` and `DataError`, as `find_files` and `TextFile`."
    files = find_files(names, encoding)
    check_distinct(files)
    sources = [_StandardInput(encoding, stdin) if file == STDIN else file for file in files]
    return read_documents(sources, encoding)


def find_files(
    names: Sequence[str],  # as on the command line
    encoding: str = "utf-8",  # a folder's files with null bytes are left out, except in UTF-16 and UTF-32
) -> list[str]:  # paths, or "-" for standard input
    """Replace folders and patterns by their files, in sorted order.

    Raises `CorpusError` for an address and a pattern that fits no file, `DataError` for a folder without texts."""
    files = []
    for name in names:
        if is_address(name):
            raise CorpusError(
                f"{name} is an address, not a file; download it first, such as with curl -O, "
                "or use CharDataLoaders.from_url in Python"
            )
        if name != STDIN and os.path.isdir(name):
            files += _files_of_folder(name, encoding)
        elif name == STDIN or os.path.exists(name) or not glob.has_magic(name):
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
    kinds = {path: _kind(path, encoding) for path in find_texts(folder, FOLDER_SUFFIXES)}
    files = [str(path) for path, kind in kinds.items() if kind == "text"]
    others = [path for path in Path(folder).rglob("*") if path.is_file() and path not in kinds]
    n_hidden = sum(any(part.startswith(".") for part in path.relative_to(folder).parts) for path in others)
    counts = Counter(kinds.values()) + Counter({"hidden": n_hidden, "with another ending": len(others) - n_hidden})
    del counts["text"]
    left_out = ", ".join(f"{n:,} {kind}" for kind, n in sorted(counts.items()))
    if not files:
        raise CorpusError(f"{folder} has no texts ({left_out}); name another folder")
    if left_out:
        message = f"{folder}: {len(files):,} text files; left out: {left_out}"
        warnings.warn(message, CharRnnWarning, stacklevel=2)
    return files


def _kind(path, encoding):
    "Whether a file of a folder is a text, or why it is left out."
    with open(path, "rb") as f:
        beginning = f.read(_n_sniffed)
    if not beginning:
        return "empty"
    is_text = path.suffix == ".gz" or b"\0" not in beginning or re.search("16|32", encoding)
    return "text" if is_text else "binary"


# standard input


class _StandardInput(TextFile):
    "Standard input as a text file. It is kept, because an error reads it again."

    def __init__(self, encoding, stored=None):
        super().__init__("standard input", encoding)
        self.stored = stored
        self.content = None

    def open(self):
        if self.stored:
            return open(self.stored, "rb")
        if self.content is None:
            self.content = _stdin().read()
        return BufferedReader(BytesIO(self.content))


def store_stdin(
    path: Path,  # a file to write
) -> Path:  # the same
    "Write standard input to a file, because it can be read once and may be large. Raises `CorpusError`."
    stdin = _stdin()
    with write_errors(path, CorpusError, "free disk space, or pass --out with another folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            shutil.copyfileobj(stdin, file)
    return path


def _stdin():
    if sys.stdin is None:
        raise CorpusError("standard input is closed; give a file, or pipe a text to the command")
    if sys.stdin.isatty():
        print("charrnn: type the text; Ctrl-D on a line of its own ends it", file=sys.stderr)
    return sys.stdin.buffer
