"""Fail if a notebook is not stored as `nbdev-clean` stores it, or a tutorial or the index lacks current outputs.

Works on copies, so nothing of yours is changed.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from notebooks import complaints, nbs, notebooks, size_complaint


def not_clean(
    folder: Path,  # with notebooks and, one folder up, pyproject.toml
):  # a sentence for each
    "Notebooks that `nbdev-clean` would change."
    with tempfile.TemporaryDirectory() as tmp:
        shutil.copy(folder.parent / "pyproject.toml", tmp)
        copies = Path(shutil.copytree(folder, Path(tmp) / "nbs", ignore=shutil.ignore_patterns(".*")))
        subprocess.run([Path(sys.executable).with_name("nbdev-clean"), "--fname", copies], cwd=tmp, check=True)
        dirty = [str(o) for o in notebooks(folder) if (folder / o).read_bytes() != (copies / o).read_bytes()]
    for name in dirty:
        yield f"{name} is not stored clean: run `nbdev-clean`"


def found(
    folder: Path = nbs,  # with notebooks
) -> list[str]:  # a sentence for each fault
    "All that is wrong with the stored notebooks."
    faults = list(not_clean(folder))
    for rel in notebooks(folder):
        faults += complaints(rel, json.loads((folder / rel).read_text(encoding="utf-8")))
    return faults + list(filter(None, [size_complaint(folder)]))


if __name__ == "__main__":
    if faults := found():
        sys.exit("\n".join(faults))
    print(f"{len(notebooks())} notebooks are stored clean, those with outputs with current ones")
