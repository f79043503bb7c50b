"""Create `.venv` and install the project in it, with the versions of constraints.txt.

    python tools/setup_env.py           what running needs
    python tools/setup_env.py dev       also what testing needs; likewise docs
    python tools/setup_env.py --venv FOLDER dev     in another folder than .venv

Installs with uv if it is on PATH or can be installed, else with pip. `INSTALLER=pip` always uses pip.
Written in the syntax of Python 3.6, so that an old Python prints a clear message too. The Python version, the venv
module and the package index are checked first, within a minute.
"""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

from installers import SetupError, attempt, install, root, uv_environ


def supported():
    "The supported Python versions of settings.ini, as pairs of numbers."
    config = configparser.ConfigParser(delimiters=["="])
    config.read(str(root / "settings.ini"), encoding="utf-8")
    versions = config["DEFAULT"]["python_versions"].split()
    return [tuple(int(number) for number in version.split(".")) for version in versions]


def version_of(
    python,  # path of an interpreter
    needs=None,  # a module it must have
):
    "The version of an interpreter as a pair of numbers. None if it does not start or lacks the module."
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    if needs:
        code = "import " + needs + "; " + code
    try:
        output = subprocess.check_output([str(python), "-c", code], stderr=subprocess.DEVNULL, universal_newlines=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(int(number) for number in output.strip().split("."))


def suggestion(versions):
    "What to do without a supported Python: use the newest one on PATH, or install one."
    for version in reversed(versions):
        python = shutil.which("python%d.%d" % version)
        if python and version_of(python) == version:
            return "Run make with a supported one: make PYTHON=%s" % python
    return "Install a supported one and run: make PYTHON=/path/to/python"


def check_python(
    version,  # of an interpreter, as a pair
    name,  # of the interpreter, for the message
):
    "Raise `SetupError` if the version is not supported."
    versions = supported()
    if version in versions:
        return
    limits = "Python %d.%d to %d.%d" % (*versions[0], *versions[-1])
    found = "%s is Python %d.%d" % (name, *version)
    raise SetupError("fastai_charrnn needs %s, %s. %s" % (limits, found, suggestion(versions)))


def make_venv(
    folder,  # of the environment; kept if its Python works
):
    "Create the environment and return its interpreter. An incomplete one, without pip, is replaced."
    python = folder / "bin" / "python"
    version = version_of(python, needs="pip")
    if version:
        check_python(version, str(folder))
        return python
    check_python(sys.version_info[:2], sys.executable)
    if has_venv():
        error = attempt([sys.executable, "-m", "venv", "--clear", folder])
    else:
        error = attempt([*uv_for_venv(), folder], uv_environ(None))
    if error:
        raise SetupError("%s cannot create an environment: %s" % (sys.executable, error))
    return python


def has_venv():
    "Whether venv works. On Debian it needs the package python3-venv, which contains ensurepip."
    try:
        import venv  # noqa: F401
        from ensurepip import version  # noqa: F401
    except ImportError:
        return False
    return True


def uv_for_venv():
    "The command of a uv on PATH that creates an environment, for a Python without venv."
    uv = shutil.which("uv")
    if uv:
        return [uv, "venv", "--quiet", "--clear", "--seed", "--python", sys.executable]
    raise SetupError(
        "%s cannot create environments: its venv or ensurepip module is missing. On Debian and Ubuntu run "
        "`apt install python%d.%d-venv`; elsewhere install uv, or run make PYTHON=/path/to/another/python"
        % (sys.executable, *sys.version_info[:2])
    )


def main(
    extras,  # dev, docs or nothing, after --venv FOLDER or nothing
):
    "Check, create the environment, install."
    folder = root / ".venv"
    if extras[:1] == ["--venv"]:
        folder = Path(extras[1])
        extras = extras[2:]
    python = make_venv(folder)
    project = str(root) + ("[%s]" % ",".join(extras) if extras else "")
    install(python, project)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SetupError as error:
        sys.exit("setup: %s" % error)
