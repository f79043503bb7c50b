"""Write a file whole or not at all: `atomic_path`, `atomic_write`, `write_errors`. Imports no torch.

A file is written under a temporary name in its folder, flushed to disk and renamed. After a crash, a full disk or a
loss of power there is the old file or the new one. A run that is killed leaves its temporary file, which the next
write of the same file removes. Every temporary file is locked while it is written, so that of a living run stays.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from errno import ELOOP
from pathlib import Path
from secrets import token_hex
from socket import gethostname
from typing import BinaryIO

try:
    import fcntl
except ImportError:
    # Windows has no such locks; left-over files then stay
    fcntl = None  # type: ignore[assignment]

from ._printable import printable
from .errors import CharRnnError

__all__ = ["atomic_path", "atomic_write", "write_errors", "remove_leftovers", "lock_file", "only_writer"]


@contextmanager
def atomic_path(
    path: str | Path,  # the file to write
) -> Iterator[Path]:  # where to write it
    """Yield a temporary path in the same folder. At the end of the block flush it to disk and rename it to `path`.

    If the block raises, the temporary file is removed and `path` is unchanged. An existing file keeps its permissions.
    Of a symbolic link, the file that it points to is replaced. Devices and pipes are written directly."""
    path = _real_path(path)
    if path.exists() and not path.is_file():
        # to rename over /dev/null would remove it; a folder raises `IsADirectoryError` when it is opened
        yield path
        return
    remove_leftovers(path)
    part, lock = _locked_part(path)
    with lock:
        try:
            yield part
            if path.exists():
                part.chmod(stat.S_IMODE(path.stat().st_mode))
            _flush(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    with suppress(OSError):
        # the name in the folder; some file systems cannot flush a folder
        _flush(path.parent)


def atomic_write(
    path: str | Path,  # the file to write
    text: str,  # its content
):
    "Write a text file in UTF-8. Readers see the old content or the new, never a part."
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def write_errors(
    path: str | Path,  # the file to write
    error: type[CharRnnError],  # what to raise
    way_out: str = "free disk space, check the permissions, or pass another path",
) -> Iterator[None]:
    "Turn an `OSError` within the block, such as a full disk, into `error`, which names the file and the way out."
    try:
        yield
    except OSError as e:
        raise error(f"cannot write {path}: {e.strerror or e}; {way_out}") from None


def remove_leftovers(
    path: str | Path,  # a file that is written with `atomic_path`
):
    "Remove the temporary files that killed runs left when they wrote `path`. Those of living runs stay."
    path = _real_path(path)
    is_part = re.compile(re.escape(_prefix(path)) + r"[0-9a-z_]{8}\.part").fullmatch
    with suppress(OSError):
        names = [entry.name for entry in os.scandir(path.parent) if is_part(entry.name)]
        for name in names:
            _remove_unlocked(path.parent / name)


def lock_file(
    file: BinaryIO,  # an open file
    wait: bool = False,  # whether to wait for another process
):
    "Lock an open file until it is closed. Raises `BlockingIOError` if another has it, `OSError` if that is impossible."
    if fcntl is None:
        raise OSError("this system has no file locks")
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _real_path(path):
    "The file that a chain of symbolic links points to."
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OSError(ELOOP, os.strerror(ELOOP), str(path))
    return real


def _prefix(path):
    "How the names of temporary files begin. A name may have 255 bytes."
    return os.fsdecode(b"." + os.fsencode(path.name)[:200] + b".")


def _locked_part(path):
    "A new temporary file, and an open file that keeps it locked."
    while True:
        part = path.with_name(f"{_prefix(path)}{token_hex(4)}.part")
        # the permissions of a new file follow the umask
        lock = part.open("xb", buffering=0)
        with suppress(OSError):
            lock_file(lock, wait=True)
        # another process may have removed it before it was locked
        if os.fstat(lock.fileno()).st_nlink:
            return part, lock
        lock.close()


def _remove_unlocked(part):
    "Remove a temporary file unless a process still writes it."
    with suppress(OSError), part.open("rb") as lock:
        lock_file(lock)
        part.unlink()


def _flush(path):
    "Wait until a file or a folder is on the disk."
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def only_writer(
    path: str | Path,  # a file that is written again and again, by one process at a time
    error: type[CharRnnError],  # what to raise
    ending: str = "lock",  # of the lock file; blocks with other endings do not count
) -> Iterator[None]:
    """Keep other processes, and other threads, from entering such a block with the same file.

    The lock is a file beside `path`. It ends with the process that holds it, so a killed one never blocks. Raises
    `error`, which names the other process, if the file is in use, or if the folder cannot be written."""
    path = _real_path(path)
    lock = path.with_name(f"{_prefix(path)}{ending}")
    with write_errors(path, error):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _lock_or_none(lock)
    if file is None:
        raise error(
            f"{path} is written by another training{_holder(lock)}; wait until it has ended, stop it, "
            "or choose another file"
        )
    with file:
        try:
            yield
        finally:
            # removed while it is locked: another process that has opened it meanwhile sees that it is gone
            with suppress(OSError):
                lock.unlink()


def _lock_or_none(lock):
    "An open lock file that is locked, and says who has it; None if another has locked it."
    while True:
        file = lock.open("ab", buffering=0)
        try:
            lock_file(file)
        except BlockingIOError:
            file.close()
            return None
        except OSError:
            # a file system without locks: nothing can be known of others
            return file
        if os.fstat(file.fileno()).st_nlink:
            break
        # the one that had it has removed it
        file.close()
    file.truncate(0)
    file.write(f"process {os.getpid()} on {gethostname()} since {datetime.now():%Y-%m-%d %H:%M}".encode())
    return file


def _holder(lock):
    "Who has a lock, in brackets, if that is known."
    try:
        return f" ({printable(lock.read_text(errors='replace'), max_len=100)})"
    except OSError:
        return ""
