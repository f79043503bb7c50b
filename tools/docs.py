"""The site: every notebook executed, then all pages as static HTML in build/docs/html, and every link in them checked.

    python tools/docs.py            what has been executed and has not changed since, package included, is not executed again
    IN_TEST=1 python tools/docs.py  the same in a minute or two, with networks that have hardly learnt

Nothing is called over the network: links to other sites are only looked at for their form.
"""
import hashlib,os,shutil,subprocess,sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote,urlsplit

root = Path(__file__).parent.parent
build = root/"build/docs"
executed,source,html = build/"executed",build/"source",build/"html"
pages = ["README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "REPRODUCTION", "BENCHMARKS", "SAMPLES"]

conf = """
project = "fastai_charrnn"
author = copyright = "The fastai_charrnn developers"
extensions = ["myst_nb"]
nb_execution_mode = "off" # they are executed already
nb_merge_streams = True
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["mystnb.unknown_mime_type"]
html_theme = "furo"
html_title = "fastai_charrnn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
"""

css = """
.cell_output img { max-width: 100%; height: auto; }
.cell_output .output, .cell_output table.dataframe { font-size: .85rem; }
.cell_output .output.text_html, .table-wrapper { overflow-x: auto; }
.content table.dataframe { border-collapse: collapse; border: 0; margin: 0; }
.content table.dataframe td, .content table.dataframe th { padding: .15rem .6rem; text-align: right; border: 1px solid var(--color-background-border); }
"""


def notebooks(): # those whose path has no hidden part, in order
    return [o.relative_to(root/"nbs") for o in sorted((root/"nbs").rglob("*.ipynb")) if not any(p.startswith((".", "_")) for p in o.relative_to(root/"nbs").parts)]


def stamp(rel):
    "A digest of all that the outputs of a notebook come from."
    h = hashlib.sha256(os.environ.get("IN_TEST", "").encode())
    for o in [root/"nbs"/rel, *sorted((root/"fastai_charrnn").glob("*.py"))]: h.update(o.read_bytes())
    return h.hexdigest()


def execute(rel):
    "Run a notebook in its own folder, unless that has been done."
    import nbformat
    from nbclient import NotebookClient
    out = executed/rel
    done = out.with_suffix(".sha256")
    if out.exists() and done.exists() and done.read_text() == stamp(rel): return
    print(f"executing {rel}", flush=True)
    nb = nbformat.read(root/"nbs"/rel, as_version=4)
    NotebookClient(nb, timeout=1800, kernel_name="python3", resources=dict(metadata=dict(path=str((root/"nbs"/rel).parent)))).execute()
    out.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, out)
    done.write_text(stamp(rel))


def title(rel):
    "The first heading of a notebook."
    import nbformat
    return next(line[2:] for c in nbformat.read(root/"nbs"/rel, as_version=4).cells for line in c.source.splitlines() if line.startswith("# "))


def write_source():
    "The folder that Sphinx reads."
    shutil.rmtree(source, ignore_errors=True)
    (source/"_static").mkdir(parents=True)
    (source/"conf.py").write_text(conf)
    (source/"_static/site.css").write_text(css)
    for name in pages: shutil.copy(root/f"{name}.md", source)
    shutil.copy(root/"LICENSE", source)
    shutil.copytree(root/"benchmarks/pictures", source/"benchmarks/pictures")
    for rel in notebooks():
        (source/rel).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(executed/rel, source/rel)
    def tree(caption, docs): return "\n".join(["```{toctree}", f":caption: {caption}", ":maxdepth: 1", "", *docs, "```"])
    def docs(where): return [str(o.with_suffix("")) for o in notebooks() if (o.parent == Path(where))]
    readme = (root/"README.md").read_text(encoding="utf-8").replace("[nbs](nbs)", "`nbs`").replace("](nbs/", "](")
    trees = [tree("Tutorials", docs("tutorials")), tree("Reference", docs(".")), tree("The project", pages[1:])]
    (source/"index.md").write_text("\n\n".join([readme, *trees]) + "\n")
    (source/"README.md").unlink()


class _Links(HTMLParser):
    "The addresses of a page, and the names that others can point to."
    def __init__(self, text):
        super().__init__()
        self.links,self.names = [],set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for k,v in attrs:
            if k in ("href", "src") and v and tag not in ("use",): self.links.append(v)
            if k in ("id", "name") and v: self.names.add(v)


def broken_links(folder): # a sentence for each
    "Links that lead nowhere within the site, and outer ones that are no https address."
    files = {o: _Links(o.read_text(encoding="utf-8")) for o in sorted(folder.rglob("*.html"))}
    for page,parsed in files.items():
        for link in parsed.links:
            url = urlsplit(link)
            where = f"{page.relative_to(folder)}: {link[:100]}"
            if url.scheme in ("data", "mailto"): continue
            if url.scheme or url.netloc:
                if url.scheme != "https" or not url.netloc: yield f"{where} is not an https address"
                continue
            to = (page.parent/unquote(url.path)).resolve() if url.path else page.resolve()
            to = to/"index.html" if to.is_dir() else to
            if not to.is_file() or not to.is_relative_to(folder.resolve()): yield f"{where} leads nowhere"
            elif url.fragment and to in files and unquote(url.fragment) not in files[to].names: yield f"{where}: the page has no such place"


def main():
    for rel in notebooks(): execute(rel)
    write_source()
    shutil.rmtree(html, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", source, html], check=True)
    if broken := list(broken_links(html.resolve())): sys.exit("\n".join(broken))
    print(f"{len(list(html.rglob('*.html')))} pages, every link leads somewhere: {html/'index.html'}")


if __name__ == "__main__": main()
