"""README is made from its notebook and the reports, and its pictures show current numbers."""

import json

import pytest
from layout import root
from notebook_cells import cell, result, stream
from readme import folded, from_root, readme, table_text
from readme_picture import badges, digest, draw, folder, key, numbers, picture, wrapped
from report_tables import budget_table, lesson_table, report_tables, rows_after, with_tables


@pytest.fixture(scope="module")
def index():
    "The notebook of README."
    return json.loads((root / "nbs/index.ipynb").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def readme_text():
    return (root / "README.md").read_text(encoding="utf-8")


# the notebook as Markdown


def _markdown(source):
    return dict(cell_type="markdown", source=source.splitlines(True))


def test_code_cells_are_joined_and_hidden_cells_are_left_out():
    cells = (
        _markdown("# Title"),
        cell("a = 1\nb = 2"),
        cell("#| hide\nassert a", stream("5")),
        cell("a+b"),
        _markdown("One."),
        _markdown("Two."),
    )
    assert readme(dict(cells=cells)) == "# Title\n\n```python\na = 1\nb = 2\na+b\n```\n\nOne.\n\nTwo.\n"


def test_code_is_followed_by_what_it_prints():
    prints = [stream("1\n"), stream("a warning", "stderr"), result(plain="2", html="<b>2</b>")]
    cells = (cell("a = 1"), cell("print(a)\na+1", *prints), cell("a"))
    first = "```python\na = 1\nprint(a)\na+1\n```\n\n```text\n1\n2\n```"
    assert readme(dict(cells=cells)) == f"{first}\n\n```python\na\n```\n"


@pytest.mark.parametrize("plain", ["<IPython.core.display.HTML object>", "<div>{table}</div>"])
def test_the_table_of_epochs_is_shown_as_text_and_pictures_are_left_out(plain):
    header = "<thead><tr><th>epoch</th><th>loss</th></tr></thead>"
    table = f"<style>x</style><table>{header}<tr><td>0</td><td>1.5</td></tr></table>"
    shown = result(html=table, plain=plain.format(table=table))
    cells = [cell("fit()", shown, result(plain="<Figure size 6x3>"))]
    assert readme(dict(cells=cells)) == "```python\nfit()\n```\n\n```text\nepoch  loss\n    0   1.5\n```\n"


def test_an_html_table_becomes_text_with_right_aligned_columns():
    html = "<table><tr><th>a</th><th>loss</th></tr><tr><td>10</td><td>2</td></tr></table>"
    assert table_text(html) == " a  loss\n10     2"


def test_long_lines_are_wrapped_at_spaces():
    long_line = "word " * 20 + "end"
    ten_words = "word " * 9 + "word"
    assert folded(f"a b\n{long_line}", 50) == f"a b\n{ten_words}\n{ten_words}\nend"


def test_short_lines_keep_their_columns():
    assert folded("  a   b\n\n") == "  a   b\n\n"


@pytest.mark.parametrize(
    "link,link_from_root",
    [
        ("data/01_texts.ipynb", "nbs/data/01_texts.ipynb"),
        ("../LICENSE", "LICENSE"),
        ("tutorials/01.ipynb#x", "nbs/tutorials/01.ipynb#x"),
        ("https://docs.fast.ai", "https://docs.fast.ai"),
        ("#top", "#top"),
    ],
)
def test_links_are_relative_to_the_root(link, link_from_root):
    assert from_root(f"see [this]({link}), f(x)") == f"see [this]({link_from_root}), f(x)"


def test_the_readme_is_made_from_the_index(index, readme_text):
    assert readme(index) == readme_text, "run `make readme`"


# the tables of the reports

_reproduction = """| arch | epochs | final loss | printed | ours, same schedule | ours, one cycle |
| --- | --- | --- | --- | --- | --- |
| `char3` | 2 | train | 1.86 | 1.83 (1.81–1.85) | 1.78 |
| `rnn` | 6 | valid | 1.50 | 1.51 (1.49–1.52) | 1.44 |

| arch | epoch |
"""
_leaderboard = """## Every run

| what | seconds of training | nats |
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


def test_the_table_of_training_times_compares_with_n_grams():
    rows = rows_after(budget_table(_leaderboard))
    assert [row["seconds"] for row in rows] == ["0.4", "60"]
    assert [row["against n-grams"] for row in rows] == ["", "-0.1545"]


def test_only_the_text_between_markers_is_replaced():
    text = "a\n<!-- one -->\nold\n<!-- /one -->\nb\n<!-- two -->\n<!-- /two -->"
    new_text = "a\n<!-- one -->\n| 1 |\n<!-- /one -->\nb\n<!-- two -->\n| 2 |\n<!-- /two -->"
    assert with_tables(text, dict(one="| 1 |", two="| 2 |")) == new_text
    assert with_tables("no markers", dict(one="| 1 |")) == "no markers"


def test_the_readme_has_the_tables_of_the_reports(readme_text):
    tables = report_tables()
    assert with_tables(readme_text, tables) == readme_text
    for table in tables.values():
        assert table in readme_text
    assert "| `rnn` | 6 | 1.5080 |" in readme_text
    assert "| `lstm` | 65 | 1.2524 |" in readme_text


# the pictures

_shown = dict(
    training=[[0, 2.0], [0.5, 1.6], [1, 1.5]], validation=[1.55], ngrams=1.5, text="To be or\nnot.", bits=[1.0] * 13
)


@pytest.mark.parametrize("width,lines", [(9, ["one two", "three", "four"]), (13, ["one two\nthree", "four"])])
def test_the_text_of_the_picture_is_wrapped_at_spaces(width, lines):
    text = "one two\nthree four"
    assert ["".join(text[i] for i in line) for line in wrapped(text, width)] == lines


def _stored_digest(path):
    from PIL import Image

    with Image.open(path) as image:
        return image.text[key]


def test_a_picture_stores_the_digest_of_its_numbers(tmp_path):
    draw(_shown, tmp_path / "a.png")
    assert _stored_digest(tmp_path / "a.png") == digest(_shown)
    assert digest(_shown) != digest(_shown | dict(ngrams=1.6))
    # no temporary files
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_the_picture_of_the_readme_shows_the_numbers_of_the_index(index):
    assert _stored_digest(picture) == digest(numbers(index)), "run `make readme`"


def test_the_picture_of_the_readme_is_small():
    from PIL import Image

    with Image.open(picture) as image:
        assert image.width <= 720
    assert picture.stat().st_size <= 150_000


def test_the_badges_have_the_values_of_the_settings():
    for name, svg in badges().items():
        assert (folder / name).read_text(encoding="utf-8") == svg, "run `make readme`"
    assert "3.11 – 3.14" in badges()["python.svg"]
    assert ">2.8<" in badges()["fastai.svg"]
