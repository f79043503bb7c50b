"""In a block of `kept_memory`, freed memory stays in the process. The end of the block gives it back."""

import os
import subprocess
import sys

import pytest

# A step allocates and frees 96 MB. 4-KB pages that are new to the process are minor faults.
PROGRAM = """
import resource
from pathlib import Path
import torch
from fastai_charrnn._memory import kept_memory

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        parts = [torch.ones(2**21) for _ in range(12)]
        del parts
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def pages_now():
    return int(Path("/proc/self/statm").read_text().split()[1])

new_pages()
with kept_memory():
    new_pages()
    with kept_memory():
        pass
    inside = new_pages()
    held = pages_now()
print(inside, held - pages_now())
"""

needs_glibc = pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}), reason="no glibc")


def _pages(**variables):
    "Pages that are new in five steps within the block, and pages that its end gives back."
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | variables, capture_output=True, text=True, check=True
    )
    return map(int, done.stdout.split())


@needs_glibc
def test_freed_memory_is_kept_in_the_block_and_given_back_after_it():
    inside, given_back = _pages()
    assert inside < 5_000
    assert given_back > 20_000


@needs_glibc
def test_what_the_user_has_set_stays():
    inside, given_back = _pages(MALLOC_TRIM_THRESHOLD_="1000000", MALLOC_MMAP_THRESHOLD_="1000000")
    assert inside > 100_000
    assert given_back < 5_000
