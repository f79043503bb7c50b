"""Run `charrnn` as a process, for tests."""

import os
import subprocess
import sys
from pathlib import Path

CHARRNN = str(Path(sys.executable).with_name("charrnn"))
# lesson 6's windows, which train fast
WINDOWS = ["--arch", "rnn", "--target", "next"]


def charrnn(*args, env=None, **kwargs):
    "Run a command to its end, whatever its exit code."
    command = [CHARRNN, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | (env or {}), **kwargs)


def run(*args, **kwargs):
    "Run a command that must succeed."
    done = charrnn(*args, **kwargs)
    assert done.returncode == 0, done.stderr
    return done
