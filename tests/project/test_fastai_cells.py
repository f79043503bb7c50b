"""The list of fastai's cells names tests that exist, every such test is listed, and results/FASTAI.md is current."""

import ast
import json

from fastai_cells import cells_path, page
from layout import root

CELLS = json.loads(cells_path.read_text(encoding="utf-8"))


def _tests():
    "The tests of the folder, as `file::name`, with their docstrings."
    found = {}
    for path in cells_path.parent.glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[f"{path.name}::{node.name}"] = ast.get_docstring(node) or ""
    return found


def test_every_cell_has_a_test_or_a_reason():
    tests = _tests()
    for cell in CELLS:
        assert ("test" in cell) != ("why" in cell), cell
        if "test" in cell:
            assert cell["test"] in tests, cell


def test_every_test_belongs_to_a_cell():
    assert set(_tests()) == {cell["test"] for cell in CELLS if "test" in cell}


def test_every_test_names_its_notebook():
    numbers = {cell["test"]: cell["notebook"].partition(" ")[0] for cell in CELLS if "test" in cell}
    for test, doc in _tests().items():
        assert doc.startswith(f"{numbers[test]}, "), test


def test_the_report_is_current():
    assert (root / "results/FASTAI.md").read_text(encoding="utf-8") == page(CELLS)


def test_the_report_counts_what_fails():
    cells = [
        dict(
            notebook="1 a", section="s", does="d", test="t.py::test_x", fails=dict(every="no items", streams="no items")
        ),
        dict(notebook="1 a", section="s", does="e", test="t.py::test_x"),
        dict(notebook="1 a", section="s", does="f", test="t.py::test_y", stated=True),
        dict(notebook="2 b", section="s", does="g", why="images"),
        dict(notebook="2 b", section="s", does="h", test="t.py::test_z", needs="CUDA"),
    ]
    report = page(cells)
    assert "| 1 a | 3 | 0 | 3 | 1 | 2 | 0 |" in report
    assert "| 2 b | 2 | 1 | 1 | 0 | 0 | 1 |" in report
    assert "| **all** | 5 | 1 | 4 | 1 | 2 | 1 |" in report
    assert "**fails**: no items (every, streams)" in report
    assert "| s* | f | passes |" in report
