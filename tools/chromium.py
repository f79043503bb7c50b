"""Find Chromium, start it, and in CI install it where it is missing.

    python tools/chromium.py            print the path of the browser that the tests use
    python tools/chromium.py --install  install one if there is none; succeeds even if that is impossible

`make test` calls the second form under CI. Without a browser the tests marked `browser` are skipped.
"""

import os
import shutil
import sys
from pathlib import Path

from installers import attempt

# what systems call it: Debian, Ubuntu, Fedora; Chrome works too
names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# how to get one, for messages
advice = "apt install chromium, or: python -m playwright install chromium"
missing = f"no Chromium is installed: {advice}"
# pages of tests are on this computer, so no other name has an address
local_only = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
# seconds that one way to install may take
install_timeout = 120


def find_chromium(
    playwright,  # a started `sync_playwright`
) -> str | None:  # path of a browser
    "The system's Chromium or Chrome, else the one that Playwright installed."
    found = next(filter(None, map(shutil.which, names)), None)
    bundled = playwright.chromium.executable_path
    return found or (bundled if Path(bundled).exists() else None)


def has_chromium() -> bool:
    "Whether there is a browser to start."
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return find_chromium(playwright) is not None


def launch(
    playwright,  # a started `sync_playwright`
    path: str,  # of the browser
):  # -> playwright's Browser, headless
    "Start the browser. Root has no sandbox in Chromium, and neither have some containers."
    from playwright.sync_api import Error

    options = dict(executable_path=path, args=[local_only])
    if os.geteuid() == 0:
        return playwright.chromium.launch(**options, chromium_sandbox=False)
    try:
        return playwright.chromium.launch(**options, chromium_sandbox=True)
    except Error as error:
        if "sandbox" not in str(error):
            raise
    return playwright.chromium.launch(**options, chromium_sandbox=False)


def ways_to_install() -> list[list[str]]:
    "Commands that may install a browser here, the usual one first. Only root may install with apt."
    with_apt = bool(shutil.which("apt-get")) and os.geteuid() == 0
    by_playwright = [sys.executable, "-m", "playwright", "install", "chromium-headless-shell"]
    if not with_apt:
        return [by_playwright]
    quick = "-qq -o Acquire::http::Timeout=10 -o Acquire::Retries=0"
    apt = f"apt-get {quick} update && apt-get {quick} install --no-install-recommends chromium"
    return [["sh", "-c", apt], [*by_playwright, "--with-deps"]]


def install():
    "Try the ways to install a browser and print how it ended. Tests are skipped without one, so nothing is raised."
    for command in ways_to_install():
        reason = attempt(command, seconds=install_timeout)
        if reason is None:
            return
        print(f"chromium: {' '.join(command[-4:])}: {reason}", flush=True)


def main(
    arguments: list[str],  # `--install` or nothing
) -> int:  # exit code
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        if "--install" in arguments and not find_chromium(playwright):
            install()
        path = find_chromium(playwright)
    print(f"chromium: {path or missing}")
    return 0 if path or "--install" in arguments else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
