"""Write constraints.txt: the versions the tests run with, for every supported Python and platform.

Versions that constraints.txt names already are kept where they still fit; `--upgrade` takes the newest.
"""

import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

from setup_env import uv_environ

root = Path(__file__).parent.parent
constraints = root / "constraints.txt"
groups = ("requirements", "dev_requirements", "docs_requirements")
header = """# The versions the tests run with, for every supported Python. Written by `make constraints`.
# Install through them: pip install -c constraints.txt .
# torch has no local suffix: your index decides between its builds for CPU and CUDA.
"""
# these would put what only this machine has into the file
local = ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_TORCH_BACKEND", "UV_CONSTRAINT", "VIRTUAL_ENV")


def settings():
    "The section of settings.ini."
    cfg = ConfigParser(delimiters=["="])
    cfg.read(root / "settings.ini", encoding="utf-8")
    return cfg["DEFAULT"]


def requirements() -> str:  # one a line
    "What running, testing and the documentation require."
    cfg = settings()
    return "\n".join(r for g in groups for r in cfg[g].split())


def resolve(
    *options: str,  # of `uv pip compile`
    **kwargs,  # passed to subprocess.run
) -> subprocess.CompletedProcess:  # with the output as text
    "Resolve all requirements with uv."
    env = {k: v for k, v in uv_environ(sys.executable).items() if k not in local}
    # what has no wheel is built with this Python; without the option uv looks for one of the version in question
    uv = [sys.executable, "-m", "uv", "pip", "compile", "--python", sys.executable]
    cmd = [*uv, "--quiet", "--no-config", "--no-header", "--no-annotate", "-", *options]
    return subprocess.run(cmd, input=requirements(), env=env, stdout=subprocess.PIPE, text=True, **kwargs)


def resolved(
    old: Path,  # a constraints file whose versions are preferred
    upgrade: bool = False,  # prefer the newest instead
) -> str:  # the text of constraints.txt
    "Resolve for the oldest supported Python and every newer one, and for every platform."
    oldest = settings()["python_versions"].split()[0]
    with tempfile.TemporaryDirectory() as tmp:
        new = Path(tmp) / "constraints.txt"
        new.write_bytes(old.read_bytes())
        options = ["--universal", "--python-version", oldest, "--output-file", str(new)]
        if upgrade:
            options.append("--upgrade")
        resolve(*options, check=True)
        return header + new.read_text(encoding="utf-8")


def main(
    args: list[str],  # `--upgrade` or nothing
):
    "Write constraints.txt."
    text = resolved(constraints, upgrade="--upgrade" in args)
    part = constraints.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(constraints)
    print(f"{constraints.name}: {len(text.splitlines()) - len(header.splitlines())} versions")


if __name__ == "__main__":
    main(sys.argv[1:])
