"""Texts of what is installed on this computer: files joined in the order of their paths, and manual pages."""

import gzip
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

_longest_file = 400_000  # characters; longer ones are generated tables


def joined(
    folders: Sequence[str | Path],  # read one after the other
    endings: tuple[str, ...],  # of the names of the files
    n_chars: int,  # the text is cut to this length
    skipped: tuple[str, ...] = (),  # names of folders that are left out
    recursive: bool = True,  # whether to read the folders in these folders
) -> str:
    """The text files of some folders in the order of their paths, each file's content once.

    Files that are not UTF-8 are left out, and so are very long ones."""
    parts = []
    seen = set()
    total = 0
    for path in _paths(folders, endings, skipped, recursive):
        text = _content(path)
        key = hashlib.sha256(text.encode()).digest()
        if key in seen or not 0 < len(text) <= _longest_file:
            continue
        seen.add(key)
        parts.append(text)
        total += len(text)
        if total >= n_chars:
            break
    return "".join(parts)[:n_chars]


def _paths(folders, endings, skipped, recursive) -> Iterator[Path]:
    "The files of each folder, sorted by their path in it."
    for folder in map(Path, folders):
        inside = folder.rglob("*") if recursive else folder.glob("*")
        found = (path.relative_to(folder) for path in inside if path.suffix in endings)
        for path in sorted(found, key=lambda path: path.as_posix()):
            if not set(path.parts) & set(skipped) and (folder / path).is_file():
                yield folder / path


def _content(path):
    "The text of a file with line ends as \\n, or none for another encoding."
    try:
        return path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return ""


def manual_pages(
    language: str,  # such as "de"
    n_chars: int = 3_000_000,  # the text is cut to this length
    folder: str | Path = "/usr/share/man",  # of Debian and most other systems
) -> str:  # empty without such pages
    "The sources of the manual pages in a language, in the order of their paths."
    paths = sorted(Path(folder, language).glob("man*/*.gz"), key=lambda path: path.as_posix())
    pages = (gzip.decompress(path.read_bytes()).decode("utf-8", "replace") for path in paths if not path.is_symlink())
    return "".join(dict.fromkeys(pages))[:n_chars]
