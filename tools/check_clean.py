"""Fail if a notebook is not stored as `nbdev-clean` would store it. Works on copies, so nothing of yours is changed."""
import shutil,subprocess,sys,tempfile
from pathlib import Path

nbs = Path(__file__).parent.parent/"nbs"
notebooks = [o.relative_to(nbs) for o in sorted(nbs.rglob("*.ipynb")) if not any(p.startswith(".") for p in o.relative_to(nbs).parts)]

with tempfile.TemporaryDirectory() as tmp:
    shutil.copy(nbs.parent/"pyproject.toml", tmp)
    copies = Path(shutil.copytree(nbs, Path(tmp)/"nbs", ignore=shutil.ignore_patterns(".*")))
    subprocess.run([Path(sys.executable).with_name("nbdev-clean"), "--fname", copies], cwd=tmp, check=True)
    dirty = [str(o) for o in notebooks if (nbs/o).read_bytes() != (copies/o).read_bytes()]
if dirty: sys.exit(f"not stored clean: {', '.join(dirty)}; run nbdev-clean")
print(f"{len(notebooks)} notebooks are stored clean")
