"""Execute the tutorials and the index, and store them with their outputs.

    python tools/outputs.py                            those whose outputs are not current, then results/NOTEBOOKS.md
    python tools/outputs.py tutorials/01_memory.ipynb  only this one, if its outputs are not current
    python tools/outputs.py --force index.ipynb        even if its outputs are current
    python tools/outputs.py --record                   only results/NOTEBOOKS.md, from the stored notebooks

Each notebook runs in its own folder, on one thread, two notebooks at a time. All of them take about 15 minutes.
results/NOTEBOOKS.md lists how long each took and what the tutorials print about losses.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from machine import machine
from notebooks import code_cells, digest, execute, facts, has_outputs, is_current, key, nbs, notebooks, root, title
from tidy import tidied

from fastai_charrnn._files import atomic_path, atomic_write


def store(
    path: Path,  # of the notebook, is replaced
    machine: str = "",  # description of the machine, stored with the times
) -> dict:  # the facts in its metadata
    "Execute a notebook and write it back with its outputs."
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    times = execute(notebook, path.parent)
    notebook.metadata[key] = dict(outputs_of=digest(notebook), machine=machine, **times)
    with atomic_path(path) as part:
        nbformat.write(tidied(notebook), part)
        clean(part)
    return facts(notebook)


def clean(
    path: Path,  # of a notebook
):
    "Rewrite a notebook as `nbdev-clean` does."
    command = Path(sys.executable).with_name("nbdev-clean")
    subprocess.run([command, "--fname", path.resolve()], cwd=root, check=True, stdout=subprocess.DEVNULL)


def _store(rel, machine):
    times = store(nbs / rel, machine)
    seconds = f"{times['seconds']:.0f} s, {times['cpu_seconds']:.0f} s of processor time"
    print(f"{rel}: {seconds}, {(nbs / rel).stat().st_size / 1024:.0f} KB", flush=True)


def selected(
    names: list[str],  # relative to nbs/ or to the current folder; empty: all that have outputs
    force: bool = False,  # include those with current outputs
) -> list[Path]:  # relative to nbs/
    "The notebooks to execute."
    rels = [_relative(name) for name in names] or [rel for rel in notebooks() if has_outputs(rel)]
    return [rel for rel in rels if force or not is_current(read(rel))]


def _relative(name):
    "The path of a notebook relative to nbs/."
    path = next((path for path in (nbs / name, Path(name)) if path.is_file()), None)
    if path is None or not path.resolve().is_relative_to(nbs):
        sys.exit(f"there is no notebook {name} in nbs/")
    rel = path.resolve().relative_to(nbs)
    if not has_outputs(rel):
        sys.exit(f"{rel} is a reference page; only tutorials and the index are stored with outputs")
    return rel


def read(
    rel: Path,  # relative to nbs/
) -> dict:
    "A stored notebook."
    return json.loads((nbs / rel).read_text(encoding="utf-8"))


# results/NOTEBOOKS.md

_about_losses = re.compile(r"loss|recorder|valid\b|nats|bits", re.I)
_number = re.compile(r"\d\.\d\d")


def printed(
    notebook: dict,  # with outputs
) -> str:  # Markdown
    "The outputs that contain a number and are about losses, judged by the output or its cell."
    blocks = []
    for cell in code_cells(notebook):
        for output in cell["outputs"]:
            text = _printed_text(output)
            if _number.search(text) and _about_losses.search("".join(cell["source"]) + text):
                blocks.append(f"```text\n{text.strip(chr(10))}\n```")
    return "\n".join(blocks) or "No losses."


def _printed_text(output):
    "The text of an output, empty for a picture or an HTML object."
    text = "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))
    return "" if re.match(r"<.+ object|<Figure", text) else text


def record() -> str:  # results/NOTEBOOKS.md
    "How long each notebook took, and the losses that the tutorials print."
    stored = {rel: read(rel) for rel in notebooks() if has_outputs(rel)}
    stored = {rel: notebook for rel, notebook in stored.items() if facts(notebook)}
    parts = [_record_head([facts(notebook) for notebook in stored.values()])]
    rows = [_row(rel, notebook) for rel, notebook in stored.items()]
    parts.append("\n".join(["| notebook | seconds | processor time |", "| --- | --- | --- |", *rows]))
    for rel, notebook in stored.items():
        if rel.parent.name == "tutorials":
            parts.append(f"## {title(notebook)}\n\n{printed(notebook)}")
    return "\n\n".join(parts) + "\n"


def _record_head(all_facts):
    minutes = sum(one["seconds"] for one in all_facts) / 60
    cpu_minutes = sum(one["cpu_seconds"] for one in all_facts) / 60
    machines = " and ".join(sorted({one["machine"] for one in all_facts}))
    return (
        "# The notebooks, executed\n\n"
        "Written by `make outputs`, which executes the tutorials and the index in full, "
        "each on one thread and two at a time. "
        f"They took {minutes:.0f} minutes in total, {cpu_minutes:.0f} of processor time, on {machines}. "
        "Below the times is what the tutorials print about losses."
    )


def _row(rel, notebook):
    times = facts(notebook)
    return f"| [{title(notebook)}](../nbs/{rel}) | {times['seconds']:.0f} | {times['cpu_seconds']:.0f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="notebooks, by default all that are stored with outputs")
    parser.add_argument("--force", action="store_true", help="execute even what is current")
    parser.add_argument("--jobs", type=int, default=2, help="notebooks that run at a time")
    parser.add_argument("--record", action="store_true", help="only write results/NOTEBOOKS.md")
    args = parser.parse_args()
    if not args.record:
        store_all(selected(args.names, args.force), args.jobs)
    if not args.names:
        atomic_write(root / "results/NOTEBOOKS.md", record())


def store_all(
    rels: list[Path],  # relative to nbs/
    jobs: int,  # notebooks that run at a time
):
    "Execute and store notebooks in full length."
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("IN_TEST", None)
    with ProcessPoolExecutor(jobs) as pool:
        for done in [pool.submit(_store, rel, machine()) for rel in rels]:
            done.result()
    print(f"{len(rels)} notebooks were executed; all other outputs are current")


if __name__ == "__main__":
    main()
