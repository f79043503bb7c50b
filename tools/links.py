"""Find broken links in a folder of HTML pages."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    "The links of a page, and the anchors that other links can point to."

    def __init__(self, text):
        super().__init__()
        self.links = []
        self.anchors = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value and tag != "use":
                self.links.append(value)
            if name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(
    folder: Path,  # with HTML pages
) -> Iterator[str]:  # a sentence each
    "Find links to files or anchors that do not exist, and links to other sites that do not use https."
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        for link in page.links:
            if fault := _fault(link, path, folder, pages):
                yield f"{path.relative_to(folder)}: {link[:100]} {fault}"


def _fault(link, path, folder, pages):
    "What is wrong with one link. None: nothing."
    url = urlsplit(link)
    if url.scheme in ("data", "mailto"):
        return None
    if url.scheme or url.netloc:
        is_https = url.scheme == "https" and url.netloc
        return None if is_https else "is not an https address"
    target = (path.parent / unquote(url.path)).resolve() if url.path else path.resolve()
    if target.is_dir():
        target = target / "index.html"
    if not target.is_file() or not target.is_relative_to(folder.resolve()):
        return "leads to no file of the site"
    if url.fragment and target in pages and unquote(url.fragment) not in pages[target].anchors:
        return "leads to an anchor that does not exist"
    return None
