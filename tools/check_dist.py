"""Build sdist and wheel, check their contents, then install the wheel into empty environments and use it there.

    python tools/check_dist.py             with the versions of constraints.txt, then with the lowest of settings.ini
                                           except for torch, whose old releases include gigabytes of CUDA
    python tools/check_dist.py --unpinned  with the newest, then with the lowest versions, including torch

Each environment is new and does not have the checkout on its path, so a file that the wheel lacks is an error.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

from constraints import constraints, root, settings
from installers import uv_environ

# a program that uses an installed wheel; its argument is the checkout
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
for name in list_pretrained():
    load_pretrained(name).to_page(f"{name}.html")
"""
environ = {name: value for name, value in uv_environ(sys.executable).items() if name != "PYTHONPATH"}
uv = (sys.executable, "-m", "uv")
# files of the sdist besides the package
sdist_files = {"tests/conftest.py", "tests/oracles.py", "tools/check_dist.py", "constraints.txt", "nbs/index.ipynb"}


def run(
    *command,  # words of any type
    **kwargs,  # passed to subprocess.run
):
    "Run a command that must succeed."
    return subprocess.run([str(word) for word in command], check=True, **kwargs)


def build(
    out: Path,  # folder for the two files
) -> tuple[Path, Path]:  # sdist and wheel
    "Build the sdist, and the wheel from the sdist, and check their metadata with twine."
    command = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", out, root]
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(done.stdout)
    [sdist] = out.glob("*.tar.gz")
    [wheel] = out.glob("*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    return sdist, wheel


def check_contents(
    sdist: Path,  # must contain all sources
    wheel: Path,  # must contain only the package
):
    "Check the files in sdist and wheel, and that the description has no relative links."
    check_wheel(wheel)
    with tarfile.open(sdist) as tar:
        # without the folder that contains everything
        names = {name.partition("/")[2] for name in tar.getnames()}
    missing = (sdist_files | package_files()) - names
    assert not missing, f"{sdist.name} lacks {sorted(missing)}; see MANIFEST.in"


def package_files() -> set[str]:  # paths relative to the checkout
    "The files of the package: modules, parts of the page, pretrained models."
    package = root / "fastai_charrnn"
    files = [
        package / "py.typed",
        *package.rglob("*.py"),
        *package.glob("page/assets/*"),
        *package.glob("share/pretrained/*"),
    ]
    return {path.relative_to(root).as_posix() for path in files if path.is_file()}


def check_wheel(
    wheel: Path,  # to check
):
    "The wheel contains all files of the package and no others."
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata_name] = [name for name in names if name.endswith(".dist-info/METADATA")]
        description = archive.read(metadata_name).decode()
    difference = {name for name in names if ".dist-info/" not in name} ^ package_files()
    assert not difference, f"{wheel.name} and the package differ in {sorted(difference)}; see setup.py"
    prose = "".join(description.split("```")[::2])
    extras = set(re.findall("^Provides-Extra: (.+)$", description, re.M))
    assert extras == {"dev", "docs", "hub", "onnx"}, f"{wheel.name} has the extras {sorted(extras)}; see setup.py"
    relative_links = re.findall(r'\]\((?!https://|#)[^)]*|src="(?!https://)[^"]*', prose)
    assert not relative_links, relative_links


def lowest() -> list[str]:  # requirements that allow one version each
    "The requirements at their lowest versions."
    return [re.sub(r">=([\w.]+).*", r"==\1", requirement) for requirement in settings()["requirements"].split()]


def lowest_constraints(
    out: Path,  # file to write
):
    "Resolve our lowest versions and the tested torch. Of what they require, the tested versions are preferred."
    tested = constraints.read_text(encoding="utf-8").splitlines()
    torch = [line for line in tested if name_of(line) == "torch"]
    low = [requirement for requirement in lowest() if name_of(requirement) != "torch"]
    out.write_text("\n".join(tested), encoding="utf-8")
    command = [*uv, "pip", "compile", "--quiet", "--python", sys.executable, "--no-header", "--no-annotate"]
    requirements = "\n".join(low + torch)
    options = dict(env=environ, text=True, stdout=subprocess.DEVNULL)
    run(*command, "--output-file", out, "-", input=requirements, **options)


def name_of(requirement: str) -> str:
    "The package of a requirement."
    return re.split("[<>=]", requirement)[0]


def try_wheel(
    wheel: Path,  # to install
    env: Path,  # folder for the environment
    options: list,  # of `uv pip install`
):
    "Install the wheel into a new environment, then train, save, load, generate and write pages."
    run(*uv, "venv", "--quiet", "--python", sys.executable, env)
    run(*uv, "pip", "install", "--quiet", "--python", env / "bin/python", wheel, *options, env=environ)
    run(env / "bin/python", "-c", trial, root, cwd=env, env=environ)
    quiet = dict(cwd=env, env=environ, stdout=subprocess.DEVNULL)
    run(env / "bin/charrnn", "info", "trial", **quiet)
    try_pretrained(env)
    run(env / "bin/python", "-m", "fastai_charrnn", "--version", **quiet)
    print(f"{wheel.name} trains, saves, loads and generates in an empty environment: {installed(env)}")


def try_pretrained(
    env: Path,  # folder of an environment with the wheel
):
    "Generate with each pretrained model of the wheel, without network, and print the time."
    for name in ("nietzsche", "python"):
        began = time.monotonic()
        options = ["--prompt", "The ", "-n", 200, "--seed", 1]
        done = run(env / "bin/charrnn", "generate", name, *options, cwd=env, env=environ, stdout=subprocess.PIPE)
        text = done.stdout.decode()
        assert text.startswith("The ") and len(text) == len("The ") + 200 + len("\n"), text
        print(f"charrnn generate {name}: 200 characters in {time.monotonic() - began:.1f} s")


def installed(
    env: Path,  # folder of an environment
) -> str:
    "The installed versions of our requirements."
    show = "print(*(f'{o} {version(o)}' for o in sys.argv[1:]), sep=', ')"
    code = f"import sys; from importlib.metadata import version; {show}"
    names = [name_of(requirement) for requirement in settings()["requirements"].split()]
    return run(env / "bin/python", "-c", code, *names, stdout=subprocess.PIPE, text=True).stdout.strip()


def try_pinned(
    wheel: Path,  # to install
    folder: Path,  # for the environments
):
    "Use the tested versions, then the lowest, except for torch."
    try_wheel(wheel, folder / "tested", ["--constraint", constraints])
    lowest_constraints(folder / "lowest.txt")
    try_wheel(wheel, folder / "lowest", ["--constraint", folder / "lowest.txt"])


def try_unpinned(
    wheel: Path,  # to install
    folder: Path,  # for the environments
):
    "Use the newest versions of the index, then the lowest of our requirements."
    try_wheel(wheel, folder / "newest", [])
    try_wheel(wheel, folder / "lowest", lowest())


def main(
    args: list[str],  # `--unpinned` or nothing
):
    "Build, check, install, use."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist, wheel = build(folder / "dist")
        check_contents(sdist, wheel)
        sizes = [f"{path.name} ({path.stat().st_size / 1e6:.1f} MB)" for path in (sdist, wheel)]
        print(f"{' and '.join(sizes)} build")
        if "--unpinned" in args:
            try_unpinned(wheel, folder)
        else:
            try_pinned(wheel, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
