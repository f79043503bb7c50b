"""The site: every notebook executed, then all pages as static HTML in build/docs/html, and every link in them checked.

    python tools/docs.py            what has been executed and has not changed since, package included, is not executed again;
                                    writes NOTEBOOKS.md: how long each took, and what the tutorials print of losses
    IN_TEST=1 python tools/docs.py  the same in a few minutes, with networks that have hardly learnt, and without NOTEBOOKS.md

The front page is nbs/index.ipynb, of which README.md is made. Nothing is called over the network: links to other sites are only looked at for their form.
"""
import hashlib,json,os,re,resource,shutil,subprocess,sys,time
from concurrent.futures import ProcessPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote,urlsplit

from readme import from_root,hidden

root = Path(__file__).parent.parent
build = root/"build/docs"
executed,source,html = build/"executed",build/"source",build/"html"
pages = ["ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "REPRODUCTION", "BENCHMARKS", "SAMPLES", "LEADERBOARD", "NOTEBOOKS", "examples/README"]

conf = """
project = "fastai_charrnn"
author = copyright = "The fastai_charrnn developers"
extensions = ["myst_nb"]
nb_execution_mode = "off" # they are executed already
nb_merge_streams = True
myst_heading_anchors = 3
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
.cell_output, .cell_output .output.text_html, .table-wrapper { overflow-x: auto; }
.content table.dataframe td { vertical-align: top; }
@media (max-width: 46em) { .content img.wide { max-width: none; width: var(--phone); } .content p:has(img.wide) { overflow-x: auto; } } /* on a phone its letters would be too small */
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
    "Run a notebook in its own folder and on one thread, unless that has been done."
    import nbformat
    from nbclient import NotebookClient
    out = executed/rel
    if _done(rel).get("stamp") == stamp(rel): return
    os.environ["OMP_NUM_THREADS"] = "1" # as many notebooks run at a time as there are processors
    before,nb = _clocks(),nbformat.read(root/"nbs"/rel, as_version=4)
    NotebookClient(nb, timeout=1800, kernel_name="python3", resources=dict(metadata=dict(path=str((root/"nbs"/rel).parent)))).execute()
    out.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, out)
    wall,cpu = (b-a for a,b in zip(before, _clocks()))
    out.with_suffix(".json").write_text(json.dumps(dict(stamp=stamp(rel), wall=wall, cpu=cpu)))
    print(f"{rel}: {wall:.1f} s, {cpu:.1f} s of processor time", flush=True)


def _clocks(): # seconds: of the clock, and of processors in processes that have ended
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(),used.ru_utime+used.ru_stime


def _done(rel): # stamp and times of the last execution, if its outputs are there
    out = (executed/rel).with_suffix(".json")
    return json.loads(out.read_text()) if out.exists() and (executed/rel).exists() else {}


_of_losses = re.compile(r"loss|recorder|valid\b|nats|bits", re.I)


def printed(rel): # Markdown
    "What a notebook prints that is of losses, by what is printed or by the cell that prints it, if there is a number in it."
    import nbformat
    outs = [(c.source, o.get("text") or o.get("data", {}).get("text/plain", "")) for c in nbformat.read(executed/rel, as_version=4).cells if c.cell_type == "code" for o in c.outputs]
    return "\n".join(f"```text\n{t.strip(chr(10))}\n```" for s,t in outs if _of_losses.search(s+t) and re.search(r"\d\.\d\d", t) and "object at" not in t) or "No losses."


def record(): # NOTEBOOKS.md
    "How long each notebook took, and the losses of the tutorials."
    from fastai_charrnn.reproduce import machine
    took = {rel: _done(rel) for rel in notebooks()}
    rows = "\n".join(f"| [{title(rel)}](nbs/{rel}) | {t['wall']:.0f} | {t['cpu']:.0f} |" for rel,t in took.items())
    tutorials = [f"## {title(rel)}\n\n{printed(rel)}" for rel in took if rel.parent.name == "tutorials"]
    wall,cpu = (sum(t[k] for t in took.values())/60 for k in ("wall", "cpu"))
    head = (f"# The notebooks, executed\n\nWritten by `make docs`, which executes every notebook in full, on one thread each and as many at a time as there are processors: "
            f"{wall:.0f} minutes one by one, {cpu:.0f} of processor time (the difference is other work on the machine), on {machine()}. Below, what the tutorials print of losses.")
    return "\n\n".join([head, f"| notebook | seconds | processor time |\n| --- | --- | --- |\n{rows}", *tutorials]) + "\n"


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
    for folder in ("benchmarks/pictures", "examples"): shutil.copytree(root/folder, source/folder)
    for name in pages: (source/f"{name}.md").write_text((root/f"{name}.md").read_text(encoding="utf-8").replace("](nbs/", "]("))
    shutil.copy(root/"LICENSE", source)
    for rel in notebooks(): _copy(rel)
    _write_front()


def _copy(rel):
    "A notebook as executed, without the progress bars that are left when all is done."
    import nbformat
    nb = nbformat.read(executed/rel, as_version=4)
    for c in nb.cells:
        if c.cell_type == "code": c.outputs = [o for o in c.outputs if "<progress" not in (shown := o.get("data", {}).get("text/html", "")) or "<table" in shown]
    (source/rel).parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, source/rel)


def _write_front():
    "The index, without what is hidden, and with what the sidebar lists."
    import nbformat
    nb = nbformat.read(source/"index.ipynb", as_version=4)
    nb.cells = [c for c in nb.cells if not c.source.startswith(hidden)]
    for c in nb.cells:
        if c.cell_type == "markdown": c.source = from_root(c.source, "")
    def tree(caption, docs): return "\n".join(["```{toctree}", f":caption: {caption}", ":hidden:", "", *docs, "```"])
    def docs(where): return [str(o.with_suffix("")) for o in notebooks() if o.parent == Path(where) and o.stem != "index"]
    nb.cells += [nbformat.v4.new_markdown_cell(tree(*o)) for o in (("Tutorials", docs("tutorials")), ("Reference", docs(".")), ("The project", pages))]
    nbformat.write(nb, source/"index.ipynb")


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


def _mark_wide_pictures():
    "Give pictures of more than 800 pixels a class of their own, and a width for phones at which their letters can be read."
    def marked(m):
        width = int.from_bytes((html/"_images"/m[2]).read_bytes()[16:20], "big") # of a PNG
        return f'<img class="wide" style="--phone: {width*5//8}px" {m[1]}' if width > 800 else m[0]
    for page in html.rglob("*.html"): page.write_text(re.sub(r'<img ((?:[^>]*?)src="[./]*_images/([\w-]+\.png)")', marked, page.read_text(encoding="utf-8")), encoding="utf-8")


def main():
    with ProcessPoolExecutor(os.cpu_count()) as pool: # tutorials first, for they take longest
        for done in [pool.submit(execute, rel) for rel in sorted(notebooks(), key=lambda o: len(o.parts), reverse=True)]: done.result()
    if not os.environ.get("IN_TEST"): (root/"NOTEBOOKS.md").write_text(record(), encoding="utf-8")
    write_source()
    shutil.rmtree(html, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", source, html], check=True)
    _mark_wide_pictures()
    if broken := list(broken_links(html.resolve())): sys.exit("\n".join(broken))
    print(f"{len(list(html.rglob('*.html')))} pages, every link leads somewhere: {html/'index.html'}")


if __name__ == "__main__": main()
