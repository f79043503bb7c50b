"""README, the guides and the architecture page: links, tables and examples are right."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from layout import code_blocks, packages, root

from fastai_charrnn.models import registry

guides = sorted(str(p.relative_to(root)) for p in (root / "docs").glob("*.md"))


@pytest.mark.parametrize("name", packages)
def test_every_package_is_in_the_architecture(name):
    assert f"| `{name}/` |" in (root / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_the_architectures_step_protocol_names_methods_that_exist():
    from fastai_charrnn.models.base import CharModel

    names = re.findall(r"^\| `(\w+)\(", (root / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.M)
    assert {"layers", "table", "step"} <= set(names) and [n for n in names if not hasattr(CharModel, n)] == []


def test_the_readme_is_short():
    assert len((root / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def _links(name):
    "The links of a page within the project, without places in a page."
    text = (root / name).read_text(encoding="utf-8")
    return {o.split("#")[0] for o in re.findall(r"\]\((?!https://|#)([^)]+)\)", text)}


@pytest.mark.parametrize("name", ["README.md", "nbs/index.ipynb", *guides])
def test_links_lead_somewhere_where_a_forge_shows_them(name):
    assert [o for o in _links(name) if not ((root / name).parent / o).exists()] == []


def test_the_readme_links_to_every_guide():
    assert len(guides) > 5 and set(guides) <= _links("README.md")


def test_the_site_has_what_its_front_page_links_to():
    "`make docs` says so too, after a quarter of an hour."
    from docs import pages

    links = {o for o in _links("README.md") if not o.startswith(("nbs/", "docs/pictures/"))}
    assert links <= {f"{o}.md" for o in pages} | {"LICENSE"}
    assert all((root / f"{o}.md").exists() for o in pages)


@pytest.mark.parametrize("name", guides)
def test_the_python_of_a_guide_runs_as_written(name, small, tmp_path, monkeypatch):
    (tmp_path / "my.txt").write_text("It was so. " + small, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # one guide registers an architecture
    monkeypatch.setattr(registry, "_archs", dict(registry._archs))
    code = "\n".join(code_blocks("python", name))
    exec(compile(code, name, "exec"), {})  # in an empty namespace: a guide imports what it uses


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/your-own-text.md"])
def test_shell_commands_work_as_written(name, small, tmp_path):
    "On a short text. CI tries `make` and `pip install` elsewhere: here their targets and files exist."
    (tmp_path / "my.txt").write_text("It was so. " + small[:3000], encoding="utf-8")
    env = os.environ | dict(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for line in "".join(code_blocks("sh", name)).splitlines():
        command = line.split("#")[0].strip()
        if command.startswith("make "):
            assert f"\n{shlex.split(command)[1]}:" in (root / "Makefile").read_text()
        elif command.startswith("pip install "):
            assert command == "pip install -c constraints.txt ." and (root / "constraints.txt").exists()
        else:
            command = re.sub(r"--minutes [\d.]+", "--minutes .05", command)
            assert subprocess.run(
                command, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
            ).stdout
    for command in re.findall(r"`(charrnn [^`]*--help)`", (root / name).read_text(encoding="utf-8")):
        subprocess.run(command, shell=True, env=env, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.corpus
@pytest.mark.slow
def test_the_readmes_example_works_as_typed(text, tmp_path):
    "Line by line, on a part of the text. That README shows what the whole prints is held by the hash of its notebook."
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
    for a in list_archs():
        cls = get_arch(a).cls
        row = next(line for line in page.splitlines() if line.startswith(f"| `{a}` | `"))
        assert f"`{cls.__name__}`" in row and f"{sum(p.numel() for p in cls(85).parameters()):,}" in row
