"""Compressors as models of the text: their losses on the last tenth, by the growth of the compressed file.

A compressor adapts while it reads. The size for the whole text minus the size for its first nine tenths is what it
needs for the last tenth after it has read all before it, so its loss is comparable with that of a network that learns
while it reads. bz2 and xz are Python's own; PPMd is in Debian's package 7zip, and zpaq in the package of that name.
"""

import bz2
import lzma
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Compressor:
    "A program with its options, or a module of Python."

    name: str
    size: Callable[[bytes], int]  # bytes of compressed data
    programs: tuple[str, ...] = ()  # one of them must be installed
    package: str = ""  # of Debian, that has the program

    @property
    def installed(self) -> bool:
        "Whether this computer can run it."
        return not self.programs or any(map(shutil.which, self.programs))


def _bz2_size(data):
    return len(bz2.compress(data, 9))


def _xz_size(data):
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def _ppmd_size(data):
    program = next(filter(None, map(shutil.which, _seven_zips)))
    return _archive_size(data, "a.7z", lambda archive, text: [program, "a", "-m0=ppmd:o=6:mem=64m", archive, text])


def _zpaq_size(data):
    return _archive_size(data, "a.zpaq", lambda archive, text: ["zpaq", "add", archive, text, "-m5"])


def _archive_size(data, name, command):
    "The size of an archive with one file."
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "text").write_bytes(data)
        subprocess.run(command(name, "text"), cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return (Path(folder) / name).stat().st_size


_seven_zips = ("7zz", "7z", "7za")
COMPRESSORS = (
    Compressor("bz2 -9", _bz2_size),
    Compressor("xz -9e", _xz_size),
    Compressor("PPMd, order 6", _ppmd_size, _seven_zips, "7zip"),
    Compressor("zpaq -m5", _zpaq_size, ("zpaq",), "zpaq"),
)

# measured once on the same split with a version that no package has; nats per character, seconds on one core
QUOTED = {
    "paq8px v216 -6": dict(nats=1.1404, seconds=98),
    "paq8px v216 -6 with its LSTM": dict(nats=1.1324, seconds=185),
}


def compress_last_part(
    compressor: Compressor,
    text: str,
    pct: float = 0.1,  # how much of the text is scored
) -> dict | None:  # nats per character and seconds for the whole text; None if the program is not installed
    "The loss of a compressor on the last part of a text."
    if not compressor.installed:
        return None
    n_before = int(len(text) * (1 - pct))
    before = compressor.size(text[:n_before].encode())
    start = time.perf_counter()
    whole = compressor.size(text.encode())
    seconds = time.perf_counter() - start
    nats = (whole - before) * 8 * math.log(2) / (len(text) - n_before)
    return dict(seconds=round(seconds, 2), nats=nats)
