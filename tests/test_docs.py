"""The site's links lead somewhere; a README says what its notebook says; notebooks are stored and shown as they should be."""
import json,subprocess,sys
from pathlib import Path

import pytest
from check_clean import found,not_clean
from docs import conf,directives,shown
from links import broken_links
from notebooks import complaints,digest,is_current,key,root,size_complaint
from outputs import printed,store
from readme import budget_table,from_root,lesson_table,readme,rows_after,table_text,with_tables
from readme_picture import badges,digest as digest_of_picture,draw,folder,numbers,picture,wrapped
from readme_picture import key as picture_key
from tidy import tidied


@pytest.fixture
def site(tmp_path):
    (tmp_path/"deep").mkdir()
    (tmp_path/"other page.html").write_text('<h1 id="top">Other</h1>', encoding="utf-8")
    (tmp_path/"picture.png").write_bytes(b"")
    def write(body):
        (tmp_path/"deep/page.html").write_text(f"<p id='here'>{body}</p>", encoding="utf-8")
        return list(broken_links(tmp_path))
    return write


@pytest.mark.parametrize("link", ["../other%20page.html", "../other%20page.html#top", "#here", "page.html#here", "../picture.png", "https://docs.fast.ai", "mailto:a@b.c", "data:image/png;base64,AA"])
def test_links_that_lead_somewhere_pass(site, link): assert site(f'<a href="{link}">x</a><img src="{link}">') == []


@pytest.mark.parametrize("link,said", [("../absent.html", "leads nowhere"), ("../other%20page.html#bottom", "no such place"), ("#there", "no such place"),
                                       ("../../outside.html", "leads nowhere"), ("http://docs.fast.ai", "not an https address"), ("file:///etc/passwd", "not an https address")])
def test_links_that_lead_nowhere_are_named(site, link, said):
    found, = site(f'<a href="{link}">x</a>')
    assert said in found and link in found and found.startswith("deep/page.html")


# README

def _markdown(source): return dict(cell_type="markdown", source=source.splitlines(True))


def test_a_readme_joins_code_and_leaves_out_what_is_hidden():
    cells = _markdown("# Title"), _cell("a = 1\nb = 2"), _cell("#| hide\nassert a", _stream("5")), _cell("a+b"), _markdown("One."), _markdown("Two.")
    assert readme(dict(cells=cells)) == "# Title\n\n```python\na = 1\nb = 2\na+b\n```\n\nOne.\n\nTwo.\n"


def test_a_readme_shows_what_its_code_prints():
    cells = _cell("a = 1"), _cell("print(a)\na+1", _stream("1\n"), _stream("a warning", "stderr"), _result(plain="2", html="<b>2</b>")), _cell("a")
    assert readme(dict(cells=cells)) == "```python\na = 1\nprint(a)\na+1\n```\n\n```text\n1\n2\n```\n\n```python\na\n```\n"


def test_a_readme_shows_the_table_of_epochs_as_text_and_no_pictures():
    table = "<style>x</style><table><thead><tr><th>epoch</th><th>loss</th></tr></thead><tr><td>0</td><td>1.5</td></tr></table>"
    cells = [_cell("fit()", _result(html=table, plain="<IPython.core.display.HTML object>"), _result(plain="<Figure size 6x3>"))]
    assert readme(dict(cells=cells)) == "```python\nfit()\n```\n\n```text\nepoch  loss\n    0   1.5\n```\n"


_reproduction = """| arch | epochs | final loss | printed | ours, same schedule | ours, one cycle |
| --- | --- | --- | --- | --- | --- |
| `char3` | 2 | train | 1.86 | 1.83 (1.81–1.85) | 1.78 |
| `rnn` | 6 | valid | 1.50 | 1.51 (1.49–1.52) | 1.44 |

| arch | epoch |
"""
_leaderboard = """| what | seconds of training | nats, in its own way |
| --- | --- | --- |
| best, 1 min (384 hidden units) | 60 | 1.3 |
| gru, windows | 20 | 1.5 |
| n-grams (contexts to 4) | 0.4 | 1.4545 |

## The lesson's other networks

Some words.

| network | epochs | printed | ours |
| --- | --- | --- | --- |
| `lstm`, products in bf16 | 65 | 1.25 | 1.26 |
"""


def test_the_table_of_lesson_6_joins_both_reports():
    rows = rows_after(lesson_table(_reproduction, _leaderboard))
    assert [row["network"] for row in rows] == ["`char3`", "`rnn`", "`lstm`"]
    assert rows[1] == {"network": "`rnn`", "epochs": "6", "lesson 6": "1.50", "ours": "1.51", "ours, one cycle": "1.44"}
    assert rows[2] == {"network": "`lstm`", "epochs": "65", "lesson 6": "1.25", "ours": "1.26", "ours, one cycle": ""}


def test_the_table_of_budgets_compares_with_n_grams():
    rows = rows_after(budget_table(_leaderboard))
    assert [row["seconds"] for row in rows] == ["0.4", "60"]
    assert [row["against n-grams"] for row in rows] == ["", "-0.1545"]


def test_only_what_is_between_the_markers_is_replaced():
    text = "a\n<!-- one -->\nold\n<!-- /one -->\nb\n<!-- two -->\n<!-- /two -->"
    assert with_tables(text, dict(one="| 1 |", two="| 2 |")) == "a\n<!-- one -->\n| 1 |\n<!-- /one -->\nb\n<!-- two -->\n| 2 |\n<!-- /two -->"
    assert with_tables("no markers", dict(one="| 1 |")) == "no markers"


def test_an_html_table_is_aligned_to_the_right():
    assert table_text("<table><tr><th>a</th><th>loss</th></tr><tr><td>10</td><td>2</td></tr></table>") == " a  loss\n10     2"


@pytest.mark.parametrize("link,there", [("01_corpus.ipynb", "nbs/01_corpus.ipynb"), ("../LICENSE", "LICENSE"), ("tutorials/01.ipynb#x", "nbs/tutorials/01.ipynb#x"),
                                        ("https://docs.fast.ai", "https://docs.fast.ai"), ("#top", "#top")])
def test_links_start_from_the_root_in_a_readme(link, there): assert from_root(f"see [this]({link}), f(x)") == f"see [this]({there}), f(x)"


# the pictures of README

_shown = dict(training=[[0, 2.], [.5, 1.6], [1, 1.5]], validation=[1.55], ngrams=1.5, text="To be or\nnot.", bits=[1.]*13)


def test_lines_of_the_picture_break_at_spaces():
    text = "one two\nthree four"
    assert ["".join(text[i] for i in line) for line in wrapped(text, 9)] == ["one two", "three", "four"]
    assert ["".join(text[i] for i in line) for line in wrapped(text, 13)] == ["one two\nthree", "four"]


def test_a_picture_says_what_it_was_made_of(tmp_path):
    from PIL import Image
    draw(_shown, tmp_path/"a.png")
    with Image.open(tmp_path/"a.png") as made:
        assert made.text[picture_key] == digest_of_picture(_shown) != digest_of_picture(_shown | dict(ngrams=1.6))
    assert [o.name for o in tmp_path.iterdir()] == ["a.png"]


def test_the_picture_of_the_readme_shows_the_numbers_of_the_index():
    from PIL import Image
    with Image.open(picture) as made:
        assert made.text[picture_key] == digest_of_picture(numbers(json.loads((root/"nbs/index.ipynb").read_text(encoding="utf-8")))), "make readme"
        assert made.width <= 720
    assert picture.stat().st_size <= 150_000


def test_the_badges_say_what_the_settings_say():
    for name,svg in badges().items():
        assert (folder/name).read_text(encoding="utf-8") == svg, "make readme"
    assert "3.11 – 3.14" in badges()["python.svg"] and ">2.8<" in badges()["fastai.svg"]


# notebooks with outputs

def _cell(source, *outputs, count=None):
    return dict(cell_type="code", source=source.splitlines(True), outputs=list(outputs), execution_count=count, metadata={}, id="a1")


def _stream(text, name="stdout"):
    return dict(output_type="stream", name=name, text=text)


def _result(**data):
    return dict(output_type="display_data", metadata={}, data={f"text/{k}": v for k,v in data.items()})


def _stored(*cells, outputs_of=None):
    nb = dict(cells=list(cells), metadata={}, nbformat=4, nbformat_minor=5)
    nb["metadata"][key] = dict(outputs_of=outputs_of or digest(nb))
    return nb


def test_the_record_keeps_what_a_notebook_prints_about_losses():
    cells = [("print(loss)", "valid 1.5080\n"), ("print(loss)", "none yet"), ("print(x)", "3.1416")]
    assert printed(_stored(*(_cell(c, _stream(t)) for c,t in cells))) == "```text\nvalid 1.5080\n```"
    assert printed(_stored(_cell("loss", _result(plain="<Figure size 6.50x3.25 with loss>")))) == "No losses."


def test_the_digest_is_that_of_the_code_and_the_version():
    text = dict(cell_type="markdown", source="some words")
    one,two = _cell("a = 1"),_cell("b = 2")
    first = digest(dict(cells=[one, two]), "0.1.0")
    assert digest(dict(cells=[one, text, _cell("b = 2", _stream("2"))]), "0.1.0") == first
    others = [digest(dict(cells=[two, one]), "0.1.0"), digest(dict(cells=[one, two]), "0.2.0"), digest(dict(cells=[one]), "0.1.0")]
    assert len({first, *others}) == 4


@pytest.mark.parametrize("rel,cells,said", [
    ("tutorials/01.ipynb", [_cell("a")], "without outputs: run `make outputs`"),
    ("tutorials/01.ipynb", [_cell("a", _stream("1"), count=3)], "execution counts: run `nbdev-clean`"),
    ("tutorials/01.ipynb", [_cell("a", _stream("in /home/me/x.txt"))], "one moment, '/home/me/x.txt'"),
    ("tutorials/01.ipynb", [_cell("a", _result(html="<progress value='3'>"))], "one moment, \"<progress"),
    ("index.ipynb", [_cell("a")], "without outputs"),
    ("03_data.ipynb", [_cell("a", _stream("1"))], "reference pages are not"),
])
def test_what_is_wrong_with_a_stored_notebook_is_said(rel, cells, said):
    complaint, = complaints(Path(rel), _stored(*cells))
    assert said in complaint and rel in complaint


@pytest.mark.parametrize("rel,cells", [("tutorials/01.ipynb", [_cell("a", _stream("1"))]), ("index.ipynb", []), ("03_data.ipynb", [_cell("a")])])
def test_nothing_is_said_about_a_notebook_that_is_stored_well(rel, cells):
    assert list(complaints(Path(rel), _stored(*cells))) == []


def test_outputs_of_other_cells_are_noticed():
    complaint, = complaints(Path("index.ipynb"), _stored(_cell("a = 1", _stream("1")), outputs_of=digest(_stored(_cell("a = 2")))))
    assert "outputs of other cells" in complaint and "make outputs" in complaint


def test_large_outputs_are_noticed(tmp_path):
    (tmp_path/"index.ipynb").write_bytes(b" "*5_000_000)
    (tmp_path/"03_data.ipynb").write_bytes(b" ")
    assert "4.8 MB" in size_complaint(tmp_path)
    (tmp_path/"index.ipynb").write_bytes(b" ")
    assert size_complaint(tmp_path) == ""


def _tidy(*outputs):
    nbformat = pytest.importorskip("nbformat")
    cell, = tidied(nbformat.from_dict(_stored(_cell("a", *outputs, count=7)))).cells
    assert cell.execution_count is None
    return cell.outputs


@pytest.mark.parametrize("text,kept", [
    (f"saved {root}/models/a.pt and {root}", "saved models/a.pt and ."),
    (f"{Path.home()}/x.txt", "~/x.txt"),
    ("/tmp/tmpab12_x/my.txt", "/tmp/…/my.txt"),
    ("<Linear at 0x7f31c0ffee00>", "<Linear>"),
    ("\r 10%\r 50%\r100%\ndone\r\n", "100%\ndone\n"),
    ("/usr/lib/a.py:12: CharRnnWarning: characters are shared\n  warn(x)\nnext\n", "CharRnnWarning: characters are shared\nnext\n"),
    ("valid 1.5080 at 12:30: fine\n", "valid 1.5080 at 12:30: fine\n"),
])
def test_outputs_are_stored_without_what_belongs_to_one_machine(text, kept):
    output, = _tidy(_stream(text))
    assert output.text == kept


def test_progress_bars_are_not_stored_but_the_table_of_epochs_is():
    bar = "<progress value='10' max='20'></progress> 50.00% [10/20 00:01&lt;00:01]"
    table = "<table><tr><td>1.234</td></tr></table>"
    assert _tidy(_result(html="<style>progress {}</style>"), _result(html=f"<div>{bar}</div>", plain="<HTML object>")) == []
    assert len(_tidy(_result(html="<img src='x.png'>"))) == 1
    output, = _tidy(_result(html=f"<div>{bar}</div>{table}"))
    assert output.data["text/html"] == f"<div></div>{table}"


def test_consecutive_texts_are_stored_as_one():
    outputs = _tidy(_stream("a\n"), _stream("b\n"), _stream("c\n", "stderr"))
    assert [o.text for o in outputs] == ["a\nb\n", "c\n"]


@pytest.mark.slow
def test_an_executed_notebook_is_stored_clean_and_current(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    (tmp_path/"nbs").mkdir()
    (tmp_path/"pyproject.toml").write_bytes((root/"pyproject.toml").read_bytes())
    path = tmp_path/"nbs/index.ipynb"
    picture = "import matplotlib.pyplot as plt\nplt.figure(figsize=(1, 1))\nplt.plot([1, 2]);"
    cells = [nbformat.v4.new_code_cell(o) for o in ("import os\nos.getcwd()", "print(object())", picture)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    facts = store(path, "a machine")
    nb = json.loads(path.read_text(encoding="utf-8"))
    outputs = [c["outputs"][-1] for c in nb["cells"]]
    assert is_current(nb) and nb["metadata"][key] == facts and facts["machine"] == "a machine"
    assert "nbs" in str(outputs[0]["data"]["text/plain"]) # it ran in its own folder
    assert outputs[1]["text"] == ["<object object>\n"] and "image/png" in outputs[2]["data"]
    assert list(not_clean(tmp_path/"nbs")) == []
    assert [o.name for o in path.parent.iterdir()] == ["index.ipynb"]


@pytest.mark.slow
def test_the_projects_notebooks_are_stored_well():
    assert found() == []


# notebooks on the site

def test_directives_are_read_from_the_start_of_a_cell():
    options,code = directives('#| code-fold: true\n#|code-summary: "Answer 1"\na = 1\n#| b')
    assert options == {"code-fold": "true", "code-summary": '"Answer 1"'} and code == "a = 1\n#| b"


def _show(*sources):
    v4 = pytest.importorskip("nbformat").v4
    return shown(v4.new_notebook(cells=[v4.new_code_cell(o) for o in sources])).cells


def test_hidden_cells_are_not_shown():
    assert [c.source for c in _show("#| hide\nassert a", "a = 1", "#| hide_me: x\nb = 2")] == ["a = 1", "b = 2"]


def test_folded_cells_and_hidden_code_are_marked():
    folded,answer,quiet,plain = _show("#| code-fold: true\na", '#| code-fold: true\n#| code-summary: "Answer"\na', "#| echo: false\na", "a")
    assert [c.source for c in (folded, answer, quiet, plain)] == ["a"]*4
    assert folded.metadata.tags == ["hide-cell"] and folded.metadata.mystnb.code_prompt_show == "Show code"
    assert answer.metadata.mystnb.code_prompt_show == "Answer"
    assert quiet.metadata.tags == ["remove-input"] and plain.metadata.tags == []


@pytest.mark.slow
def test_sphinx_folds_and_hides(tmp_path):
    pytest.importorskip("myst_nb")
    pytest.importorskip("furo")
    v4 = pytest.importorskip("nbformat").v4
    sources = ['#| code-fold: true\n#| code-summary: "Answer 1"\nfolded', "#| hide\nhidden", "#| echo: false\nquiet"]
    cells = [v4.new_markdown_cell("# Title"), *(v4.new_code_cell(o, outputs=[v4.new_output("stream", text=o[-6:]+"!")]) for o in sources)]
    (tmp_path/"conf.py").write_text(conf)
    (tmp_path/"_static").mkdir()
    (tmp_path/"_static/site.css").write_text("")
    (tmp_path/"index.ipynb").write_text(json.dumps(shown(v4.new_notebook(cells=cells))))
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", tmp_path, tmp_path/"html"], check=True)
    page = (tmp_path/"html/index.html").read_text(encoding="utf-8")
    details = page[page.index("<details"):page.index("</details>")]
    assert "Answer 1" in details and "folded" in details
    assert "hidden!" not in page
    assert page.count("quiet") == page.count("quiet!") == 1 # what it prints, not its code
    assert "#|" not in page
