"""Installation and release: requirements resolve, the setup explains its errors, a release is built and tagged."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import check_dist
import constraints
import installers
import pytest
import setup_env
from layout import root

import fastai_charrnn

# the oldest patch release, that of Debian 12, and the newer minor versions
pythons = ["3.11.0", "3.11.2", "3.12", "3.13", "3.14"]
settings = constraints.settings()
nowhere = "http://127.0.0.1:9/simple"


# versions


def test_the_supported_versions_agree():
    minors = settings["python_versions"].split()
    assert f'requires-python = ">={minors[0]}"' in (root / "pyproject.toml").read_text(encoding="utf-8")
    assert sorted({".".join(v.split(".")[:2]) for v in pythons}) == minors
    assert setup_env.supported() == [tuple(int(o) for o in v.split(".")) for v in minors]


@pytest.mark.parametrize("python", pythons)
def test_all_requirements_resolve_from_wheels_on_every_supported_python(python):
    "Requirements for running, testing and documentation together. Needs a package index."
    # docopt has no wheel, but is pure Python
    only = ["--only-binary", ":all:", "--no-binary", "docopt"]
    target = ["--python-version", python, "--python-platform", "x86_64-manylinux_2_28"]
    options = [*target, "--constraint", str(constraints.constraints)]
    done = constraints.resolve(*options, *only, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    for package in ("torch", "sphinx", "pytest"):
        assert f"{package}==" in done.stdout


def test_constraints_are_as_make_constraints_writes_them():
    assert constraints.resolved(constraints.constraints) == constraints.constraints.read_text(encoding="utf-8")


def test_constraints_name_no_index_no_folder_and_no_build():
    lines = [o for o in constraints.constraints.read_text(encoding="utf-8").splitlines() if not o.startswith("#")]
    assert [o for o in lines if not re.fullmatch(r"[\w.-]+==[\w.!]+( ; .+)?", o)] == []


def test_every_requirement_is_constrained():
    pinned = {line.split("==")[0] for line in constraints.constraints.read_text(encoding="utf-8").splitlines()}
    assert {check_dist.name_of(r).lower() for r in constraints.requirements().splitlines()} <= pinned


def test_the_lowest_versions_are_those_of_the_settings():
    low = check_dist.lowest()
    assert {"torch==2.6", "numpy==2"} <= set(low)
    assert [check_dist.name_of(r) for r in low] == [check_dist.name_of(r) for r in settings["requirements"].split()]


# the setup


def _copy_of_the_setup(folder):
    "A folder with what tools/setup_env.py needs."
    (folder / "tools").mkdir()
    for name in ("setup_env.py", "installers.py"):
        shutil.copy(root / "tools" / name, folder / "tools")
    for name in ("settings.ini", "constraints.txt"):
        shutil.copy(root / name, folder)


def _setup(folder, *args, python=sys.executable, **env):
    "Run the setup in a copy, without this machine's settings for pip and uv."
    _copy_of_the_setup(folder)
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "PYTHON"))}
    cmd = [str(python), "tools/setup_env.py", *args]
    return subprocess.run(cmd, cwd=folder, env=ours | env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", ["setup_env.py", "installers.py"])
def test_the_setup_has_the_syntax_of_an_old_python(name):
    ast.parse((root / "tools" / name).read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 6), (3, 10), (3, 15)])
def test_an_unsupported_python_is_named_with_the_supported_ones(version):
    message = r"needs Python 3\.11 to 3\.14, old is Python 3\.\d+\. .*make PYTHON="
    with pytest.raises(installers.SetupError, match=message):
        setup_env.check_python(version, "old")


def test_a_python_without_venv_is_reported_in_one_sentence(tmp_path):
    "As on Debian without python3-venv, which contains ensurepip."
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/ensurepip.py").write_text("raise ImportError('no ensurepip')")
    (tmp_path / "project").mkdir()
    done = _setup(tmp_path / "project", PYTHONPATH=str(tmp_path / "modules"), PATH="/nowhere")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "its venv or ensurepip module is missing" in done.stderr
    assert "-venv`" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_without_an_index_the_setup_gives_up_within_a_minute(installer, tmp_path):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}" if installer == "uv" else os.environ["PATH"]
    index = dict(PIP_INDEX_URL=nowhere, PIP_CONFIG_FILE=os.devnull, UV_DEFAULT_INDEX=nowhere)
    done = _setup(tmp_path, INSTALLER=installer, PATH=path, **index)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("setup: no package index can be reached (connection refused).")
    assert done.stderr.count("\n") == 1


def test_uv_gets_the_settings_of_pip(monkeypatch, tmp_path):
    for name in [o for o in os.environ if o.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path} /other")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"file://{tmp_path} file://{tmp_path}/gone")
    env = installers.uv_environ(sys.executable)
    assert env["UV_DEFAULT_INDEX"] == "http://127.0.0.1:1/simple"
    assert env["UV_FIND_LINKS"] == f"{tmp_path},/other"
    assert env["UV_INDEX"] == f"file://{tmp_path}"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:2/simple")
    assert installers.uv_environ(sys.executable)["UV_DEFAULT_INDEX"] == "http://127.0.0.1:2/simple"


# the package


def test_a_wheel_must_have_all_files_of_the_package(tmp_path):
    files = check_dist.package_files()
    assert {"fastai_charrnn/py.typed", "fastai_charrnn/models/rnn.py"} <= files
    with zipfile.ZipFile(tmp_path / "one.whl", "w") as wheel:
        for name in files - {"fastai_charrnn/models/rnn.py"}:
            wheel.write(root / name, name)
        wheel.writestr("one.dist-info/METADATA", "Nothing")
    with pytest.raises(AssertionError, match=r"differ in \['fastai_charrnn/models/rnn.py'\]"):
        check_dist.check_wheel(tmp_path / "one.whl")


def test_the_module_is_the_command():
    module = [sys.executable, "-m", "fastai_charrnn"]
    done = subprocess.run([*module, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"charrnn {fastai_charrnn.__version__}\n"
    wrong = subprocess.run([*module, "sing"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "usage: charrnn" in wrong.stderr


def _project(folder):
    "Copy the tracked files into a new repository, whose changelog has a section for unreleased changes."
    names = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, folder / name)
    log = folder / "CHANGELOG.md"
    text = log.read_text(encoding="utf-8")
    if "## Unreleased" not in text:
        log.write_text(text.replace("\n## ", "\n## Unreleased\n\n- Something.\n\n## ", 1), encoding="utf-8")
    for args in (["init"], ["add", "."], ["commit", "--message", "all"]):
        _git(folder, *args)
    return folder


def _git(folder, *args):
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *who, *args], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_nbdev_export_changes_nothing(tmp_path):
    "No notebook exports code, and nbdev keeps its hands off the package."
    project = _project(tmp_path)
    env = {name: value for name, value in os.environ.items() if name != "IN_TEST"}
    command = [sys.executable, "-c", "from nbdev.doclinks import nbdev_export; nbdev_export()"]
    subprocess.run(command, cwd=project, env=env, check=True)
    assert _git(project, "status", "--porcelain") == ""


def _release(project, version):
    email = "test@example.org"
    who = dict(GIT_AUTHOR_NAME="Test", GIT_AUTHOR_EMAIL=email, GIT_COMMITTER_NAME="Test", GIT_COMMITTER_EMAIL=email)
    cmd = [sys.executable, "tools/release.py", version]
    return subprocess.run(cmd, cwd=project, env=os.environ | who, capture_output=True, text=True)


@pytest.mark.slow
def test_a_release_is_built_checked_committed_and_tagged(tmp_path):
    project = _project(tmp_path)
    done = _release(project, "99.1.0")
    assert done.returncode == 0, done.stderr
    assert (project / "dist/99.1.0/fastai_charrnn-99.1.0-py3-none-any.whl").exists()
    assert (project / "dist/99.1.0/fastai_charrnn-99.1.0.tar.gz").exists()
    assert "twine upload" in done.stdout
    assert _git(project, "status", "--porcelain") == ""
    assert _git(project, "tag") == "v99.1.0\n"
    assert "version = 99.1.0\n" in (project / "settings.ini").read_text(encoding="utf-8")
    assert "\n## 99.1.0\n" in (project / "CHANGELOG.md").read_text(encoding="utf-8")
    assert '__version__ = "99.1.0"' in (project / "fastai_charrnn/__init__.py").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_release_that_cannot_be_made_changes_nothing(tmp_path):
    project = _project(tmp_path)
    assert "three numbers" in _release(project, "2").stderr
    assert "greater than" in _release(project, "0.0.1").stderr
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text(encoding="utf-8") + "[broken", encoding="utf-8")
    assert "uncommitted changes" in _release(project, "99.1.0").stderr
    _git(project, "commit", "--all", "--message", "broken")
    assert _release(project, "99.1.0").returncode != 0
    assert _git(project, "status", "--porcelain") == ""
    assert _git(project, "tag") == ""
