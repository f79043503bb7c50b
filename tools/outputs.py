"""Store the tutorials and the index with their outputs, each from a clean run.

    python tools/outputs.py                           those whose outputs are not current, then results/NOTEBOOKS.md
    python tools/outputs.py tutorials/01_memory.ipynb only these, if their outputs are not current
    python tools/outputs.py --force index.ipynb       even if they are
    python tools/outputs.py --record                  only results/NOTEBOOKS.md, of what is stored

A notebook runs in its own folder, on one thread, two notebooks at a time. All together take about a quarter of an hour.
NOTEBOOKS.md says how long each took and what the tutorials print about losses.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from notebooks import digest, execute, facts, has_outputs, is_current, key, nbs, notebooks, root, title
from tidy import tidied


def store(
    path: Path,  # of the notebook, is replaced
    machine: str = "",  # where it runs, stored with the times
) -> dict:  # the facts in its metadata
    "Execute a notebook and write it back with its outputs."
    import nbformat

    nb = nbformat.read(path, as_version=4)
    times = execute(nb, path.parent)
    nb.metadata[key] = dict(outputs_of=digest(nb), machine=machine, **times)
    part = path.with_name(f".{path.name}.part.ipynb")
    nbformat.write(tidied(nb), part)
    clean(part)
    os.replace(part, path)
    return facts(nb)


def clean(path: Path):
    "Store a notebook as `nbdev-clean` does."
    command = Path(sys.executable).with_name("nbdev-clean")
    subprocess.run([command, "--fname", path.resolve()], cwd=root, check=True, stdout=subprocess.DEVNULL)


def _store(rel, machine):
    took = store(nbs / rel, machine)
    size = (nbs / rel).stat().st_size / 1024
    print(f"{rel}: {took['seconds']:.0f} s, {took['cpu_seconds']:.0f} s of processor time, {size:.0f} KB", flush=True)


def selected(
    names: list,  # as given: relative to nbs/ or to the current folder; empty for all that have outputs
    force: bool = False,  # those with current outputs too?
) -> list[Path]:  # relative to nbs/
    "The notebooks to execute."
    rels = [_rel(o) for o in names] or [o for o in notebooks() if has_outputs(o)]
    return [o for o in rels if force or not is_current(read(o))]


def _rel(name):
    path = next((o for o in (nbs / name, Path(name)) if o.is_file()), None)
    if path is None or not path.resolve().is_relative_to(nbs):
        sys.exit(f"there is no notebook {name} in nbs/")
    rel = path.resolve().relative_to(nbs)
    if not has_outputs(rel):
        sys.exit(f"{rel} is a reference page, these are stored without outputs")
    return rel


def read(rel: Path) -> dict:
    "A stored notebook."
    return json.loads((nbs / rel).read_text(encoding="utf-8"))


# results/NOTEBOOKS.md

_about_losses = re.compile(r"loss|recorder|valid\b|nats|bits", re.I)


def printed(
    nb: dict,  # with outputs
) -> str:  # Markdown
    "What a notebook prints about losses, by what is printed or by the cell that prints it, if there is a number in it."
    outs = [(c, o) for c in nb["cells"] if c["cell_type"] == "code" for o in c["outputs"]]
    texts = [("".join(c["source"]), _printed_text(o)) for c, o in outs]
    texts = [text for source, text in texts if _about_losses.search(source + text) and re.search(r"\d\.\d\d", text)]
    return "\n".join(f"```text\n{text.strip(chr(10))}\n```" for text in texts) or "No losses."


def _printed_text(o):
    text = "".join(o.get("text") or o.get("data", {}).get("text/plain", ""))
    return "" if re.match(r"<.+ object|<Figure", text) else text


def record() -> str:  # results/NOTEBOOKS.md
    "How long each notebook with outputs took, and the losses that the tutorials print."
    stored = {rel: nb for rel in notebooks() if has_outputs(rel) and facts(nb := read(rel))}
    rows = [_row(rel, nb) for rel, nb in stored.items()]
    wall, cpu = (sum(facts(nb)[k] for nb in stored.values()) / 60 for k in ("seconds", "cpu_seconds"))
    machines = sorted({facts(nb)["machine"] for nb in stored.values()})
    head = (
        "# The notebooks, executed\n\n"
        "Written by `make outputs`, which executes the tutorials and the index in full, "
        "each on one thread and two at a time. "
        f"They took {wall:.0f} minutes one after the other, {cpu:.0f} of processor time, "
        f"on {' and '.join(machines)}. "
        "Below the times is what the tutorials print about losses."
    )
    table = "\n".join(["| notebook | seconds | processor time |", "| --- | --- | --- |", *rows])
    tutorials = [nb for rel, nb in stored.items() if rel.parent.name == "tutorials"]
    losses = [f"## {title(nb)}\n\n{printed(nb)}" for nb in tutorials]
    return "\n\n".join([head, table, *losses]) + "\n"


def _row(rel, nb):
    return f"| [{title(nb)}](../nbs/{rel}) | {facts(nb)['seconds']:.0f} | {facts(nb)['cpu_seconds']:.0f} |"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="notebooks, by default all that are stored with outputs")
    p.add_argument("--force", action="store_true", help="execute even what is current")
    p.add_argument("--jobs", type=int, default=2, help="notebooks that run at a time")
    p.add_argument("--record", action="store_true", help="only write results/NOTEBOOKS.md")
    args = p.parse_args()
    if not args.record:
        _store_all(selected(args.names, args.force), args.jobs)
    if not args.names:
        (root / "results/NOTEBOOKS.md").write_text(record(), encoding="utf-8")


def _store_all(rels, jobs):
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("IN_TEST", None)  # what is stored comes from full runs
    from machine import machine

    with ProcessPoolExecutor(jobs) as pool:
        for done in [pool.submit(_store, rel, machine()) for rel in rels]:
            done.result()
    print(f"{len(rels)} notebooks were executed; all other outputs are current")


if __name__ == "__main__":
    main()
