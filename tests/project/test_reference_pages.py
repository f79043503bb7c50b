"""Every public name has an entry on a reference page, and the pages are stored as the rules say."""

import importlib
import json
import re
from collections import Counter

import pytest
from layout import module_paths, root

nbs = root / "nbs"
paths = [p for p in sorted(nbs.rglob("*.ipynb")) if not any(part.startswith(".") for part in p.parts)]
pages = [p for p in paths if p.name[0].isdigit() and p.parent.name != "tutorials"]


def _name(path):
    "The path of a page as links have it."
    return path.relative_to(nbs).as_posix()


def _cells(path, kind):
    "The sources of the cells of one kind: code or markdown."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == kind]


def _modules(page):
    "The modules that a page names in its first cell."
    line = re.search(r"^Modules?: (.*)", _cells(page, "markdown")[0], re.M)
    return re.findall(r"`([\w.]+)`", line[1]) if line else []


def _entries(page):
    "The names that a page documents: with `show_doc`, or for a constant with a heading and a description."
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    sources = "\n".join("".join(c["source"]) for c in cells)
    found = re.findall(r"^show_doc\((?:\w+\.)?(\w+)|^### `(\w+)`\n\n\S", sources, re.M)
    return [function or constant for function, constant in found]


def _public_modules():
    "The modules whose names `from fastai_charrnn.all import *` brings."
    text = module_paths["all"].read_text(encoding="utf-8")
    return re.findall(r"^from \.([\w.]+) import \*", text, re.M)


def _public_names():
    return {n for m in _public_modules() for n in importlib.import_module(f"fastai_charrnn.{m}").__all__}


def test_notebooks_have_cell_ids_and_no_execution_counts():
    for path in paths:
        nb = json.loads(path.read_text(encoding="utf-8"))
        assert nb["nbformat_minor"] >= 5
        assert all(c["execution_count"] is None for c in nb["cells"] if c["cell_type"] == "code")


@pytest.mark.parametrize("page", pages, ids=_name)
def test_reference_pages_are_stored_without_outputs(page):
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    assert not any(c["outputs"] for c in cells if c["cell_type"] == "code")


@pytest.mark.parametrize("path", paths, ids=_name)
def test_notebooks_open_with_a_title_and_one_line_about_them(path):
    assert re.match(r"# .+\n\n> .+(\n\n|$)", _cells(path, "markdown")[0])


def test_every_public_module_is_on_one_page():
    """The first cell of a page names its modules.

    All modules that `fastai_charrnn.all` exports are on a page. Internal modules need not be.
    No module is on two pages."""
    named = [m for page in pages for m in _modules(page)]
    assert {m: k for m, k in Counter(named).items() if k > 1} == {}
    assert set(named) - set(module_paths) == set()
    assert set(_public_modules()) - set(named) == set()


def test_every_public_name_has_one_entry():
    entries = Counter(name for page in pages for name in _entries(page))
    assert _public_names() - set(entries) == set()
    assert {name: k for name, k in entries.items() if k > 1} == {}


@pytest.mark.parametrize("page", pages, ids=_name)
def test_entries_are_names_of_the_modules_of_the_page_or_methods_of_their_classes(page):
    modules = [importlib.import_module(f"fastai_charrnn.{m}") for m in _modules(page)]
    names = {name for m in modules for name in vars(m)}
    methods = {name for m in modules for v in vars(m).values() if isinstance(v, type) for name in vars(v)}
    assert [name for name in _entries(page) if name not in names | methods] == []


def test_every_public_name_is_used_on_a_page():
    "In the code of an example or a test: entries do not count."
    code = "\n".join(c for page in pages for c in _cells(page, "code") if not c.startswith("show_doc("))
    assert _public_names() - set(re.findall(r"\w+", code)) == set()


def test_the_list_of_pages_has_every_page_with_its_title_and_modules():
    rows = re.findall(
        r"^\| \[(.+)\]\(\.\./nbs/(.+\.ipynb)\) \| (.+) \|$", (root / "docs/reference.md").read_text(), re.M
    )
    listed = {name: (title, re.findall(r"`([\w.]+)`", modules)) for title, name, modules in rows}
    titles = {page: _cells(page, "markdown")[0].splitlines()[0].removeprefix("# ") for page in pages}
    assert listed == {_name(page): (titles[page], _modules(page)) for page in pages}
    assert len(rows) == len(pages)


def test_the_site_lists_every_page():
    from docs import reference_folders

    assert {page.relative_to(nbs).parent.as_posix() for page in pages} == set(reference_folders)


@pytest.mark.parametrize("page", pages, ids=_name)
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\((?!https://|#)([^)#]+)", "\n".join(_cells(page, "markdown")))
    assert [o for o in links if not (page.parent / o).exists()] == []


@pytest.mark.parametrize("page", pages, ids=_name)
def test_lines_of_reference_pages_are_short(page):
    lines = [line for c in _cells(page, "code") for line in c.splitlines()]
    assert [line for line in lines if len(line) > 100] == []
