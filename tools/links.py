"""The links of a folder of HTML pages: which lead nowhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Links(HTMLParser):
    "The addresses of a page, and the names that others can point to."

    def __init__(self, text):
        super().__init__()
        self.links = []
        self.names = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for k, v in attrs:
            if k in ("href", "src") and v and tag != "use":
                self.links.append(v)
            if k in ("id", "name") and v:
                self.names.add(v)


def broken_links(
    folder: Path,  # with HTML pages
):  # a sentence for each
    "Links that lead nowhere within the site, and outer ones that are no https address."
    files = {o: _Links(o.read_text(encoding="utf-8")) for o in sorted(folder.rglob("*.html"))}
    for page, parsed in files.items():
        for link in parsed.links:
            if fault := _fault(link, page, folder, files):
                yield f"{page.relative_to(folder)}: {link[:100]} {fault}"


def _fault(link, page, folder, files):
    "What is wrong with one link; None if nothing is."
    url = urlsplit(link)
    if url.scheme in ("data", "mailto"):
        return None
    if url.scheme or url.netloc:
        return None if url.scheme == "https" and url.netloc else "is not an https address"
    to = (page.parent / unquote(url.path)).resolve() if url.path else page.resolve()
    to = to / "index.html" if to.is_dir() else to
    if not to.is_file() or not to.is_relative_to(folder.resolve()):
        return "leads nowhere"
    if url.fragment and to in files and unquote(url.fragment) not in files[to].names:
        return "leads to a page that has no such place"
    return None
