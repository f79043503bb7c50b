"""Install packages into an environment with uv or pip, and give uv the settings of pip.

Written in the syntax of Python 3.6, because `tools/setup_env.py` imports it before the Python version is checked.
Whether a package index can be reached is checked first, because a failed installation can take many minutes.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
constraints = root / "constraints.txt"
# a small package, to check whether an index answers
probe = "fastcore"
# seconds to wait for the answer
timeout = 25
# options of pip, and the variables of uv with the same meaning
uv_names = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
}
# messages of pip and uv about an index that does not answer
unreachable = "connection refused|timed out|certificate verify failed|name or service not known|dns error"


class SetupError(Exception):
    "The setup cannot succeed. The message gives the reason and what to do."


def attempt(
    command,  # may fail
    env=None,  # its environment variables
    seconds=None,  # time limit
):
    "Run a command. Returns None if it succeeds in time, else what went wrong."
    output = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    try:
        done = subprocess.run([str(word) for word in command], timeout=seconds, env=env, **output)
    except subprocess.TimeoutExpired:
        return "no answer within %d seconds" % seconds
    if done.returncode == 0:
        return None
    return _reason(done.stdout) or "exit code %d" % done.returncode


def _reason(output):
    "The line of a failed command's output that gives the reason."
    known = re.search(unreachable, output, re.I)
    if known:
        return known.group().lower()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match("error|cause", line, re.I)]
    return (errors or lines or [""])[-1][:200]


def pip(python, *args):
    "A command of the environment's pip."
    return [python, "-m", "pip", *args, "--disable-pip-version-check"]


def pip_settings(python):
    "What pip's configuration files and environment variables set, by option. uv does not read them."
    command = [str(python), "-m", "pip", "config", "list"]
    output = dict(stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    lines = subprocess.run(command, **output).stdout.splitlines()
    # environment variables override files, so they come last
    lines.sort(key=lambda line: line.startswith(":env:"))
    found = [re.match(r"(?:global|install|:env:)\.([\w-]+)=(.+)", line) for line in lines]
    return {match.group(1): ast.literal_eval(match.group(2)).split() for match in found if match}


def uv_environ(
    python,  # the interpreter whose pip has settings; None: use no settings of pip
):
    "Environment variables for uv. An index, links or a certificate that only pip has are passed to uv."
    env = dict(os.environ)
    env.pop("VIRTUAL_ENV", None)
    settings = pip_settings(python) if python else {}
    for option, values in settings.items():
        values = [value for value in values if not _is_missing_folder(value)]
        if option in uv_names and values:
            separator = "," if option == "find-links" else " "
            env.setdefault(uv_names[option], separator.join(values))
    # pip takes the best version of all indexes
    if "UV_INDEX" in env:
        env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return env


def _is_missing_folder(index):
    "pip only warns about an index that is a missing folder. uv fails."
    prefix = "file://"
    return index.startswith(prefix) and not os.path.exists(index[len(prefix) :])


def check_index(command, env):
    "Ask the index for one small package. Raises `SetupError` if that fails."
    error = attempt(command, env, timeout)
    if error:
        raise SetupError(
            "no package index can be reached (%s). Check the network and the proxy, or name an index "
            "you can reach (PIP_INDEX_URL for pip, UV_DEFAULT_INDEX for uv), and run make again" % error
        )


def check_pip_index(python):
    "Raise `SetupError` if pip reaches no index."
    options = ["--dry-run", "--no-deps", "--ignore-installed", "--retries", "1", "--timeout", "8"]
    check_index(pip(python, "install", *options, probe), None)


def find_uv(python):
    "The uv on PATH or in the environment, installed there if necessary. None: use pip."
    if os.environ.get("INSTALLER") == "pip":
        return None
    uv = shutil.which("uv") or str(python.with_name("uv"))
    if os.path.exists(uv):
        return uv
    check_pip_index(python)
    error = attempt(pip(python, "install", "--quiet", "--constraint", constraints, "uv"), seconds=120)
    return None if error else uv


def install(python, project):
    "Install the project in editable mode with uv or pip."
    uv = find_uv(python)
    if uv:
        install_with_uv(uv, python, project)
    else:
        install_with_pip(python, project)


def announce(installer):
    print("Installing with %s. PyTorch is a download of 0.2 to 3 GB." % installer, flush=True)


def install_with_uv(uv, python, project):
    "Install with uv, which resolves all versions before it downloads."
    env = uv_environ(python)
    command = [uv, "pip", "install", "--python", str(python), "--constraint", str(constraints)]
    check = ["--quiet", "--dry-run", "--no-deps", "--reinstall-package", probe, "--refresh-package", probe, probe]
    check_index(command + check, dict(env, UV_HTTP_RETRIES="0", UV_HTTP_TIMEOUT="10"))
    announce("uv")
    # uv shows progress bars on a terminal
    options = [] if sys.stderr.isatty() else ["--quiet"]
    if subprocess.run([*command, *options, "--editable", project], env=env).returncode:
        raise SetupError("uv could not install the versions of constraints.txt; its message is above")


def install_with_pip(python, project):
    "Install with pip. Stop pip if it tries several versions of a package, because all versions are fixed."
    check_pip_index(python)
    command = [str(word) for word in pip(python, "install", "--constraint", constraints, "--editable", project)]
    lines = []
    announce("pip")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
    ) as process:
        for line in process.stdout:
            lines.append(line)
            if re.match(r"\s*(Downloading|Installing collected)", line):
                print("  " + line.strip()[:100], flush=True)
            if "looking at multiple versions" in line:
                process.kill()
    if process.returncode:
        raise SetupError("pip could not install the versions of constraints.txt:\n" + "".join(lines[-8:]))
