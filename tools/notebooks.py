"""Notebooks: which there are, how they are executed, and what may be wrong with their stored outputs.

The tutorials and the index are stored with their outputs, the reference pages without.
A stored output belongs to the current cells if the digest in the notebook's metadata says so (`outputs_of`).
"""

import hashlib
import os
import re
import resource
import time
from pathlib import Path

root = Path(__file__).parent.parent
nbs = root / "nbs"
key = "fastai_charrnn"  # of the metadata that nbdev-clean keeps, see pyproject.toml
max_mb = 4  # of all notebooks that are stored with outputs
how = "run `make outputs`"


def notebooks(
    folder: Path = nbs,  # with notebooks, also in folders of its own
) -> list[Path]:  # relative to `folder`, sorted
    "All notebooks but those in hidden folders."
    found = [o.relative_to(folder) for o in sorted(folder.rglob("*.ipynb"))]
    return [o for o in found if not any(part.startswith((".", "_")) for part in o.parts)]


def has_outputs(
    rel: Path,  # relative to nbs/
) -> bool:
    "Is this notebook stored with its outputs?"
    return rel.parent.name == "tutorials" or rel.name == "index.ipynb"


def digest(
    nb,  # a notebook, of nbformat or json
    version: str = "",  # of the package, by default the current one
) -> str:
    "What the outputs of a notebook belong to: the code of its cells, in order, and the package's version."
    cells = ["".join(c["source"]) for c in nb["cells"] if c["cell_type"] == "code"]
    return hashlib.sha256("\0".join([version or _version(), *cells]).encode()).hexdigest()[:16]


def _version():
    return re.search(r'__version__ = "(.+)"', (root / "fastai_charrnn/__init__.py").read_text(encoding="utf-8"))[1]


def facts(nb) -> dict:  # empty for a notebook whose outputs are not stored
    "The digest of the cells that the stored outputs belong to, and how long they took."
    return nb["metadata"].get(key, {})


def is_current(nb) -> bool:
    "Do the stored outputs belong to the current cells?"
    return facts(nb).get("outputs_of") == digest(nb)


def execute(
    nb,  # a notebook of nbformat, gets its outputs
    folder: Path,  # to run it in
) -> dict:  # wall-clock and processor time in seconds
    "Run all cells on one thread, in a Jupyter kernel of their own."
    from nbclient import NotebookClient

    os.environ |= dict(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    before = _clocks()
    resources = dict(metadata=dict(path=str(folder)))
    NotebookClient(nb, timeout=1800, kernel_name="python3", resources=resources).execute()
    wall, cpu = (round(b - a, 1) for a, b in zip(before, _clocks()))
    return dict(seconds=wall, cpu_seconds=cpu)


def _clocks():
    "Seconds of the clock, and of processor time in child processes that have ended."
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), used.ru_utime + used.ru_stime


def title(nb) -> str:
    "The first heading of a notebook."
    lines = "\n".join("".join(c["source"]) for c in nb["cells"]).splitlines()
    return next(line[2:] for line in lines if line.startswith("# "))


# what is wrong with a stored notebook

_local = re.compile(r"(?<![\w.])/(?:work|home|root|Users)/|/tmp/\w| at 0x[0-9a-f]|<progress")


def complaints(
    rel: Path,  # relative to nbs/, decides whether it is to have outputs
    nb: dict,  # of json
):  # a sentence for each
    "What is wrong with the outputs of a stored notebook."
    code = [c for c in nb["cells"] if c["cell_type"] == "code"]
    outputs = [o for c in code for o in c["outputs"]]
    if any(c["execution_count"] for c in code):
        yield f"{rel} is stored with execution counts: run `nbdev-clean`"
    if not has_outputs(rel):
        if outputs:
            command = f"nbdev-clean --clear-all --fname nbs/{rel}"
            yield f"{rel} is stored with outputs, reference pages are not: run `{command}`"
        return
    if code and not outputs:
        yield f"{rel} is stored without outputs: {how}"
    elif not is_current(nb):
        yield f"{rel} is stored with outputs of other cells or of another version: {how}"
    for text in map(_text, outputs):
        if found := _local.search(text):
            what = text[found.start() :].splitlines()[0][:60]
            yield f"{rel} is stored with an output that belongs to one machine or one moment, {what!r}: {how}"


def _text(output):
    data = {mime: o for mime, o in output.get("data", {}).items() if mime.startswith("text/")}
    return "\n".join("".join(o) for o in (output.get("text", ""), *data.values(), output.get("traceback", "")))


def size_complaint(
    folder: Path = nbs,  # with notebooks
) -> str:  # empty if there is none
    "What is wrong with the size of the notebooks that are stored with outputs."
    mb = sum((folder / o).stat().st_size for o in notebooks(folder) if has_outputs(o)) / 2**20
    if mb <= max_mb:
        return ""
    return f"notebooks with outputs take {mb:.1f} MB, allowed are {max_mb}: draw fewer or smaller pictures"
