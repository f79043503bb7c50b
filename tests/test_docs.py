"""The site's link checker finds what leads nowhere, and nothing else; a README says what its notebook says."""
from pathlib import Path

import pytest
from docs import broken_links,printed
from readme import from_root,readme,with_table


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


def _notebook(*cells): return dict(cells=[dict(cell_type=k, source=s.splitlines(True)) for k,s in cells])


def test_a_readme_joins_code_and_leaves_out_what_is_hidden():
    nb = _notebook(("markdown", "# Title"), ("code", "a = 1\nb = 2"), ("code", "#| hide\nassert a"), ("code", "a+b"), ("markdown", "One."), ("markdown", "Two."))
    assert readme(nb) == "# Title\n\n```python\na = 1\nb = 2\na+b\n```\n\nOne.\n\nTwo.\n"


@pytest.mark.parametrize("link,there", [("01_corpus.ipynb", "nbs/01_corpus.ipynb"), ("../LICENSE", "LICENSE"), ("tutorials/01.ipynb#x", "nbs/tutorials/01.ipynb#x"),
                                        ("https://docs.fast.ai", "https://docs.fast.ai"), ("#top", "#top")])
def test_links_start_from_the_root_in_a_readme(link, there): assert from_root(f"see [this]({link}), f(x)") == f"see [this]({there}), f(x)"


def test_only_what_is_between_the_markers_is_replaced():
    assert with_table("a\n<!-- reproduction -->\nold\n<!-- /reproduction -->\nb", "| new |") == "a\n<!-- reproduction -->\n| new |\n<!-- /reproduction -->\nb"
    assert with_table("no markers", "| new |") == "no markers"


def test_the_record_keeps_what_a_notebook_prints_of_losses(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    v4 = nbformat.v4
    def cell(source, text): return v4.new_code_cell(source, outputs=[v4.new_output("stream", text=text)])
    nbformat.write(v4.new_notebook(cells=[cell("print(loss)", "valid 1.5080\n"), cell("print(loss)", "none yet"), cell("print(x)", "3.1416")]), tmp_path/"a.ipynb")
    monkeypatch.setattr("docs.executed", tmp_path)
    assert printed(Path("a.ipynb")) == "```text\nvalid 1.5080\n```"
