"""Fail if a notebook is not stored as `nbdev-clean` would store it. Works on copies, so nothing of yours is changed."""
import shutil,subprocess,sys,tempfile
from pathlib import Path

nbs = Path(__file__).parent.parent/"nbs"

with tempfile.TemporaryDirectory() as tmp:
    shutil.copy(nbs.parent/"pyproject.toml", tmp)
    copies = Path(shutil.copytree(nbs, Path(tmp)/"nbs", ignore=shutil.ignore_patterns(".*")))
    subprocess.run([Path(sys.executable).with_name("nbdev-clean"), "--fname", copies], cwd=tmp, check=True)
    dirty = [o.name for o in sorted(nbs.glob("*.ipynb")) if o.read_bytes() != (copies/o.name).read_bytes()]
if dirty: sys.exit(f"not stored clean: {', '.join(dirty)}; run nbdev-clean")
print(f"{len(list(nbs.glob('*.ipynb')))} notebooks are stored clean")
