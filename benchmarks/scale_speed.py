"""Claim: a text may outgrow memory: from 1 MB to 1 GB, memory and the time to the first batch do not grow, and a batch stays within a few hundredths of a training step.

Texts are the corpus again and again, each time with other letters in a hundredth of its places. One process encodes the text to disk; another, with the
cache ready, makes the `dls` and draws the first 1,000 training batches of 512 windows. Memory is the peak above what the imports left in use.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from figures import Row

from fastai_charrnn.all import nietzsche, read_text

_sizes = {"1 MB": 10**6, "10 MB": 10**7, "100 MB": 10**8, "1 GB": 10**9}
_found = {}
_start = """
import json,sys
from itertools import islice
from time import perf_counter as now
from fastai_charrnn.data.loaders import CharDataLoaders
from fastai_charrnn.data.encoded import encode_file
def mb(what): return int(next(l for l in open("/proc/self/status") if l.startswith(what)).split()[1])/1024
fname,n = sys.argv[1],int(sys.argv[2])
open("/proc/self/clear_refs", "w").write("5") # the peak begins anew
base,start = mb("VmRSS"),now()
"""
_encode = (
    _start
    + """
encode_file(fname)
print(json.dumps(dict(encode=now()-start, encoding=mb("VmHWM")-base)))
"""
)
_draw = (
    _start
    + """
batches = iter(CharDataLoaders.from_file(fname, mmap=True, valid="random", valid_pct=.2, device="cpu").train)
next(batches)
first = now()
n = sum(1 for _ in islice(batches, n-1))
print(json.dumps(dict(first=first-start, batch=(now()-first)/n, drawing=mb("VmHWM")-base)))
"""
)


def _text(path, size):
    base = np.frombuffer(read_text(nietzsche()).encode("latin-1", "replace"), np.uint8)
    rng = np.random.default_rng(0)
    with open(path, "wb") as f:
        while f.tell() < size:
            copy = base[: size - f.tell()].copy()
            copy[rng.integers(0, len(copy), len(copy) // 100)] = rng.integers(97, 123, len(copy) // 100)
            f.write(copy.tobytes().decode("latin-1").encode()[: size - f.tell()].decode(errors="ignore").encode())
            if size - f.tell() < 4:
                f.write(b" " * (size - f.tell()))


def measured(code: str, *args) -> dict:
    "What a process that runs `code` prints last, as JSON."
    out = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=True
    ).stdout
    return json.loads(out[out.rindex("{") :])


def measure(short: bool = False) -> list[Row]:
    "Each size five times."
    sizes = {"1 MB": 10**6} if short else _sizes
    rows = []
    _found.clear()
    with tempfile.TemporaryDirectory() as tmp:
        for name, size in sizes.items():
            path = Path(tmp) / f"{size}.txt"
            _text(path, size)
            for _ in range(1 if short else 5):
                for o in Path(tmp).glob(f"{size}.txt.*"):
                    o.unlink()
                for code in (_encode, _draw):
                    for k, v in measured(code, path, 20 if short else 1000).items():
                        _found.setdefault((k, name), []).append(v)
            for o in Path(tmp).glob(f"{size}.txt*"):
                o.unlink()
    for name, size in sizes.items():

        def at(k, name=name):
            return _found[k, name]

        must = 100 if size >= 10**8 else None
        rows += [
            Row(f"{name}: encoding", [size / 1e6 / s for s in at("encode")], "{:,.0f}", " MB/s", must),
            Row(f"{name}: memory while encoding", at("encoding"), "{:,.0f}", " MB", 200, 100, True),
            Row(f"{name}: first batch", [1e3 * s for s in at("first")], "{:,.0f}", " ms", 1000, None, True),
            Row(f"{name}: a batch", [1e3 * s for s in at("batch")], "{:.3f}", " ms"),
            Row(f"{name}: memory while drawing", at("drawing"), "{:,.0f}", " MB", 100, 50, True),
        ]
    return rows


def more(folder: Path) -> str:
    "The picture over sizes."
    import matplotlib.pyplot as plt

    names = [n for n in _sizes if ("batch", n) in _found]
    fig, axs = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained")
    for ax, (title, keys) in zip(
        axs,
        {
            "ms a batch": {"batch": 1e3},
            "ms to the first batch": {"first": 1e3},
            "MB above the import": {"encoding": 1, "drawing": 1},
        }.items(),
    ):
        for key, by in keys.items():
            values = [[by * v for v in _found[key, n]] for n in names]
            ax.errorbar(
                names,
                [np.median(v) for v in values],
                [[np.median(v) - min(v) for v in values], [max(v) - np.median(v) for v in values]],
                marker="o",
                capsize=3,
                label=key,
            )
        ax.set_ylim(0)
        ax.set_title(title, fontsize=9)
        if len(keys) > 1:
            ax.legend(["while encoding", "while drawing"], fontsize=7)
    plt.savefig(folder / "scale_speed_sizes.png", dpi=110, metadata={"Software": None})
    plt.close(fig)
    return "![over sizes](pictures/scale_speed_sizes.png)"
