"""Broken links of the site are found."""

import pytest
from links import broken_links


@pytest.fixture
def check(tmp_path):
    "Write a page with some HTML into a small site. Returns the broken links of the site."
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
def test_a_valid_link_has_no_fault(check, link):
    assert check(f'<a href="{link}">x</a><img src="{link}">') == []


@pytest.mark.parametrize(
    "link,fault",
    [
        ("../absent.html", "leads to no file of the site"),
        ("../other%20page.html#bottom", "leads to an anchor that does not exist"),
        ("#there", "leads to an anchor that does not exist"),
        ("../../outside.html", "leads to no file of the site"),
        ("http://docs.fast.ai", "is not an https address"),
        ("file:///etc/passwd", "is not an https address"),
    ],
)
def test_a_broken_link_is_reported_with_its_page(check, link, fault):
    [report] = check(f'<a href="{link}">x</a>')
    assert report == f"deep/page.html: {link} {fault}"
