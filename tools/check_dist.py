"""Build sdist and wheel, look inside, then install the wheel into empty environments and use it there.

Tried are the versions of constraints.txt, and the lowest that settings.ini allows, but for torch: its old releases come
with CUDA, gigabytes of it. `--unpinned` tries the newest and the lowest versions of everything instead, torch included.
An environment is new and the clone is not on its path: what the wheel forgot cannot be found.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from constraints import constraints, root, settings
from setup_env import uv_environ

trial = """
import fastai_charrnn, sys
from fastai_charrnn.all import *
assert not fastai_charrnn.__file__.startswith(sys.argv[1]), fastai_charrnn.__file__
text = human_numbers()[:5000]
learn = char_learner(CharDataLoaders.from_text(text, bs=64, valid="tail"), seed=0)
with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-2)
path = save_model(learn, "trial")
again = load_model(path)
assert again.predict_next("one ", n=20) == learn.predict_next("one ", n=20)
assert len(again.generate("one ", n=20, seed=0).text) == 24
"""
environ = {k: v for k, v in uv_environ(sys.executable).items() if k != "PYTHONPATH"}


# of uv, as words
uv = (sys.executable, "-m", "uv")


def run(
    *cmd,  # turned into text
    **kwargs,  # passed to subprocess.run
):
    "Run a command that must succeed."
    return subprocess.run([str(c) for c in cmd], check=True, **kwargs)


def build(
    out: Path,  # folder for the two files
) -> tuple[Path, Path]:  # sdist and wheel
    "Build both, the wheel from the sdist, and let twine check their metadata."
    cmd = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", out, root]
    done = subprocess.run(cmd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(done.stdout)
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    return sdist, wheel


def check_contents(
    sdist: Path,  # holds all sources
    wheel: Path,  # holds the package alone
):
    "The wheel holds the package alone, the sdist also the tests. The description has no relative links."
    names = zipfile.ZipFile(wheel).namelist()
    assert {"fastai_charrnn/py.typed", "fastai_charrnn/__main__.py"} <= set(names), names
    assert {n.split("/")[0] for n in names if ".dist-info/" not in n} == {"fastai_charrnn"}, names
    (metadata,) = (n for n in names if n.endswith(".dist-info/METADATA"))
    prose = "".join(zipfile.ZipFile(wheel).read(metadata).decode().split("```")[::2])
    broken = re.findall(r'\]\((?!https://|#)[^)]*|src="(?!https://)[^"]*', prose)
    assert not broken, broken
    with tarfile.open(sdist) as tar:
        inside = {n.partition("/")[2] for n in tar.getnames()}
    wanted = {"tests/conftest.py", "tests/oracles.py", "tools/check_dist.py", "constraints.txt", "nbs/index.ipynb"}
    assert wanted <= inside, wanted - inside


def lowest() -> list[str]:  # requirements that allow one version each
    "The runtime requirements at their lower bounds."
    return [re.sub(r">=([\w.]+).*", r"==\1", r) for r in settings()["requirements"].split()]


def lowest_constraints(
    out: Path,  # file to write
):
    "Resolve our lower bounds, torch as tested. Of what they require in turn the tested versions are preferred."
    lines = constraints.read_text(encoding="utf-8").splitlines()
    torch = [o for o in lines if name_of(o) == "torch"]
    low = [o for o in lowest() if name_of(o) != "torch"]
    out.write_text("\n".join(lines), encoding="utf-8")
    cmd = [*uv, "pip", "compile", "--quiet", "--python", sys.executable, "--no-header", "--no-annotate"]
    run(
        *cmd, "--output-file", out, "-", env=environ, input="\n".join(low + torch), text=True, stdout=subprocess.DEVNULL
    )


def name_of(requirement: str) -> str:
    return re.split("[<>=]", requirement)[0]


def try_wheel(
    wheel: Path,  # to install
    env: Path,  # folder for the environment
    options: list,  # of `uv pip install`
):
    "Install the wheel with `options` into a new environment, train, save, load and generate there."
    run(*uv, "venv", "--quiet", "--python", sys.executable, env)
    run(*uv, "pip", "install", "--quiet", "--python", env / "bin/python", wheel, *options, env=environ)
    run(env / "bin/python", "-c", trial, root, cwd=env, env=environ)
    run(env / "bin/charrnn", "info", "trial", cwd=env, env=environ, stdout=subprocess.DEVNULL)
    run(env / "bin/python", "-m", "fastai_charrnn", "--version", cwd=env, env=environ, stdout=subprocess.DEVNULL)
    print(f"{wheel.name} trains, saves, loads and generates in an empty environment: {what(env)}")


def what(
    env: Path,  # folder of an environment
) -> str:  # its versions of our requirements
    "Name what is installed."
    show = "print(*(f'{o} {version(o)}' for o in sys.argv[1:]), sep=', ')"
    code = f"import sys; from importlib.metadata import version; {show}"
    names = [name_of(r) for r in settings()["requirements"].split()]
    return run(env / "bin/python", "-c", code, *names, stdout=subprocess.PIPE, text=True).stdout.strip()


def try_pinned(
    wheel: Path,  # to install
    tmp: Path,  # folder for the environments
):
    "The tested versions; then the lowest, but for torch."
    try_wheel(wheel, tmp / "tested", ["--constraint", constraints])
    lowest_constraints(tmp / "lowest.txt")
    try_wheel(wheel, tmp / "lowest", ["--constraint", tmp / "lowest.txt"])


def try_unpinned(
    wheel: Path,  # to install
    tmp: Path,  # folder for the environments
):
    "Whatever the index has now, and the lowest versions of our requirements."
    try_wheel(wheel, tmp / "newest", [])
    try_wheel(wheel, tmp / "lowest", lowest())


def main(
    args: list[str],  # `--unpinned` or nothing
):
    "Build, look inside, install, use."
    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder)
        sdist, wheel = build(tmp / "dist")
        check_contents(sdist, wheel)
        print(f"{sdist.name} and {wheel.name} build")
        if "--unpinned" in args:
            try_unpinned(wheel, tmp)
        else:
            try_pinned(wheel, tmp)


if __name__ == "__main__":
    main(sys.argv[1:])
