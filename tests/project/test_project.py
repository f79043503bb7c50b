"""The project keeps its own word: versions, documents, imports and style."""

import ast
import configparser
import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import fastai_charrnn
from fastai_charrnn.models import registry

root = Path(__file__).parents[2]
package = root / "fastai_charrnn"
packages = ["data", "models", "generation", "callback", "io", "analysis", "recipes", "cli"]


def _name(path):
    "The dotted name of a module within the package."
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_module(path):
    return not path.stem.startswith("__") or path == package / "cli/__init__.py"


modules = sorted(_name(p) for p in package.rglob("*.py") if _is_module(p))
sources = [
    p
    for d in ("fastai_charrnn", "tests", "tools", "benchmarks")
    for p in sorted((root / d).rglob("*.py"))
    if p.stat().st_size
]


def _settings():
    cfg = configparser.ConfigParser(delimiters=["="])
    cfg.read(root / "settings.ini", encoding="utf-8")
    return cfg["DEFAULT"]


def test_the_versions_agree():
    assert _settings()["version"] == fastai_charrnn.__version__ and f"## {fastai_charrnn.__version__}" in (
        root / "CHANGELOG.md"
    ).read_text(encoding="utf-8")


def test_the_descriptions_agree():
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    for key, name in (("description", "description"), ("lib_name", "name")):
        assert f'{name} = "{_settings()[key]}"' in text


# documents


@pytest.mark.parametrize("name", packages)
def test_every_package_is_in_the_architecture(name):
    assert f"| `{name}/` |" in (root / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_the_architectures_step_protocol_names_methods_that_exist():
    from fastai_charrnn.models.base import CharModel

    names = re.findall(r"^\| `(\w+)\(", (root / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.M)
    assert {"layers", "table", "step"} <= set(names) and [n for n in names if not hasattr(CharModel, n)] == []


# What each part of the package may import, besides `errors`, `metrics` and `_utils`, which all may.
MAY_IMPORT = {
    "errors": [],
    "metrics": [],
    "_utils": [],
    "data": [],
    "models": [],
    "generation": ["data"],
    "callback": ["data", "generation"],
    "learner": ["data", "models", "generation", "callback"],
    "adapt": ["data", "models", "learner"],
    "io": ["data", "models", "generation", "callback", "learner"],
    "analysis": ["data", "generation", "learner"],
    "recipes": ["data", "models", "callback", "learner"],
    "cli": ["data", "models", "generation", "callback", "learner", "adapt", "io", "analysis", "recipes"],
    "all": ["data", "models", "generation", "callback", "learner", "adapt", "io", "analysis", "recipes"],
}


def _imports(path):
    "The modules of the package that a module imports, by dotted name."
    here = path.relative_to(package).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = ".".join([*here[: len(here) + 1 - node.level], *([node.module] if node.module else [])])
        for alias in node.names:
            inside = f"{base}.{alias.name}".strip(".")
            yield inside if inside in modules else base


def test_the_parts_of_the_package_are_known():
    assert {m.split(".")[0] for m in modules} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", [p for p in sorted(package.rglob("*.py")) if _is_module(p)], ids=_name)
def test_imports_go_one_way(path):
    part = _name(path).split(".")[0]
    allowed = {part, "errors", "metrics", "_utils", "", *MAY_IMPORT[part]}
    assert {m for m in _imports(path) if m.split(".")[0] not in allowed} == set()


def test_modules_do_not_import_each_other_in_a_circle():
    graph = {_name(p): set(_imports(p)) - {_name(p), ""} for p in package.rglob("*.py") if _is_module(p)}
    list(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("name", packages)
def test_packages_have_empty_init_files(name):
    "Only `cli/__init__.py` has code: the entry point."
    assert name == "cli" or (package / name / "__init__.py").read_text(encoding="utf-8") == ""


def test_the_readmes_tables_are_the_reports():
    from readme import report_tables, with_tables

    readme = (root / "README.md").read_text(encoding="utf-8")
    tables = report_tables()
    assert with_tables(readme, tables) == readme and all(table in readme for table in tables.values())
    assert "| `rnn` | 6 | 1.5080 |" in readme and "| `lstm` | 65 | 1.2524 |" in readme


def test_the_readme_is_short():
    assert len((root / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_the_readme_is_made_of_the_index():
    from readme import readme

    assert readme(json.loads((root / "nbs/index.ipynb").read_text(encoding="utf-8"))) == (root / "README.md").read_text(
        encoding="utf-8"
    ), "make readme"


guides = sorted(str(p.relative_to(root)) for p in (root / "docs").glob("*.md"))


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


def _blocks(language, name="README.md"):
    return re.findall(rf"```{language}\n(.*?)```", (root / name).read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("name", guides)
def test_the_python_of_a_guide_runs_as_written(name, small, tmp_path, monkeypatch):
    (tmp_path / "my.txt").write_text("It was so. " + small, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "fastai_charrnn.models.registry._archs", dict(registry._archs)
    )  # one guide registers an architecture
    code = "\n".join(_blocks("python", name))
    exec(compile(code, name, "exec"), {})  # in an empty namespace: a guide imports what it uses


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/your-own-text.md"])
def test_shell_commands_work_as_written(name, small, tmp_path):
    "On a short text. CI tries `make` and `pip install` elsewhere: here their targets and files exist."
    (tmp_path / "my.txt").write_text("It was so. " + small[:3000], encoding="utf-8")
    env = os.environ | dict(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for line in "".join(_blocks("sh", name)).splitlines():
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
    code = "\n".join(_blocks("python")).replace("nietzsche()", "'part.txt'", 1)
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


# the code


@pytest.mark.parametrize("name", modules)
def test_public_names_are_documented_and_typed(name):
    module = importlib.import_module(f"fastai_charrnn.{name}")
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        o = getattr(module, public)
        if not (inspect.isfunction(o) or inspect.isclass(o)):
            continue
        assert inspect.getdoc(o), public
        if inspect.isfunction(o):
            try:
                sig = inspect.signature(o)
            except ValueError:
                continue
            for p in sig.parameters.values():
                if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or p.name in ("args", "self"):
                    continue
                assert p.annotation is not p.empty or name in ("data.loaders", "cli.evaluate"), f"{public}({p.name})"


@pytest.mark.parametrize("path", sources, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_files_are_short_and_say_why_they_exist(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 310 and ast.get_docstring(ast.parse(text))
    assert not re.search(r"except( Exception)?:\s*pass", text)


def test_notebooks_have_cell_ids_and_no_execution_counts():
    for path in (root / "nbs").rglob("*.ipynb"):
        nb = json.loads(path.read_text(encoding="utf-8"))
        assert nb["nbformat_minor"] >= 5
        assert all(c["execution_count"] is None for c in nb["cells"] if c["cell_type"] == "code")


def test_reference_pages_are_stored_without_outputs():
    for path in (root / "nbs").glob("[0-9]*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(c["outputs"] for c in cells if c["cell_type"] == "code"), path


def _cells(kind):
    "The cells of every notebook, by its path."

    def of(path):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return ["".join(c["source"]) for c in cells if c["cell_type"] == kind]

    return {p.relative_to(root / "nbs"): of(p) for p in sorted((root / "nbs").rglob("*.ipynb"))}


def test_notebooks_open_with_a_title_and_one_line_about_them():
    for path, (first, *_) in _cells("markdown").items():
        assert re.match(r"# .+\n\n> .+(\n\n|$)", first), path


def test_every_module_has_one_reference_page_and_the_list_of_them_links_it():
    "The title of a page names its modules."
    pages = {
        p.name: re.findall(r"`([\w.]+)`", first.splitlines()[0])
        for p, (first, *_) in _cells("markdown").items()
        if p.name[0].isdigit() and len(p.parts) == 1
    }
    assert sorted(m for ms in pages.values() for m in ms) == modules
    links = re.findall(r"\[`([\w.]+)`\]\(\.\./nbs/([\w.]+)\)", (root / "docs/reference.md").read_text(encoding="utf-8"))
    assert sorted(links) == sorted((m, page) for page, ms in pages.items() for m in ms)


def test_every_public_name_is_used_in_a_notebook():
    "All that a module says it offers; the notebooks are the documentation."
    used = set(re.findall(r"\w+", "\n".join(c for cells in _cells("code").values() for c in cells)))
    assert {
        n for m in modules for n in getattr(importlib.import_module(f"fastai_charrnn.{m}"), "__all__", [])
    } - used == set()


def _entries(page):
    "The names that a reference page documents: those of `show_doc`, and constants, which have a heading."
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    sources = "\n".join("".join(c["source"]) for c in cells)
    return re.findall(r"^show_doc\((?:\w+\.)?(\w+)|^### `(\w+)`\n\n\S", sources, re.M)


@pytest.mark.parametrize("page", sorted((root / "nbs").glob("[0-9]*.ipynb")), ids=lambda o: o.stem)
def test_every_public_name_has_an_entry_on_its_page(page):
    title = json.loads(page.read_text(encoding="utf-8"))["cells"][0]["source"][0]
    offered = [
        getattr(importlib.import_module(f"fastai_charrnn.{m}"), "__all__", []) for m in re.findall(r"`([\w.]+)`", title)
    ]
    documented = {function or constant for function, constant in _entries(page)}
    assert set().union(*offered) - documented == set()


@pytest.mark.parametrize("path", sorted((root / "nbs").glob("[0-9]*.ipynb")), ids=lambda o: o.stem)
def test_lines_of_reference_pages_are_short(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = [line for c in cells if c["cell_type"] == "code" for line in "".join(c["source"]).splitlines()]
    assert [line for line in lines if len(line) > 100] == []


def test_the_corpus_is_not_in_the_project():
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True).stdout
    assert "nietzsche.txt" not in tracked and ".safetensors" not in tracked
