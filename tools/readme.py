"""Write README.md from nbs/index.ipynb and the reports in results/.

    python tools/readme.py   copy tables of results/*.md into the notebook, then write README.md

README has the notebook's Markdown, with links from the root, its code and what the code prints. Cells that begin with
`#| hide` are left out. Run `tools/outputs.py index.ipynb` first.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from report_tables import report_tables, with_tables

from fastai_charrnn._files import atomic_write

root = Path(__file__).parents[1]
hidden = "#| hide"


def from_root(
    text: str,  # Markdown with links relative to nbs/
    nbs: str = "nbs/",  # the path of that folder
) -> str:
    "The text with links relative to the folder above."
    return re.sub(r"(?<=\]\()(?!\w+:|#)(\.\./)?", lambda match: "" if match[1] else nbs, text)


# outputs as text


class _Table(HTMLParser):
    "The cells of an HTML table, row by row."

    def __init__(self, html):
        super().__init__()
        self.rows = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def table_text(
    html: str,  # with a table
) -> str:
    "An HTML table as text with right-aligned columns."
    rows = _Table(html).rows
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [[cell.rjust(width) for cell, width in zip(row, widths)] for row in rows]
    return "\n".join("  ".join(line) for line in lines)


def printed(
    output: dict,  # of a code cell
) -> str:  # empty for a picture, a progress bar or an error stream
    "The text that a terminal would show."
    if output["output_type"] == "stream":
        return "".join(output["text"]) if output["name"] == "stdout" else ""
    data = {mime: "".join(content) for mime, content in output.get("data", {}).items() if mime.startswith("text/")}
    text = data.get("text/plain", "")
    # "<Figure …>" or "<IPython.core.display.HTML object>"
    is_object = text.startswith("<")
    if is_object and "<table" in data.get("text/html", ""):
        return table_text(data["text/html"])
    return "" if is_object else text


def folded(
    text: str,  # what a cell prints
    width: int = 90,  # characters in a line, at most
) -> str:
    "The text with long lines wrapped at spaces. Short lines keep their columns."
    lines = []
    for line in text.split("\n"):
        lines += textwrap.wrap(line, width) if len(line) > width else [line]
    return "\n".join(lines)


# the notebook as Markdown


def readme(
    notebook: dict,  # nbs/index.ipynb
) -> str:  # README.md
    "The notebook's Markdown and code, and what the code prints. Code cells that print nothing are joined to the next."
    return "\n\n".join(_blocks(notebook["cells"])) + "\n"


def _blocks(cells) -> Iterator[str]:
    "Yield the paragraphs and code blocks of README."
    code = []
    for cell in cells:
        source = "".join(cell["source"])
        if source.startswith(hidden):
            continue
        if cell["cell_type"] == "code":
            code.append(source)
            block = _printed_block(cell)
        else:
            block = from_root(source)
        if block:
            yield from _code_block(code)
            yield block
            code = []
    yield from _code_block(code)


def _code_block(sources):
    "One block of the code of several cells, or nothing."
    if sources:
        yield "```python\n" + "\n".join(sources) + "\n```"


def _printed_block(cell):
    "What a code cell prints, empty if it prints nothing."
    texts = [printed(output).strip("\n") for output in cell["outputs"]]
    text = "\n".join(text for text in texts if text)
    return f"```text\n{folded(text)}\n```" if text else ""


def main():
    index = root / "nbs/index.ipynb"
    notebook = json.loads(index.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = with_tables("".join(cell["source"]), report_tables())
            cell["source"] = text.splitlines(True)
    # in the format of nbdev-clean
    atomic_write(index, json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n")
    atomic_write(root / "README.md", readme(notebook))


if __name__ == "__main__":
    main()
