"""The site's link checker: it finds what leads nowhere, and nothing else."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent/"tools"))
from docs import broken_links


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
