"""Make a release: `python tools/release.py 1.2.3`, or `make release VERSION=1.2.3`.

Sets the version in the package and in settings.ini, replaces the changelog's heading "Unreleased" by the version,
builds and checks sdist and wheel in dist/, then commits and tags. Nothing is uploaded: the commands that publish are
printed. If a step before the commit fails, the files are restored.
"""

import re
import subprocess
import sys
from pathlib import Path

from check_dist import build, check_contents
from constraints import root

package = root / "fastai_charrnn/__init__.py"
config = root / "settings.ini"
changelog = root / "CHANGELOG.md"


def git(*args) -> str:  # its output
    "Run git in the project."
    return subprocess.run(["git", *args], cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def as_numbers(version: str) -> tuple:
    "A version as numbers, to compare."
    return tuple(int(number) for number in version.split("."))


def current() -> str:
    "The version of the package."
    return re.search(r'__version__ = "(.+)"', package.read_text(encoding="utf-8"))[1]


def check(
    version: str,  # of the new release
):
    "Exit with a message if the release cannot be made."
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        sys.exit(f"release: give the version as three numbers, for instance VERSION=0.2.0, got {version!r}")
    if as_numbers(version) <= as_numbers(current()):
        sys.exit(f"release: the version must be greater than the current one, {current()}, got {version}")
    if git("status", "--porcelain"):
        sys.exit("release: there are uncommitted changes; commit or remove them first")
    if git("tag", "--list", f"v{version}"):
        sys.exit(f"release: the tag v{version} exists; choose another version")
    if not re.search(r"^## Unreleased\n+[^#\n]", changelog.read_text(encoding="utf-8"), re.M):
        sys.exit('release: CHANGELOG.md needs a section "## Unreleased" that describes the changes')


def replace(
    path: Path,  # the file to change
    pattern: str,  # must be found
    replacement: str,  # for the first match
):
    "Replace the first match in a file."
    text, n_found = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), count=1, flags=re.M)
    assert n_found == 1, f"{path.name} does not contain {pattern}"
    path.write_text(text, encoding="utf-8")


def set_version(
    version: str,  # the new one
):
    "Write the version to all files that contain it."
    replace(package, r'^__version__ = ".*"', f'__version__ = "{version}"')
    replace(config, r"^version = .*", f"version = {version}")
    replace(changelog, r"^## Unreleased$", f"## {version}")


def release(
    version: str,  # the new one
) -> tuple[Path, Path]:  # sdist and wheel
    "Set the version, build, check, commit and tag."
    changed = [str(path) for path in (package, config, changelog)]
    try:
        set_version(version)
        sdist, wheel = build(root / "dist" / version)
        check_contents(sdist, wheel)
    except BaseException:
        git("checkout", "--", *changed)
        raise
    git("commit", "--quiet", "--message", f"Release {version}", *changed)
    git("tag", "--annotate", f"v{version}", "--message", f"fastai_charrnn {version}")
    return sdist, wheel


def main(
    args: list[str],  # the version
):
    "Make a release and print how to publish it."
    version = args[0] if len(args) == 1 else ""
    check(version)
    sdist, wheel = release(version)
    folder = sdist.parent.relative_to(root)
    print(f"""Committed and tagged v{version}; {sdist.name} and {wheel.name} are in {folder}.
To publish:
  git push --follow-tags
  {sys.executable} -m twine upload {sdist.relative_to(root)} {wheel.relative_to(root)}
To undo:
  git tag --delete v{version} && git reset --hard HEAD~1""")


if __name__ == "__main__":
    main(sys.argv[1:])
