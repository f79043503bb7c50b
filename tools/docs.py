"""Build the documentation site as static HTML in build/docs/html, and check every link.

    python tools/docs.py            execute the reference pages and build the site
    IN_TEST=1 python tools/docs.py  with smaller networks, in less time

Tutorials and the index are executed only if their stored outputs are not current. A page that was executed before is
executed again only after it or the package changed. The front page is nbs/index.ipynb. It links to a page in which the
pretrained model of Nietzsche runs. Links to other sites are not followed, only their form is checked.
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
from site_notebooks import shown
from tidy import tidied

build = root / "build/docs"
executed = build / "executed"
source = build / "source"
html = build / "html"
# settings of Sphinx and the style sheet
site = root / "tools/site"
reports = sorted(f"results/{path.stem}" for path in (root / "results").glob("*.md"))
# Markdown files that become pages
pages = [
    "ARCHITECTURE",
    "CONTRIBUTING",
    "CHANGELOG",
    *reports,
    "examples/README",
    "docs/your-own-text",
    "docs/text-generation",
    "docs/sequences",
    "docs/looking-inside",
    "docs/sharing",
    "fastai_charrnn/share/pretrained/nietzsche",
    "fastai_charrnn/share/pretrained/python",
    "docs/architectures",
    "docs/model-files",
    "docs/gpu-and-many-processes",
    "docs/results",
    "docs/reference",
    "docs/verbs",
    "docs/long-trainings",
    "docs/bad-input",
    "docs/citing",
]
# folders of reference pages, in the order of the sidebar
reference_folders = [".", "data", "models", "training", "generation", "io", "analysis", "page", "serve", "share", "cli"]
# pictures wider than this scroll on phones
max_narrow = 800
# the page in which a model runs, and the cell of the front page that links to it
live_name = "nietzsche.html"
live_link = f"""<p><strong><a href="{live_name}">Try a model in your browser</a></strong>: a network that read Nietzsche
shows what it expects next while you type, and continues your text. It runs in the page, without a server.</p>"""


# notebooks


def stamp(
    rel: Path,  # a notebook, relative to nbs/
) -> str:
    "A digest of what the outputs of a notebook depend on: the notebook, the package and `IN_TEST`."
    digest = hashlib.sha256(os.environ.get("IN_TEST", "").encode())
    package = [path for path in sorted((root / "fastai_charrnn").rglob("*")) if path.is_file()]
    package = [path for path in package if path.suffix != ".pyc"]
    for path in [nbs / rel, *sorted(nbs.glob("*.py")), *package]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def with_outputs(
    rel: Path,  # a notebook, relative to nbs/
) -> Path:  # of a notebook with outputs
    "The notebook itself if its stored outputs are current, else a copy that is executed if necessary."
    import nbformat

    notebook = nbformat.read(nbs / rel, as_version=4)
    if has_outputs(rel) and is_current(notebook):
        return nbs / rel
    copy = executed / rel
    stamp_path = copy.with_suffix(".stamp")
    if copy.exists() and stamp_path.exists() and stamp_path.read_text() == stamp(rel):
        return copy
    times = execute(notebook, (nbs / rel).parent)
    copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(tidied(notebook), copy)
    stamp_path.write_text(stamp(rel))
    print(f"{rel}: {times['seconds']:.1f} s, {times['cpu_seconds']:.1f} s of processor time", flush=True)
    return copy


def front_page(
    notebook,  # nbs/index.ipynb, of nbformat
):
    "The index, changed: links start at the root, a model can be tried, and the sidebar lists all pages."
    import nbformat

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = from_root(cell.source, "")
    # after the title and the line about the package
    title, about, rest = notebook.cells[0].source.split("\n\n", 2)
    notebook.cells[0].source = "\n\n".join([title, about, live_link, rest])
    tutorials = _names("tutorials")
    reference = [name for folder in reference_folders for name in _names(folder)]
    for caption, entries in (("Tutorials", tutorials), ("Reference", reference), ("The project", pages)):
        notebook.cells.append(nbformat.v4.new_markdown_cell(_toctree(caption, entries)))
    return notebook


def _names(folder):
    "The notebooks of a folder, without their suffix."
    in_folder = [path for path in notebooks() if path.parent == Path(folder) and path.stem != "index"]
    return [path.with_suffix("").as_posix() for path in in_folder]


def _toctree(caption, entries):
    return "\n".join(["```{toctree}", f":caption: {caption}", ":hidden:", "", *entries, "```"])


# the site


def write_source(
    paths: dict[Path, Path],  # notebooks with outputs, by their paths relative to nbs/
):
    "Write the folder that Sphinx reads."
    shutil.rmtree(source, ignore_errors=True)
    (source / "_static").mkdir(parents=True)
    shutil.copy(site / "conf.py", source)
    shutil.copy(site / "site.css", source / "_static")
    shutil.copy(root / "LICENSE", source)
    for folder in ("results/pictures", "examples", "docs"):
        shutil.copytree(root / folder, source / folder)
    for name in pages:
        _write_page(name)
    for rel, path in paths.items():
        _write_notebook(rel, path)


def _write_page(name):
    "Copy a Markdown page. Links to notebooks lose the folder nbs/, which the site does not have."
    text = (root / f"{name}.md").read_text(encoding="utf-8")
    path = source / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"\]\((\.\./)?nbs/", r"](\1", text))


def _write_notebook(rel, path):
    import nbformat

    notebook = shown(nbformat.read(path, as_version=4))
    if rel == Path("index.ipynb"):
        notebook = front_page(notebook)
    (source / rel).parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, source / rel)


def write_live_page():
    "Write the page in which the pretrained model of Nietzsche runs."
    from fastai_charrnn.all import load_pretrained

    load_pretrained("nietzsche", device="cpu").to_page(html / live_name, title="Nietzsche")


def mark_wide_pictures():
    "Give wide pictures a class, and for phones a width at which their text can be read."
    image = re.compile(r'<img ((?:[^>]*?)src="[./]*_images/([\w-]+\.png)")')
    for page in html.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(image.sub(_marked, text), encoding="utf-8")


def _marked(match):
    "The tag of a picture, with a class if the picture is wide."
    attributes, name = match.groups()
    width = _png_width(html / "_images" / name)
    if width <= max_narrow:
        return match[0]
    return f'<img class="wide" style="--phone: {width * 5 // 8}px" {attributes}'


def _png_width(path):
    "The width of a PNG in pixels, from its header."
    return int.from_bytes(path.read_bytes()[16:20], "big")


def main():
    # tutorials first, because they take longest
    rels = sorted(notebooks(), key=lambda rel: rel.parts[0] != "tutorials")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        paths = dict(zip(rels, pool.map(with_outputs, rels)))
    write_source(paths)
    shutil.rmtree(html, ignore_errors=True)
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", source, html]
    subprocess.run(sphinx, check=True)
    mark_wide_pictures()
    write_live_page()
    if faults := list(broken_links(html.resolve())):
        sys.exit("\n".join(faults))
    n_pages = len(list(html.rglob("*.html")))
    print(f"{n_pages} pages, no broken links: {html / 'index.html'}")


if __name__ == "__main__":
    main()
