"""Find, execute and check the notebooks of the project.

Tutorials and the index are stored with their outputs, reference pages without. Outputs are current if the digest in the
notebook's metadata (`outputs_of`) is that of its cells.
"""

import hashlib
import os
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

root = Path(__file__).parents[1]
nbs = root / "nbs"
# metadata that nbdev-clean keeps, see pyproject.toml
key = "fastai_charrnn"
# size of all notebooks with outputs
max_mb = 4
advice = "run `make outputs`"


def notebooks(
    folder: Path = nbs,  # searched with its subfolders
) -> list[Path]:  # relative to `folder`, sorted
    "All notebooks except those in hidden folders."
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*.ipynb"))]
    return [path for path in paths if not any(part.startswith((".", "_")) for part in path.parts)]


def has_outputs(
    rel: Path,  # relative to nbs/
) -> bool:
    "Whether this notebook is stored with its outputs."
    return rel.parent.name == "tutorials" or rel.name == "index.ipynb"


def digest(
    notebook,  # of nbformat or json
    version: str = "",  # of the package; empty: the current one
) -> str:
    "A digest of what the outputs depend on: the code cells in order and the version of the package."
    code = ["".join(cell["source"]) for cell in code_cells(notebook)]
    return hashlib.sha256("\0".join([version or _version(), *code]).encode()).hexdigest()[:16]


def _version():
    text = (root / "fastai_charrnn/__init__.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "(.+)"', text)[1]


def code_cells(notebook) -> list:
    "The code cells of a notebook."
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def facts(notebook) -> dict:  # empty for a notebook that is stored without outputs
    "The digest of the cells that the stored outputs belong to, and the times of their execution."
    return notebook["metadata"].get(key, {})


def is_current(notebook) -> bool:
    "Whether the stored outputs belong to the current cells."
    return facts(notebook).get("outputs_of") == digest(notebook)


def execute(
    notebook,  # of nbformat, receives its outputs
    folder: Path,  # to run it in
) -> dict:  # wall-clock and processor time in seconds
    "Run all cells on one thread, in a new Jupyter kernel."
    from nbclient import NotebookClient

    os.environ |= dict(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    start = time.perf_counter()
    start_cpu = _child_cpu_time()
    resources = dict(metadata=dict(path=str(folder)))
    NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=resources).execute()
    seconds = time.perf_counter() - start
    cpu_seconds = _child_cpu_time() - start_cpu
    return dict(seconds=round(seconds, 1), cpu_seconds=round(cpu_seconds, 1))


def _child_cpu_time():
    "Processor time of child processes that have ended, in seconds."
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def title(notebook) -> str:
    "The first heading of a notebook."
    lines = "\n".join("".join(cell["source"]) for cell in notebook["cells"]).splitlines()
    return next(line.removeprefix("# ") for line in lines if line.startswith("# "))


# checks of stored notebooks

_local = re.compile(r"(?<![\w.])/(?:work|home|root|Users)/|/tmp/\w| at 0x[0-9a-f]|<progress")


def complaints(
    rel: Path,  # relative to nbs/
    notebook: dict,  # of json
) -> Iterator[str]:  # a sentence each
    "What is wrong with the outputs of a stored notebook."
    cells = code_cells(notebook)
    outputs = [output for cell in cells for output in cell["outputs"]]
    if any(cell["execution_count"] for cell in cells):
        yield f"{rel} is stored with execution counts: run `nbdev-clean`"
    if not has_outputs(rel):
        if outputs:
            command = f"nbdev-clean --clear-all --fname nbs/{rel}"
            yield f"{rel} is a reference page and must be stored without outputs: run `{command}`"
        return
    if cells and not outputs:
        yield f"{rel} is stored without outputs: {advice}"
    elif not is_current(notebook):
        yield f"{rel} is stored with outputs of other cells or of another version: {advice}"
    for output in outputs:
        if match := _local.search(text := _text(output)):
            excerpt = text[match.start() :].splitlines()[0][:60]
            yield f"{rel} is stored with an output that differs between machines or runs, {excerpt!r}: {advice}"


def _text(output):
    "All text of an output."
    data = [content for mime, content in output.get("data", {}).items() if mime.startswith("text/")]
    texts = [output.get("text", ""), *data, output.get("traceback", "")]
    return "\n".join("".join(text) for text in texts)


def size_complaint(
    folder: Path = nbs,  # with notebooks
) -> str:  # empty if the size is allowed
    "What is wrong with the size of the notebooks that are stored with outputs."
    mb = sum((folder / path).stat().st_size for path in notebooks(folder) if has_outputs(path)) / 2**20
    if mb <= max_mb:
        return ""
    return f"notebooks with outputs take {mb:.1f} MB, at most {max_mb} are allowed: use fewer or smaller pictures"
