"""The site's links lead somewhere, and a README says what its notebook says."""

import json

import pytest
from links import broken_links
from notebook_cells import cell, result, stream
from notebooks import root
from readme import budget_table, folded, from_root, lesson_table, readme, rows_after, table_text, with_tables
from readme_picture import badges, draw, folder, numbers, picture, wrapped
from readme_picture import digest as digest_of_picture
from readme_picture import key as picture_key


@pytest.fixture
def site(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "other page.html").write_text('<h1 id="top">Other</h1>', encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"")

    def write(body):
        (tmp_path / "deep/page.html").write_text(f"<p id='here'>{body}</p>", encoding="utf-8")
        return list(broken_links(tmp_path))

    return write


@pytest.mark.parametrize(
    "link",
    [
        "../other%20page.html",
        "../other%20page.html#top",
        "#here",
        "page.html#here",
        "../picture.png",
        "https://docs.fast.ai",
        "mailto:a@b.c",
        "data:image/png;base64,AA",
    ],
)
def test_links_that_lead_somewhere_pass(site, link):
    assert site(f'<a href="{link}">x</a><img src="{link}">') == []


@pytest.mark.parametrize(
    "link,said",
    [
        ("../absent.html", "leads nowhere"),
        ("../other%20page.html#bottom", "no such place"),
        ("#there", "no such place"),
        ("../../outside.html", "leads nowhere"),
        ("http://docs.fast.ai", "not an https address"),
        ("file:///etc/passwd", "not an https address"),
    ],
)
def test_links_that_lead_nowhere_are_named(site, link, said):
    (found,) = site(f'<a href="{link}">x</a>')
    assert said in found and link in found and found.startswith("deep/page.html")


# README


def _markdown(source):
    return dict(cell_type="markdown", source=source.splitlines(True))


def test_a_readme_joins_code_and_leaves_out_what_is_hidden():
    cells = (
        _markdown("# Title"),
        cell("a = 1\nb = 2"),
        cell("#| hide\nassert a", stream("5")),
        cell("a+b"),
        _markdown("One."),
        _markdown("Two."),
    )
    assert readme(dict(cells=cells)) == "# Title\n\n```python\na = 1\nb = 2\na+b\n```\n\nOne.\n\nTwo.\n"


def test_a_readme_shows_what_its_code_prints():
    cells = (
        cell("a = 1"),
        cell("print(a)\na+1", stream("1\n"), stream("a warning", "stderr"), result(plain="2", html="<b>2</b>")),
        cell("a"),
    )
    assert (
        readme(dict(cells=cells)) == "```python\na = 1\nprint(a)\na+1\n```\n\n```text\n1\n2\n```\n\n```python\na\n```\n"
    )


def test_a_readme_shows_the_table_of_epochs_as_text_and_no_pictures():
    table = "<style>x</style><table><thead><tr><th>epoch</th><th>loss</th></tr></thead><tr><td>0</td><td>1.5</td></tr></table>"
    for plain in ("<IPython.core.display.HTML object>", f"<div>{table}</div>"):
        cells = [cell("fit()", result(html=table, plain=plain), result(plain="<Figure size 6x3>"))]
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
    assert (
        with_tables(text, dict(one="| 1 |", two="| 2 |"))
        == "a\n<!-- one -->\n| 1 |\n<!-- /one -->\nb\n<!-- two -->\n| 2 |\n<!-- /two -->"
    )
    assert with_tables("no markers", dict(one="| 1 |")) == "no markers"


def test_an_html_table_is_aligned_to_the_right():
    assert (
        table_text("<table><tr><th>a</th><th>loss</th></tr><tr><td>10</td><td>2</td></tr></table>")
        == " a  loss\n10     2"
    )


@pytest.mark.parametrize(
    "link,there",
    [
        ("01_corpus.ipynb", "nbs/01_corpus.ipynb"),
        ("../LICENSE", "LICENSE"),
        ("tutorials/01.ipynb#x", "nbs/tutorials/01.ipynb#x"),
        ("https://docs.fast.ai", "https://docs.fast.ai"),
        ("#top", "#top"),
    ],
)
def test_links_start_from_the_root_in_a_readme(link, there):
    assert from_root(f"see [this]({link}), f(x)") == f"see [this]({there}), f(x)"


def test_long_lines_of_a_text_are_folded_and_columns_are_kept():
    assert folded("a b\n" + "word " * 20 + "end", 50) == "a b\n" + "\n".join(
        ["word " * 9 + "word", "word " * 9 + "word", "end"]
    )
    assert folded("  a   b\n\n") == "  a   b\n\n"


# the pictures of README

_shown = dict(
    training=[[0, 2.0], [0.5, 1.6], [1, 1.5]], validation=[1.55], ngrams=1.5, text="To be or\nnot.", bits=[1.0] * 13
)


def test_lines_of_the_picture_break_at_spaces():
    text = "one two\nthree four"
    assert ["".join(text[i] for i in line) for line in wrapped(text, 9)] == ["one two", "three", "four"]
    assert ["".join(text[i] for i in line) for line in wrapped(text, 13)] == ["one two\nthree", "four"]


def test_a_picture_says_what_it_was_made_of(tmp_path):
    from PIL import Image

    draw(_shown, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as made:
        assert made.text[picture_key] == digest_of_picture(_shown) != digest_of_picture(_shown | dict(ngrams=1.6))
    assert [o.name for o in tmp_path.iterdir()] == ["a.png"]


def test_the_picture_of_the_readme_shows_the_numbers_of_the_index():
    from PIL import Image

    with Image.open(picture) as made:
        assert made.text[picture_key] == digest_of_picture(
            numbers(json.loads((root / "nbs/index.ipynb").read_text(encoding="utf-8")))
        ), "make readme"
        assert made.width <= 720
    assert picture.stat().st_size <= 150_000


def test_the_badges_say_what_the_settings_say():
    for name, svg in badges().items():
        assert (folder / name).read_text(encoding="utf-8") == svg, "make readme"
    assert "3.11 – 3.14" in badges()["python.svg"] and ">2.8<" in badges()["fastai.svg"]
