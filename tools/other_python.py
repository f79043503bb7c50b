"""Run the fast tests on another supported Python that is installed here, in an environment of its own.

    python tools/other_python.py            the newest supported version that is not this one
    python tools/other_python.py 3.12       this version

CI runs it (`make other-python`). Without another Python it says so and succeeds.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from installers import root
from setup_env import supported, version_of


def candidates(
    version: tuple[int, int],  # such as (3, 13)
) -> list[Path]:
    "Where an interpreter of this version may be: on PATH, or among those of pyenv."
    name = "{}.{}".format(*version)
    found = shutil.which(f"python{name}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [*([Path(found)] if found else []), *sorted(pyenv.glob(f"versions/{name}*/bin/python"))]


def find_python(
    versions: list[tuple[int, int]],  # the ones to look for, the preferred one first
) -> tuple[Path, str] | None:  # an interpreter and its version, such as "3.13"
    "The first interpreter that starts and is of one of these versions."
    for version in versions:
        for python in candidates(version):
            if version_of(python, needs="venv") == version:
                return python, "{}.{}".format(*version)
    return None


def wanted(
    arguments: list[str],  # of the command line
) -> list[tuple[int, int]]:
    "The versions to look for: the one that was asked for, or all supported ones except this, the newest first."
    if arguments:
        major, minor = arguments[0].split(".")
        return [(int(major), int(minor))]
    return [version for version in reversed(supported()) if version != sys.version_info[:2]]


def run_fast_tests(
    python: Path,  # an interpreter
    name: str,  # its version
) -> int:  # exit code
    "Install the project for this interpreter in `.venv-<version>`, and run the fast tests there."
    folder = root / f".venv-{name}"
    subprocess.run([python, "tools/setup_env.py", "--venv", folder, "dev"], cwd=root, check=True)
    # what runs in a browser does not depend on the version of Python
    options = ["-n", "2", "--dist", "worksteal", "-m", "not slow and not browser"]
    tests = [folder / "bin" / "python", "-m", "pytest", *options]
    env = os.environ | dict(OMP_NUM_THREADS="1")
    return subprocess.run(tests, cwd=root, env=env).returncode


def main() -> int:  # exit code
    versions = wanted(sys.argv[1:])
    found = find_python(versions)
    if found is None:
        names = ", ".join("{}.{}".format(*version) for version in versions)
        print(f"no other Python here (looked for {names}); its tests were not run")
        return 0
    python, name = found
    print(f"the fast tests on Python {name} ({python})", flush=True)
    return run_fast_tests(python, name)


if __name__ == "__main__":
    sys.exit(main())
