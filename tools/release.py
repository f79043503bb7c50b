"""Make a release: `python tools/release.py 1.2.3`, which is `make release VERSION=1.2.3`.

Sets the version in the package and in settings.ini, gives the changelog's section "Unreleased" its number, builds and
checks sdist and wheel in dist/, then commits and tags. Nothing is uploaded: the commands that publish are printed.
If anything fails before the commit, the files are put back.
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


def number(version: str) -> tuple:
    return tuple(int(o) for o in version.split("."))


def current() -> str:  # the version
    "The package's version."
    return re.search(r'__version__ = "(.+)"', package.read_text(encoding="utf-8"))[1]


def check(
    version: str,  # of the release to come
):
    "Stop with a sentence if the release cannot be made."
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        sys.exit(f"release: give the version as three numbers, for instance VERSION=0.2.0, got {version!r}")
    if number(version) <= number(current()):
        sys.exit(f"release: the version must be greater than the present one, {current()}, got {version}")
    if git("status", "--porcelain"):
        sys.exit("release: there are uncommitted changes; commit or remove them first")
    if git("tag", "--list", f"v{version}"):
        sys.exit(f"release: the tag v{version} exists")
    if not re.search(r"^## Unreleased\n+[^#\n]", changelog.read_text(encoding="utf-8"), re.M):
        sys.exit('release: CHANGELOG.md needs a section "## Unreleased" that says what is new')


def replace(
    path: Path,  # of the file to change
    old: str,  # pattern that must be found
    new: str,  # its replacement
):
    "Replace the first match in the file."
    text, found = re.subn(old, new, path.read_text(encoding="utf-8"), count=1, flags=re.M)
    assert found == 1, f"{path.name} has no {old}"
    path.write_text(text, encoding="utf-8")


def set_version(
    version: str,  # new
):
    "Write the version wherever it is kept."
    replace(package, r'^__version__ = ".*"', f'__version__ = "{version}"')
    replace(config, r"^version = .*", f"version = {version}")
    replace(changelog, r"^## Unreleased$", f"## {version}")


def release(
    version: str,  # new
) -> tuple[Path, Path]:  # sdist and wheel
    "Set the version, build, check, commit and tag."
    changed = [package, config, changelog]
    try:
        set_version(version)
        files = build(root / "dist" / version)
        check_contents(*files)
    except BaseException:
        git("checkout", "--", *(str(o) for o in changed))
        raise
    git("commit", "--quiet", "--message", f"Release {version}", *(str(o) for o in changed))
    git("tag", "--annotate", f"v{version}", "--message", f"fastai_charrnn {version}")
    return files


def main(
    args: list[str],  # the version
):
    "Make a release and say how to publish it."
    check(args[0] if len(args) == 1 else "")
    sdist, wheel = release(args[0])
    print(f"""Committed and tagged v{args[0]}; {sdist.name} and {wheel.name} are in {sdist.parent.relative_to(root)}.
To publish:
  git push --follow-tags
  {sys.executable} -m twine upload {sdist.relative_to(root)} {wheel.relative_to(root)}
To undo:
  git tag --delete v{args[0]} && git reset --hard HEAD~1""")


if __name__ == "__main__":
    main(sys.argv[1:])
