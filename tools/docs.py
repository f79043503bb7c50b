"""The site: every page as static HTML in build/docs/html, with every link in it checked.

    python tools/docs.py            executes the reference pages; the tutorials and the index bring their outputs with them,
                                    as long as these are current. What was executed and has not changed since, the package
                                    included, is not executed again
    IN_TEST=1 python tools/docs.py  the same with smaller networks, in less time

The front page is nbs/index.ipynb, from which README.md is made.
Nothing is called over the network: of links to other sites only the form is checked.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from links import broken_links
from notebooks import execute, has_outputs, is_current, nbs, notebooks, root
from readme import from_root
from tidy import tidied

build = root / "build/docs"
executed = build / "executed"
source = build / "source"
html = build / "html"
pages = [
    "ARCHITECTURE",
    "CONTRIBUTING",
    "CHANGELOG",
    "results/REPRODUCTION",
    "results/BENCHMARKS",
    "results/SAMPLES",
    "results/LEADERBOARD",
    "results/NOTEBOOKS",
    "results/EXPERIMENTS",
    "examples/README",
    "docs/your-own-text",
    "docs/text-generation",
    "docs/sequences",
    "docs/architectures",
    "docs/model-files",
    "docs/gpu-and-many-processes",
    "docs/results",
    "docs/reference",
    "docs/citing",
]

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
.content table.dataframe { border-collapse: collapse; border: 0; margin: 0; }
.content table.dataframe td { vertical-align: top; }
.content table.dataframe td, .content table.dataframe th {
  padding: .15rem .6rem; text-align: right; border: 1px solid var(--color-background-border);
}
.content .cell_output table:not(.dataframe) th, .content .cell_output table:not(.dataframe) td { padding: .15rem .6rem; }
/* the table of parameters is as wide as the text; its last column has no name */
table.docutils:has(th:nth-child(4):last-child > p:empty) { width: 100%; }
table.docutils:has(th:nth-child(4):last-child > p:empty) td { vertical-align: top; }
@media (max-width: 46em) {
  /* on a phone the letters of a wide picture would be too small */
  .content img.wide { max-width: none; width: var(--phone); }
  .content p:has(img.wide) { overflow-x: auto; }
  /* and a parameter is two lines: name, type and default, then what it means */
  table.docutils:has(th:nth-child(4):last-child > p:empty) thead { display: none; }
  table.docutils:has(th:nth-child(4):last-child > p:empty) tr { display: block; padding: .3rem 0; }
  table.docutils:has(th:nth-child(4):last-child > p:empty) td { display: inline; border: 0; padding: 0 .3rem; }
  table.docutils:has(th:nth-child(4):last-child > p:empty) td p { display: inline; }
  table.docutils:has(th:nth-child(4):last-child > p:empty) td:last-child { display: block; }
}
/* methods are not in the list of a page's sections */
.toc-tree ul ul ul ul { display: none; }
"""


def stamp(
    rel: Path,  # of a notebook, relative to nbs/
) -> str:
    "A digest of all that the outputs of a notebook depend on: the notebook, the package, and `IN_TEST`."
    h = hashlib.sha256(os.environ.get("IN_TEST", "").encode())
    for o in [nbs / rel, *sorted(nbs.glob("*.py")), *sorted((root / "fastai_charrnn").glob("*.py"))]:
        h.update(o.read_bytes())
    return h.hexdigest()


def with_outputs(
    rel: Path,  # of a notebook, relative to nbs/
) -> Path:  # of the notebook to show, for nbformat
    "The notebook itself if its stored outputs are current, else one executed now or before."
    import nbformat

    nb = nbformat.read(nbs / rel, as_version=4)
    out = executed / rel
    if has_outputs(rel) and is_current(nb):
        return nbs / rel
    digest = out.with_suffix(".stamp")
    if out.exists() and digest.exists() and digest.read_text() == stamp(rel):
        return out
    took = execute(nb, (nbs / rel).parent)
    out.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(tidied(nb), out)
    digest.write_text(stamp(rel))
    print(f"{rel}: {took['seconds']:.1f} s, {took['cpu_seconds']:.1f} s of processor time", flush=True)
    return out


def write_source(
    paths: dict[Path, Path],  # where each notebook is, with its outputs
):
    "The folder that Sphinx reads."
    import nbformat

    shutil.rmtree(source, ignore_errors=True)
    (source / "_static").mkdir(parents=True)
    (source / "conf.py").write_text(conf)
    (source / "_static/site.css").write_text(css)
    for folder in ("results/pictures", "examples", "docs"):
        shutil.copytree(root / folder, source / folder)
    for name in pages:
        text = (root / f"{name}.md").read_text(encoding="utf-8")
        (source / f"{name}.md").write_text(re.sub(r"\]\((\.\./)?nbs/", r"](\1", text))
    shutil.copy(root / "LICENSE", source)
    for rel, path in paths.items():
        nb = shown(nbformat.read(path, as_version=4))
        (source / rel).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(_front(nb) if rel == Path("index.ipynb") else nb, source / rel)


def _front(nb):
    "The index, with links from the root and with what the sidebar lists."
    import nbformat

    for c in nb.cells:
        if c.cell_type == "markdown":
            c.source = from_root(c.source, "")
    sidebar = {"Tutorials": _docs("tutorials"), "Reference": _docs("."), "The project": pages}
    nb.cells += [nbformat.v4.new_markdown_cell(_tree(*o)) for o in sidebar.items()]
    return nb


def _tree(caption, docs):
    return "\n".join(["```{toctree}", f":caption: {caption}", ":hidden:", "", *docs, "```"])


def _docs(where):
    return [str(o.with_suffix("")) for o in notebooks() if o.parent == Path(where) and o.stem != "index"]


_directive = re.compile(r"#\|\s*([\w-]+)\s*:?\s*(.*)")


def shown(
    nb,  # a notebook of nbformat
):
    "The same notebook, changed: without hidden cells, with folded ones marked for MyST-NB, and without directives."
    # nbdev-clean removes it; the lexer also knows `!command`
    nb.metadata["language_info"] = dict(name="python", pygments_lexer="ipython3")
    nb.cells = [_shown_cell(c) for c in nb.cells if not re.match(r"#\|\s*hide\s*$", c.source, re.M)]
    return nb


def _shown_cell(c):
    options, code = directives(c.source)
    if c.cell_type != "code":
        return c
    if code.startswith("show_doc("):
        return _entry(c)
    c.source = code
    tags = c.metadata.setdefault("tags", [])
    if options.get("echo") == "false":
        tags.append("remove-input")
    if options.get("code-fold") == "true":
        tags.append("hide-cell")
        prompt = options.get("code-summary", "Show code").strip("\"'")
        c.metadata["mystnb"] = dict(code_prompt_show=prompt, code_prompt_hide=prompt)
    return c


def _entry(c):
    "What `show_doc` gives, as a Markdown cell: so its headings can be linked and listed."
    import nbformat

    output = next(o for o in c.outputs if "text/markdown" in o.get("data", {}))
    return nbformat.v4.new_markdown_cell(output.data["text/markdown"])


def directives(
    source: str,  # of a cell
) -> tuple[dict[str, str], str]:  # by name, and what comes after them
    "The lines at the start of a cell that begin with `#|`, such as `#| code-fold: true`."
    lines, options = source.splitlines(), {}
    while lines and (found := _directive.match(lines[0])):
        options[found[1]] = found[2].strip()
        lines.pop(0)
    return options, "\n".join(lines)


def _mark_wide_pictures():
    "Give pictures of more than 800 pixels a class of their own, and a width for phones at which their letters can be read."
    for page in html.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r'<img ((?:[^>]*?)src="[./]*_images/([\w-]+\.png)")', _marked, text), encoding="utf-8")


def _marked(found):
    header = (html / "_images" / found[2]).read_bytes()[:24]
    width = int.from_bytes(header[16:20], "big")  # of a PNG
    return f'<img class="wide" style="--phone: {width * 5 // 8}px" {found[1]}' if width > 800 else found[0]


def main():
    rels = sorted(notebooks(), key=lambda o: len(o.parts), reverse=True)  # tutorials first, they take longest
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        paths = dict(zip(rels, pool.map(with_outputs, rels)))
    write_source(paths)
    shutil.rmtree(html, ignore_errors=True)
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", source, html]
    subprocess.run(sphinx, check=True)
    _mark_wide_pictures()
    if broken := list(broken_links(html.resolve())):
        sys.exit("\n".join(broken))
    print(f"{len(list(html.rglob('*.html')))} pages, every link leads somewhere: {html / 'index.html'}")


if __name__ == "__main__":
    main()
