"""Write constraints.txt: the versions that the tests run with, for every supported Python and platform.

python tools/constraints.py            keep the versions of constraints.txt that still fit
python tools/constraints.py --upgrade  use the newest versions
"""

import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

from installers import constraints, root, uv_environ

from fastai_charrnn._files import atomic_write

groups = ("requirements", "dev_requirements", "docs_requirements", "hub_requirements", "onnx_requirements")
header = """# The versions the tests run with, for every supported Python. Written by `make constraints`.
# Install through them: pip install -c constraints.txt .
# torch has no local suffix: your index decides between its builds for CPU and CUDA.
"""
# settings of one machine, which must not change the file
local = ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_TORCH_BACKEND", "UV_CONSTRAINT", "VIRTUAL_ENV")


def settings():
    "The section of settings.ini."
    config = ConfigParser(delimiters=["="])
    config.read(root / "settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def requirements() -> str:  # one per line
    "The requirements for running, testing, the documentation and the extras."
    lines = (requirement for group in groups for requirement in settings()[group].split())
    return "\n".join(lines)


def resolve(
    *options: str,  # of `uv pip compile`
    **kwargs,  # passed to subprocess.run
) -> subprocess.CompletedProcess:  # with the output as text
    "Resolve all requirements with uv."
    env = {name: value for name, value in uv_environ(sys.executable).items() if name not in local}
    # build sdists with this Python; otherwise uv looks for an interpreter of each version
    uv = [sys.executable, "-m", "uv", "pip", "compile", "--python", sys.executable]
    command = [*uv, "--quiet", "--no-config", "--no-header", "--no-annotate", "-", *options]
    return subprocess.run(command, input=requirements(), env=env, stdout=subprocess.PIPE, text=True, **kwargs)


def resolved(
    preferred: Path,  # a constraints file whose versions are kept where possible
    upgrade: bool = False,  # use the newest versions instead
) -> str:  # the text of constraints.txt
    "Resolve for all supported Pythons, from the oldest up, and for all platforms."
    oldest = settings()["python_versions"].split()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "constraints.txt"
        path.write_bytes(preferred.read_bytes())
        options = ["--universal", "--python-version", oldest, "--output-file", str(path)]
        if upgrade:
            options.append("--upgrade")
        resolve(*options, check=True)
        return header + path.read_text(encoding="utf-8")


def main(
    args: list[str],  # `--upgrade` or nothing
):
    "Write constraints.txt."
    text = resolved(constraints, upgrade="--upgrade" in args)
    atomic_write(constraints, text)
    n_versions = len(text.splitlines()) - len(header.splitlines())
    print(f"{constraints.name}: {n_versions} versions")


if __name__ == "__main__":
    main(sys.argv[1:])
