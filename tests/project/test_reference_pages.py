"""Every public name has an entry on a reference page, and the pages are stored as the rules say."""

import importlib
import json
import re

import pytest
from layout import modules, root


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
