"""Claim: a text may be larger than memory. From 1 MB to 1 GB, neither memory nor the time to the first batch grows,
and a batch takes a few hundredths of a training step.

The texts repeat the corpus, each time with other letters in a hundredth of the positions. One process encodes the text
to disk. Another one, with this cache, makes the `dls` and draws the first 1,000 training batches of 512 windows. Memory
is the peak above what was in use after the imports.
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
# (figure, name of the size): one value a round
_found: dict[tuple[str, str], list[float]] = {}
# what each process runs first; "large speed" uses it too
start_code = """
import json
import sys
from itertools import islice
from time import perf_counter as now

from fastai_charrnn.data.encoded import encode_file
from fastai_charrnn.data.loaders import CharDataLoaders

def mb(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) / 1024

fname = sys.argv[1]
n = int(sys.argv[2])
open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
base = mb("VmRSS")
start = now()
"""
_encode = (
    start_code
    + """
encode_file(fname)
print(json.dumps(dict(encode=now() - start, encoding=mb("VmHWM") - base)))
"""
)
_draw = (
    start_code
    + """
dls = CharDataLoaders.from_file(fname, mmap=True, valid="random", valid_pct=.2, device="cpu")
batches = iter(dls.train)
next(batches)
first = now()
n = sum(1 for _ in islice(batches, n - 1))
print(json.dumps(dict(first=first - start, batch=(now() - first) / n, drawing=mb("VmHWM") - base)))
"""
)


def write_text(path: Path, size: int):
    "Write a text of `size` bytes to a file."
    corpus = np.frombuffer(read_text(nietzsche()).encode("latin-1", "replace"), np.uint8)
    rng = np.random.default_rng(0)
    n_left = size
    with open(path, "wb") as f:
        while n_left:
            copy = corpus[:n_left].copy()
            n_changed = len(copy) // 100
            copy[rng.integers(0, len(copy), n_changed)] = rng.integers(97, 123, n_changed)
            # some characters of the corpus take two bytes in UTF-8
            utf8 = copy.tobytes().decode("latin-1").encode()[:n_left].decode(errors="ignore").encode()
            n_left -= f.write(utf8)
            if n_left < 4:
                n_left -= f.write(b" " * n_left)


def measured(code: str, *args) -> dict:
    "Run code in a process and return the JSON object that it prints last."
    command = [sys.executable, "-c", code, *map(str, args)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(out[out.rindex("{") :])


def measure(short: bool = False) -> list[Row]:
    "Measure each size five times."
    sizes = {"1 MB": 10**6} if short else _sizes
    _found.clear()
    with tempfile.TemporaryDirectory() as folder:
        for name, size in sizes.items():
            path = Path(folder) / f"{size}.txt"
            write_text(path, size)
            for _ in range(1 if short else 5):
                _measure_once(name, path, 20 if short else 1000)
            _remove(path.parent.glob(f"{path.name}*"))
    return [row for name, size in sizes.items() for row in _rows(name, size)]


def _measure_once(name, path, n_batches):
    "Encode the text and draw batches."
    _remove(path.parent.glob(f"{path.name}.*"))
    for code in (_encode, _draw):
        for key, value in measured(code, path, n_batches).items():
            _found.setdefault((key, name), []).append(value)


def _remove(paths):
    for path in paths:
        path.unlink()


def _rows(name, size):
    encode = [size / 1e6 / s for s in _found["encode", name]]
    first = [1e3 * s for s in _found["first", name]]
    batch = [1e3 * s for s in _found["batch", name]]
    fast = 100 if size >= 10**8 else None
    return [
        Row(f"{name}: encoding", encode, "{:,.0f}", " MB/s", must=fast),
        Row(f"{name}: memory while encoding", _found["encoding", name], "{:,.0f}", " MB", 200, 100, True),
        Row(f"{name}: first batch", first, "{:,.0f}", " ms", must=1000, at_most=True),
        Row(f"{name}: a batch", batch, "{:.3f}", " ms"),
        Row(f"{name}: memory while drawing", _found["drawing", name], "{:,.0f}", " MB", 100, 50, True),
    ]


# the panels of the picture: figure, its factor, its label
_panels = {
    "ms a batch": [("batch", 1e3, "")],
    "ms to the first batch": [("first", 1e3, "")],
    "MB above the import": [("encoding", 1, "while encoding"), ("drawing", 1, "while drawing")],
}


def more(folder: Path) -> str:
    "A picture over sizes."
    import matplotlib.pyplot as plt

    fig, axs = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained")
    for ax, (title, lines) in zip(axs, _panels.items()):
        for key, factor, label in lines:
            _draw_line(ax, key, factor, label)
        ax.set_ylim(0)
        ax.set_title(title, fontsize=9)
        if len(lines) > 1:
            ax.legend(fontsize=7)
    plt.savefig(folder / "scale_speed_sizes.png", dpi=110, metadata={"Software": None})
    plt.close(fig)
    return "![over sizes](pictures/scale_speed_sizes.png)"


def _draw_line(ax, key, factor, label):
    "Medians over sizes, with bars from the smallest to the largest round."
    names = [name for name in _sizes if (key, name) in _found]
    values = [[factor * value for value in _found[key, name]] for name in names]
    medians = [np.median(rounds) for rounds in values]
    below = [median - min(rounds) for median, rounds in zip(medians, values)]
    above = [max(rounds) - median for median, rounds in zip(medians, values)]
    ax.errorbar(names, medians, [below, above], marker="o", capsize=3, label=label)
