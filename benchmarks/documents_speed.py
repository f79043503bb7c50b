"""Claim: many documents train like one text. A folder of 1,000 files (20 MB), a table of 10,000 rows (20 MB) and a file
of 200 MB begin to train within seconds. On disk, memory does not depend on their size.

The texts are pieces of the text of "scale speed". Each process with one thread makes the `dls` and trains an `rnn` of
64 units for 200 batches of 512 windows of 8. Memory is the peak above what was in use after the imports: texts, `dls`,
network, optimizer and activations. The time to the first batch includes reading and encoding. "Mapped" is `mmap=True`,
which a file of 200 MB is by default. "Again" finds the text encoded.
"""

import json
import tempfile
from pathlib import Path

import pandas as pd
from figures import Row
from scale_speed import measured, start_code, write_text

_train = (
    start_code
    + """
import torch
import pandas as pd
from fastai_charrnn.all import Callback, CancelFitException, CharDataLoaders, char_learner

method, options = json.loads(sys.argv[3])
options |= dict(bs=512, device="cpu")
torch.set_num_threads(1)
open("/proc/self/clear_refs", "w").write("5")
base = mb("VmRSS")
start = now()
source = fname
if method == "from_df":
    source = pd.read_csv(fname)
dls = getattr(CharDataLoaders, method)(source, **options)
learn = char_learner(dls, "rnn", n_hid=64, seed=0)

class Steps(Callback):
    def after_batch(self):
        if self.train_iter == 1:
            self.first = now()
        if self.train_iter == n:
            step = (now() - self.first) / (n - 1)
            print(json.dumps(dict(first=self.first - start, step=step, peak=mb("VmHWM") - base)))
            raise CancelFitException

with learn.no_bar():
    learn.fit(10**6, 2e-3, cbs=Steps())
"""
)


def write_sources(folder: Path, n_files: int, n_rows: int, size: int) -> dict[str, Path]:
    "Write a folder of files, a table and a file, each with text of their own."
    text = folder / "large.txt"
    write_text(text, size)
    part = text.read_text(encoding="utf-8")[: n_files * 20_000]
    files = folder / "files"
    files.mkdir()
    length = len(part) // n_files
    for i in range(n_files):
        (files / f"{i:04}.txt").write_text(part[i * length :][:length], encoding="utf-8")
    length = len(part) // n_rows
    table = folder / "table.csv"
    pd.DataFrame(dict(text=[part[i * length :][:length] for i in range(n_rows)])).to_csv(table, index=False)
    return dict(files=files, table=table, text=text)


def measure(short: bool = False) -> list[Row]:
    "Train on each source three times."
    sizes = (20, 100, 10**6) if short else (1_000, 10_000, 2 * 10**8)
    rows = []
    with tempfile.TemporaryDirectory() as tmp:
        sources = write_sources(Path(tmp), *sizes)
        runs = {
            f"folder of {sizes[0]:,} files": ("files", "from_folder", {}),
            f"folder of {sizes[0]:,} files, mapped": ("files", "from_folder", dict(mmap=True)),
            f"folder of {sizes[0]:,} files, mapped, again": ("files", "from_folder", dict(mmap=True)),
            f"table of {sizes[1]:,} rows": ("table", "from_df", {}),
            f"file of {sizes[2] // 10**6} MB": ("text", "from_file", {}),
            f"file of {sizes[2] // 10**6} MB, again": ("text", "from_file", {}),
        }
        if short:
            # the text, the table and the files, each once
            runs = {name: run for name, run in runs.items() if not name.endswith((" files", "again"))}
        found = {name: [] for name in runs}
        for _ in range(1 if short else 3):
            _forget_encoded(Path(tmp))
            for name, (source, method, options) in runs.items():
                n_steps = 20 if short else 200
                found[name].append(measured(_train, sources[source], n_steps, json.dumps([method, options])))
        for name, results in found.items():
            rows += _rows(name, results)
    return rows


def _forget_encoded(folder):
    for path in folder.rglob("*.*.npy"):
        path.unlink()


def _rows(name, results):
    on_disk = "mapped" in name or "MB" in name
    return [
        Row(f"{name}: first batch", [r["first"] for r in results], "{:.2f}", " s", must=5, at_most=True),
        Row(
            f"{name}: memory",
            [r["peak"] for r in results],
            "{:,.0f}",
            " MB",
            must=100 if on_disk else 200,
            at_most=True,
        ),
        Row(f"{name}: a step", [1e3 * r["step"] for r in results], "{:.1f}", " ms"),
    ]
