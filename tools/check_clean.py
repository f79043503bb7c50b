"""Check that notebooks are stored as `nbdev-clean` stores them, and those with outputs with current ones.

Works on copies: your notebooks are not changed.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from notebooks import complaints, nbs, notebooks, size_complaint


def not_clean(
    folder: Path,  # with notebooks; pyproject.toml is one folder up
) -> Iterator[str]:  # a sentence each
    "Find notebooks that `nbdev-clean` would change."
    with tempfile.TemporaryDirectory() as copy:
        shutil.copy(folder.parent / "pyproject.toml", copy)
        copies = Path(shutil.copytree(folder, Path(copy) / "nbs", ignore=shutil.ignore_patterns(".*")))
        nbdev_clean = Path(sys.executable).with_name("nbdev-clean")
        subprocess.run([nbdev_clean, "--fname", copies], cwd=copy, check=True)
        for path in notebooks(folder):
            if (folder / path).read_bytes() != (copies / path).read_bytes():
                yield f"{path} is not stored clean: run `nbdev-clean`"


def found(
    folder: Path = nbs,  # with notebooks
) -> list[str]:  # a sentence each
    "Everything that is wrong with the stored notebooks."
    faults = list(not_clean(folder))
    for path in notebooks(folder):
        notebook = json.loads((folder / path).read_text(encoding="utf-8"))
        faults += complaints(path, notebook)
    if fault := size_complaint(folder):
        faults.append(fault)
    return faults


if __name__ == "__main__":
    if faults := found():
        sys.exit("\n".join(faults))
    print(f"{len(notebooks())} notebooks are stored clean, their outputs are current")
