"""Notebooks are stored with current outputs, without paths and progress bars, and shown as their directives say."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from check_clean import found, not_clean
from notebook_cells import cell, result, stored, stream
from notebooks import complaints, digest, is_current, key, root, size_complaint
from outputs import printed, store
from site_notebooks import directives, shown
from tidy import tidied

# notebooks with outputs


def test_the_record_has_what_a_notebook_prints_about_losses():
    outputs = [("print(loss)", "valid 1.5080\n"), ("print(loss)", "none yet"), ("print(x)", "3.1416")]
    assert printed(stored(*(cell(code, stream(text)) for code, text in outputs))) == "```text\nvalid 1.5080\n```"
    assert printed(stored(cell("loss", result(plain="<Figure size 6.50x3.25 with loss>")))) == "No losses."


def test_the_digest_depends_on_the_code_and_the_version():
    text = dict(cell_type="markdown", source="some words")
    one = cell("a = 1")
    two = cell("b = 2")
    first = digest(dict(cells=[one, two]), "0.1.0")
    assert digest(dict(cells=[one, text, cell("b = 2", stream("2"))]), "0.1.0") == first
    swapped = digest(dict(cells=[two, one]), "0.1.0")
    fewer = digest(dict(cells=[one]), "0.1.0")
    assert len({first, swapped, fewer, digest(dict(cells=[one, two]), "0.2.0")}) == 4


@pytest.mark.parametrize(
    "rel,cells,message",
    [
        ("tutorials/01.ipynb", [cell("a")], "without outputs: run `make outputs`"),
        ("tutorials/01.ipynb", [cell("a", stream("1"), count=3)], "execution counts: run `nbdev-clean`"),
        (
            "tutorials/01.ipynb",
            [cell("a", stream("in /home/me/x.txt"))],
            "differs between machines or runs, '/home/me/x.txt'",
        ),
        (
            "tutorials/01.ipynb",
            [cell("a", result(html="<progress value='3'>"))],
            'differs between machines or runs, "<progress',
        ),
        ("index.ipynb", [cell("a")], "without outputs"),
        ("data/02_loaders.ipynb", [cell("a", stream("1"))], "is a reference page and must be stored without outputs"),
    ],
)
def test_faults_of_a_stored_notebook_are_reported(rel, cells, message):
    [complaint] = complaints(Path(rel), stored(*cells))
    assert message in complaint
    assert rel in complaint


@pytest.mark.parametrize(
    "rel,cells",
    [("tutorials/01.ipynb", [cell("a", stream("1"))]), ("index.ipynb", []), ("data/02_loaders.ipynb", [cell("a")])],
)
def test_a_notebook_that_is_stored_well_has_no_faults(rel, cells):
    assert list(complaints(Path(rel), stored(*cells))) == []


def test_outputs_of_other_cells_are_reported():
    nb = stored(cell("a = 1", stream("1")), outputs_of=digest(stored(cell("a = 2"))))
    [complaint] = complaints(Path("index.ipynb"), nb)
    assert "outputs of other cells" in complaint
    assert "make outputs" in complaint


def test_large_outputs_are_reported(tmp_path):
    (tmp_path / "index.ipynb").write_bytes(b" " * 5_000_000)
    (tmp_path / "00_first_steps.ipynb").write_bytes(b" ")
    assert "4.8 MB" in size_complaint(tmp_path)
    (tmp_path / "index.ipynb").write_bytes(b" ")
    assert size_complaint(tmp_path) == ""


def _tidy(*outputs):
    "What remains of the outputs of a cell."
    [tidy_cell] = tidied(nbformat.from_dict(stored(cell("a", *outputs, count=7)))).cells
    assert tidy_cell.execution_count is None
    return tidy_cell.outputs


@pytest.mark.parametrize(
    "printed,kept",
    [
        (f"saved {root}/models/a.pt and {root}", "saved models/a.pt and ."),
        (f"{Path.home()}/x.txt", "~/x.txt"),
        ("/tmp/tmpab12_x/my.txt", "/tmp/…/my.txt"),
        ("<Linear at 0x7f31c0ffee00>", "<Linear>"),
        ("\r 10%\r 50%\r100%\ndone\r\n", "100%\ndone\n"),
        ("/usr/lib/a.py:12: CharRnnWarning: shared\n  warn(x)\nnext\n", "CharRnnWarning: shared\nnext\n"),
        ("valid 1.5080 at 12:30: fine\n", "valid 1.5080 at 12:30: fine\n"),
    ],
)
def test_outputs_are_stored_without_paths_and_addresses(printed, kept):
    [output] = _tidy(stream(printed))
    assert output.text == kept


def test_progress_bars_are_not_stored_but_the_table_of_epochs_is():
    bar = "<progress value='10' max='20'></progress> 50.00% [10/20 00:01&lt;00:01]"
    table = "<table><tr><td>1.234</td></tr></table>"
    assert _tidy(result(html="<style>progress {}</style>"), result(html=f"<div>{bar}</div>", plain="<HTML>")) == []
    assert len(_tidy(result(html="<img src='x.png'>"))) == 1
    [output] = _tidy(result(html=f"<div>{bar}</div>{table}"))
    assert output.data["text/html"] == f"<div></div>{table}"


def test_consecutive_texts_are_stored_as_one():
    outputs = _tidy(stream("a\n"), stream("b\n"), stream("c\n", "stderr"))
    assert [output.text for output in outputs] == ["a\nb\n", "c\n"]


@pytest.mark.slow
def test_an_executed_notebook_is_stored_clean_and_current(tmp_path):
    (tmp_path / "nbs").mkdir()
    (tmp_path / "pyproject.toml").write_bytes((root / "pyproject.toml").read_bytes())
    path = tmp_path / "nbs/index.ipynb"
    picture = "import matplotlib.pyplot as plt\nplt.figure(figsize=(1, 1))\nplt.plot([1, 2]);"
    sources = ("import os\nos.getcwd()", "print(object())", picture)
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    facts = store(path, "a machine")
    nb = json.loads(path.read_text(encoding="utf-8"))
    assert is_current(nb)
    assert nb["metadata"][key] == facts
    assert facts["machine"] == "a machine"
    folder, text, image = (c["outputs"][-1] for c in nb["cells"])
    # it ran in its own folder
    assert "nbs" in str(folder["data"]["text/plain"])
    assert text["text"] == ["<object object>\n"]
    assert "image/png" in image["data"]
    assert list(not_clean(tmp_path / "nbs")) == []
    # no temporary files
    assert [file.name for file in path.parent.iterdir()] == ["index.ipynb"]


@pytest.mark.slow
def test_the_projects_notebooks_are_stored_well():
    assert found() == []


# notebooks on the site


def test_directives_are_read_from_the_start_of_a_cell():
    options, code = directives('#| code-fold: true\n#|code-summary: "Answer 1"\na = 1\n#| b')
    assert options == {"code-fold": "true", "code-summary": '"Answer 1"'}
    assert code == "a = 1\n#| b"


def _show(*sources):
    "The cells that the site shows of some code cells."
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return shown(nbformat.v4.new_notebook(cells=cells)).cells


def test_hidden_cells_are_not_shown():
    assert [c.source for c in _show("#| hide\nassert a", "a = 1", "#| hide_me: x\nb = 2")] == ["a = 1", "b = 2"]


def test_folded_cells_and_hidden_code_are_marked():
    fold = "#| code-fold: true\n"
    cells = _show(f"{fold}a", f'{fold}#| code-summary: "Answer"\na', "#| echo: false\na", "a")
    assert [c.source for c in cells] == ["a"] * 4
    assert [c.metadata.tags for c in cells] == [["hide-cell"], ["hide-cell"], ["remove-input"], []]
    assert cells[0].metadata.mystnb.code_prompt_show == "Show code"
    assert cells[1].metadata.mystnb.code_prompt_show == "Answer"


@pytest.mark.slow
def test_sphinx_folds_and_hides(tmp_path):
    pytest.importorskip("myst_nb")
    pytest.importorskip("furo")
    cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        _cell_that_prints('#| code-fold: true\n#| code-summary: "Answer 1"\nfolded', "folded!"),
        _cell_that_prints("#| hide\nhidden", "hidden!"),
        _cell_that_prints("#| echo: false\nquiet", "quiet!"),
    ]
    shutil.copy(root / "tools/site/conf.py", tmp_path)
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static/site.css").write_text("")
    (tmp_path / "index.ipynb").write_text(json.dumps(shown(nbformat.v4.new_notebook(cells=cells))))
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", tmp_path, tmp_path / "html"], check=True)
    page = (tmp_path / "html/index.html").read_text(encoding="utf-8")
    details = page[page.index("<details") : page.index("</details>")]
    assert "Answer 1" in details
    assert "folded" in details
    assert "hidden!" not in page
    # what it prints, not its code
    assert page.count("quiet") == page.count("quiet!") == 1
    assert "#|" not in page


def _cell_that_prints(source, text):
    return nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output("stream", text=text)])
