"""Make `.venv` and install the project in it, in the tested versions of constraints.txt.

    python tools/setup_env.py           what running needs
    python tools/setup_env.py dev       and what testing needs; likewise docs

Installs with uv if it is on PATH or can be installed, else with pip. `INSTALLER=pip` takes pip in any case.
The syntax is that of Python 3.6, so that an old Python gets a clear message too. What can fail is checked first and
within a minute: the Python version, the venv module, the package index.
"""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
constraints = root / "constraints.txt"
# a small package, asked for to see whether there is an index
probe = "fastcore"
# seconds that the index may take to answer
limit = 25
# pip's options and the variables of uv for the same
uv_names = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
}
# what pip and uv say of an index that does not answer
unreachable = "connection refused|timed out|certificate verify failed|name or service not known|dns error"


class SetupError(Exception):
    "The setup cannot succeed. The message says why and what to do."


def supported():
    "The supported Python versions: those of settings.ini, as pairs of numbers."
    cfg = configparser.ConfigParser(delimiters=["="])
    cfg.read(str(root / "settings.ini"), encoding="utf-8")
    return [tuple(int(o) for o in v.split(".")) for v in cfg["DEFAULT"]["python_versions"].split()]


def version_of(
    python,  # path of an interpreter
    needs=None,  # a module it must have
):
    "Its version as a pair of numbers; None if it does not start or lacks the module."
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    if needs:
        code = "import " + needs + "; " + code
    try:
        out = subprocess.check_output([str(python), "-c", code], stderr=subprocess.DEVNULL, universal_newlines=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(int(o) for o in out.strip().split("."))


def suggestion(versions):
    "What to do without a supported Python: name one that is on the path, newest first, or install one."
    for v in reversed(versions):
        found = shutil.which("python%d.%d" % v)
        if found and version_of(found) == v:
            return "Run make with a supported one: make PYTHON=%s" % found
    return "Install a supported one and run: make PYTHON=/path/to/python"


def check_python(
    version,  # of the interpreter in question, as a pair
    name,  # how to call it in the message
):
    "Raise `SetupError` if the version is unsupported."
    versions = supported()
    if version in versions:
        return
    text = (*versions[0], *versions[-1], name, *version, suggestion(versions))
    raise SetupError("fastai_charrnn needs Python %d.%d to %d.%d, %s is Python %d.%d. %s" % text)


def make_venv(
    folder,  # for the environment; kept if its Python works
):
    "Make the environment and return its interpreter. One that has no pip was left half made: it is made anew."
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
        raise SetupError("%s cannot make an environment: %s" % (sys.executable, error))
    return python


def has_venv():
    "Debian's python3 lacks ensurepip, which venv needs, until python3-venv is installed."
    try:
        import venv  # noqa: F401
        from ensurepip import version  # noqa: F401
    except ImportError:
        return False
    return True


def uv_for_venv():
    "The command of a uv on PATH that makes an environment in place of the missing module."
    uv = shutil.which("uv")
    if uv:
        return [uv, "venv", "--quiet", "--clear", "--seed", "--python", sys.executable]
    raise SetupError(
        "%s cannot make environments: its venv or ensurepip module is missing. On Debian and Ubuntu run "
        "`apt install python%d.%d-venv`; elsewhere install uv, or run make PYTHON=/path/to/another/python"
        % (sys.executable, *sys.version_info[:2])
    )


def attempt(
    cmd,  # a command that may fail
    env=None,  # its environment
    seconds=None,  # how long it may take
):
    "Run the command. None if it succeeded in time, else what went wrong."
    output = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    try:
        done = subprocess.run([str(c) for c in cmd], timeout=seconds, env=env, **output)
    except subprocess.TimeoutExpired:
        return "no answer within %d seconds" % seconds
    if done.returncode == 0:
        return None
    known = re.search(unreachable, done.stdout, re.I)
    if known:
        return known.group().lower()
    lines = [o.strip() for o in done.stdout.splitlines() if o.strip()]
    errors = [o for o in lines if re.match("error|cause", o, re.I)]
    return (errors or lines or ["exit code %d" % done.returncode])[-1][:200]


def pip(python, *args):
    "A command of the environment's pip."
    return [python, "-m", "pip", *args, "--disable-pip-version-check"]


def pip_settings(python):
    "What pip's files and environment set, by option: uv does not read them."
    cmd = [str(python), "-m", "pip", "config", "list"]
    out = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True).stdout
    # the environment comes last: it wins
    lines = sorted(out.splitlines(), key=lambda o: o.startswith(":env:"))
    found = [re.match(r"(?:global|install|:env:)\.([\w-]+)=(.+)", o) for o in lines]
    return {m.group(1): ast.literal_eval(m.group(2)).split() for m in found if m}


def uv_environ(
    python,  # whose pip is asked for its settings; None: none is
):
    "The environment for uv: where pip is told an index, links or a certificate and uv is not, uv is told the same."
    env = dict(os.environ)
    env.pop("VIRTUAL_ENV", None)
    for key, values in (pip_settings(python) if python else {}).items():
        # an index of pip that is a folder which is not there: pip warns, uv fails
        values = [v for v in values if not v.startswith("file://") or os.path.exists(v[len("file://") :])]
        if key in uv_names and values:
            env.setdefault(uv_names[key], ("," if key == "find-links" else " ").join(values))
    # among several indexes pip takes the best version
    if "UV_INDEX" in env:
        env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return env


def check_index(cmd, env):
    "Ask the index for one small package; raise `SetupError` if that fails."
    error = attempt(cmd, env, limit)
    if error:
        raise SetupError(
            "no package index can be reached (%s). Check the network and the proxy, or name an index "
            "you can reach (PIP_INDEX_URL for pip, UV_DEFAULT_INDEX for uv), and run make again" % error
        )


def check_pip_index(python):
    "See whether pip reaches an index."
    options = ["--dry-run", "--no-deps", "--ignore-installed", "--retries", "1", "--timeout", "8"]
    check_index(pip(python, "install", *options, probe), None)


def find_uv(python):
    "The uv on PATH or in the environment, installed there if need be; None where pip must do."
    if os.environ.get("INSTALLER") == "pip":
        return None
    uv = shutil.which("uv") or str(python.with_name("uv"))
    if os.path.exists(uv):
        return uv
    check_pip_index(python)
    error = attempt(pip(python, "install", "--quiet", "--constraint", constraints, "uv"), seconds=120)
    return None if error else uv


def install(python, what):
    "Install the project, editable, with uv or pip."
    uv = find_uv(python)
    if uv:
        install_by_uv(uv, python, what)
    else:
        install_by_pip(python, what)


def announce(installer):
    print("Installing with %s. PyTorch is a download of .2 to 3 GB." % installer, flush=True)


def install_by_uv(uv, python, what):
    "uv resolves before it downloads."
    env = uv_environ(python)
    cmd = [uv, "pip", "install", "--python", str(python), "--constraint", str(constraints)]
    check = ["--quiet", "--dry-run", "--no-deps", "--reinstall-package", probe, "--refresh-package", probe, probe]
    check_index(cmd + check, dict(env, UV_HTTP_RETRIES="0", UV_HTTP_TIMEOUT="10"))
    announce("uv")
    # on a terminal uv shows bars
    options = [] if sys.stderr.isatty() else ["--quiet"]
    if subprocess.run([*cmd, *options, "--editable", what], env=env).returncode:
        raise SetupError("uv could not install the tested versions of constraints.txt; its message is above")


def install_by_pip(python, what):
    "pip is stopped as soon as it tries several versions of a package: with everything pinned, that cannot end well."
    check_pip_index(python)
    cmd = [str(c) for c in pip(python, "install", "--constraint", constraints, "--editable", what)]
    lines = []
    announce("pip")
    with subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True) as process:
        for line in process.stdout:
            lines.append(line)
            if re.match(r"\s*(Downloading|Installing collected)", line):
                print("  " + line.strip()[:100], flush=True)
            if "looking at multiple versions" in line:
                process.kill()
    if process.returncode:
        raise SetupError("pip could not install the tested versions of constraints.txt:\n" + "".join(lines[-8:]))


def main(
    extras,  # dev, docs or nothing
):
    "Check, make the environment, install."
    python = make_venv(root / ".venv")
    install(python, str(root) + ("[%s]" % ",".join(extras) if extras else ""))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SetupError as e:
        sys.exit("setup: %s" % e)
