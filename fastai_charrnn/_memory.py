"""Keep freed memory in the process while a block runs: `kept_memory`.

    with kept_memory():
        learn.fit(1)    # which does it itself

A training step needs as much memory as the one before. glibc gives tens of megabytes that are freed back to the system,
which clears them when it hands them out again, page by page. That may take a quarter of a step. Memory that is kept is
used again as it is. Between two steps, the process then holds what a step needs.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

__all__ = ["kept_memory"]

# parameters of glibc's mallopt (malloc.h)
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
# bytes that are kept in a block, and after it: what glibc's own rule reaches at most (mallopt(3), M_MMAP_THRESHOLD)
_kept = 2**30
_usual = 2**26
# larger arrays are always given back; more than this cannot be set everywhere
_largest = 2**25
_lock = Lock()
_n_blocks = 0


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep up to a gigabyte of freed memory until the end of the block, in all threads.

    Does nothing without glibc, and where an environment variable sets what glibc keeps."""
    global _n_blocks
    libc = _glibc()
    if libc is None:
        yield
        return
    with _lock:
        _n_blocks += 1
        _keep(libc, _kept)
    try:
        yield
    finally:
        with _lock:
            _n_blocks -= 1
            if not _n_blocks:
                _keep(libc, _usual)
                libc.malloc_trim(0)


def _keep(libc, n_bytes):
    libc.mallopt(_MMAP_THRESHOLD, _largest)
    libc.mallopt(_TRIM_THRESHOLD, n_bytes)


@cache
def _glibc():
    "The C library that sets how memory is kept; None if it is another one, or if that is not ours to set."
    is_set = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if is_set or not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
