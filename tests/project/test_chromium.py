"""The browser of the tests: where it is missing and cannot be installed, `make test` continues and says so."""

import os
import subprocess
import sys

import pytest
from layout import root


@pytest.mark.slow
def test_without_a_browser_and_a_network_the_installation_says_so_and_succeeds(tmp_path):
    env = os.environ | dict(PATH="/nowhere", PLAYWRIGHT_BROWSERS_PATH=str(tmp_path), HTTPS_PROXY="http://127.0.0.1:9")
    command = [sys.executable, str(root / "tools/chromium.py")]
    tried = subprocess.run([*command, "--install"], env=env, capture_output=True, text=True)
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.splitlines()[-1].startswith("chromium: no Chromium is installed: apt install chromium")
    assert "chromium-headless-shell: Error: " in tried.stdout
    assert subprocess.run(command, env=env, capture_output=True, text=True).returncode == 1
