"""README, the guides and the architecture page: links, tables and examples are right."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from layout import code_blocks, module_paths, packages, root

from fastai_charrnn.models import registry

guides = sorted(str(p.relative_to(root)) for p in (root / "docs").glob("*.md"))


@pytest.mark.parametrize("name", packages)
def test_the_architecture_lists_the_modules_of_every_package(name):
    text = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"| `{name}/` |"))
    listed = set(re.findall(r"`(\w+)`", row.split("|")[3]))
    assert listed == {path.stem for path in module_paths.values() if path.parent.name == name}


def test_the_architecture_is_read_in_15_minutes():
    assert len((root / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_the_architecture_page_lists_methods_of_models_that_exist():
    from fastai_charrnn.models.base import CharModel

    names = re.findall(r"^\| `(\w+)\(", (root / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.M)
    assert {"layers", "table", "step"} <= set(names)
    assert [name for name in names if not hasattr(CharModel, name)] == []


def test_the_readme_is_short():
    assert len((root / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def _links(name):
    "The links of a page to files of the project, without anchors."
    text = (root / name).read_text(encoding="utf-8")
    return {link.split("#")[0] for link in re.findall(r"\]\((?!https://|#)([^)]+)\)", text)}


@pytest.mark.parametrize("name", ["README.md", "nbs/index.ipynb", *guides])
def test_links_lead_to_files_of_the_repository(name):
    assert [link for link in _links(name) if not ((root / name).parent / link).exists()] == []


def test_the_readme_or_the_reference_links_to_every_guide():
    assert len(guides) > 5
    assert set(guides) <= _links("README.md") | {f"docs/{link}" for link in _links("docs/reference.md")}


def test_the_site_has_what_its_front_page_links_to():
    "`make docs` checks that too, but takes 15 minutes."
    from docs import pages

    links = {link for link in _links("README.md") if not link.startswith(("nbs/", "docs/pictures/"))}
    assert links <= {f"{page}.md" for page in pages} | {"LICENSE"}
    assert [page for page in pages if not (root / f"{page}.md").exists()] == []


@pytest.mark.parametrize("name", guides)
def test_the_python_of_a_guide_runs_as_written(name, small, tmp_path, monkeypatch):
    (tmp_path / "my.txt").write_text("It was so. " + small, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # one guide registers an architecture
    monkeypatch.setattr(registry, "_archs", dict(registry._archs))
    code = "\n".join(code_blocks("python", name))
    # an empty namespace, because a guide imports what it uses
    exec(compile(code, name, "exec"), {})


@pytest.mark.slow
def test_shell_commands_work_as_written(small, tmp_path):
    "On a short text, equal commands once. Of `make` and `pip install`, only the targets and files are checked."
    (tmp_path / "my.txt").write_text("It was so. " + small[:3000], encoding="utf-8")
    for command in _shell_commands("docs/your-own-text.md", "README.md"):
        if command.startswith("make "):
            assert f"\n{shlex.split(command)[1]}:" in (root / "Makefile").read_text()
        elif command.startswith("pip install "):
            assert command == "pip install -c constraints.txt ."
            assert (root / "constraints.txt").exists()
        else:
            assert _run_in_shell(command, tmp_path)


def _shell_commands(*names):
    "The different commands of pages, in order, with a short time limit."
    lines = [line for name in names for line in "".join(code_blocks("sh", name)).splitlines()]
    for name in names:
        lines += re.findall(r"`(charrnn [^`]*--help)`", (root / name).read_text(encoding="utf-8"))
    commands = [line.split("#")[0].strip() for line in lines]
    return list(dict.fromkeys(re.sub(r"--minutes [\d.]+", "--minutes .05", command) for command in commands))


def _run_in_shell(command, folder):
    "What a command prints. `charrnn` is the one next to this Python."
    env = os.environ | dict(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    done = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.corpus
@pytest.mark.slow
def test_the_readmes_example_works_as_typed(text, tmp_path):
    "Line by line, on a part of the text. A hash in its notebook ensures that README shows what the whole text prints."
    (tmp_path / "part.txt").write_text(text[:60_000], encoding="utf-8")
    code = "\n".join(code_blocks("python")).replace("nietzsche()", "'part.txt'", 1)
    env = os.environ | dict(MPLBACKEND="agg")
    run = subprocess.run(
        [sys.executable, "-i", "-q"], input=code, cwd=tmp_path, capture_output=True, text=True, env=env
    )
    assert "Traceback" not in run.stderr, run.stderr
    assert "character n-grams: 54,000 characters counted, 6,000 scored" in run.stdout
    assert re.search(r"^\d\.\d{4} nats per character of held-out text", run.stdout, re.M)
    assert "for thos" in run.stdout
    assert (tmp_path / "nietzsche.safetensors").exists()


def test_the_table_of_architectures_counts_weights():
    from fastai_charrnn.all import get_arch, list_archs

    page = (root / "docs/architectures.md").read_text(encoding="utf-8")
    for arch in list_archs():
        cls = get_arch(arch).cls
        row = next(line for line in page.splitlines() if line.startswith(f"| `{arch}` | `"))
        n_weights = sum(p.numel() for p in cls(85).parameters())
        assert f"`{cls.__name__}`" in row
        assert f"{n_weights:,}" in row
