"""README.md, made from nbs/index.ipynb and the committed reports.

    python tools/readme.py   copies tables of results/*.md into the notebook, then writes README.md

README has the notebook's texts, with links as seen from the root, and its code with what it prints: run
`tools/outputs.py index.ipynb` first. Cells that begin with `#| hide` are left out.
"""

import json
import os
import re
import textwrap
from html.parser import HTMLParser
from pathlib import Path

root = Path(__file__).parent.parent
hidden = "#| hide"


# the tables of the reports


def rows_after(
    report: str,  # Markdown with a table after `start`
    start: str = "",  # a piece of text in the report
) -> list[dict[str, str]]:  # a row each, by the names of its columns
    "The first table after a piece of text."
    lines = report[report.index(start) :].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    after = (i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    names, _, *rows = [_cells(line) for line in lines[first : next(after, len(lines))]]
    return [dict(zip(names, row)) for row in rows]


def _cells(line):
    return [o.strip() for o in line.strip().strip("|").split("|")]


def table(
    names: list[str],  # of the columns
    rows: list[list[str]],  # the cells of each row
) -> str:  # Markdown
    "A table."
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def lesson_table(
    reproduction: str,  # results/REPRODUCTION.md
    leaderboard: str,  # results/LEADERBOARD.md
) -> str:  # Markdown
    "What lesson 6 printed for each of its ten networks, and what its schedule and one cycle give here."
    rows = []
    for o in rows_after(reproduction):
        rows.append([o["arch"], o["epochs"], o["printed"], _median(o["ours, same schedule"]), o["ours, one cycle"]])
    for o in rows_after(leaderboard, "## The lesson's other networks"):
        rows.append([o["network"].split(",")[0], o["epochs"], o["printed"], o["ours"], ""])
    return table(["network", "epochs", "lesson 6", "ours", "ours, one cycle"], rows)


def _median(cell):
    return cell.split(" (")[0]  # without the range over seeds


# what to show of the leaderboard: how a row begins, and how README calls it
shown_rows = {
    "n-grams": "counting n-grams",
    "plain PyTorch LSTM": "LSTM in plain PyTorch",
    "rnn, windows": "lesson 6's `rnn`",
    "best, 1 min": "best recipe, 1 minute",
    "best, 5 min": "best recipe, 5 minutes",
    "best, 15 min": "best recipe, 15 minutes",
}


def budget_table(
    leaderboard: str,  # results/LEADERBOARD.md
) -> str:  # Markdown
    "How good some models are after how many seconds of training, beside n-grams."
    found = {k: row for k in shown_rows for row in rows_after(leaderboard) if row["what"].startswith(k)}
    counting = float(found["n-grams"]["nats, in its own way"])
    rows = [_budget_row(shown_rows[k], row, counting) for k, row in found.items()]
    return table(["model", "seconds", "loss", "against n-grams"], rows)


def _budget_row(name, row, counting):
    nats = float(row["nats, in its own way"])
    return [name, row["seconds of training"], f"{nats:.4f}", f"{nats - counting:+.4f}" if nats != counting else ""]


def with_tables(
    text: str,  # with or without markers such as <!-- lesson6 --> and <!-- /lesson6 -->
    tables: dict[str, str],  # by the names of their markers
) -> str:
    "The text with other tables between its markers."
    for name, content in tables.items():
        between = rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)"
        text = re.sub(between, lambda _, content=content: content + "\n", text, flags=re.S)
    return text


def report_tables() -> dict[str, str]:  # Markdown, by the names of their markers
    "The tables as the committed reports have them."
    reproduction = (root / "results/REPRODUCTION.md").read_text(encoding="utf-8")
    leaderboard = (root / "results/LEADERBOARD.md").read_text(encoding="utf-8")
    return dict(lesson6=lesson_table(reproduction, leaderboard), budget=budget_table(leaderboard))


# the notebook as Markdown


def from_root(
    text: str,  # Markdown whose relative links start from nbs/
    nbs: str = "nbs/",  # where that folder lies
) -> str:
    "The same with links that start one folder up."
    return re.sub(r"(?<=\]\()(?!\w+:|#)(\.\./)?", lambda m: "" if m[1] else nbs, text)


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
    "An HTML table as lines of text, its columns to the right."
    rows = _Table(html).rows
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows)


def printed(
    output: dict,  # of a code cell
) -> str:  # empty for a picture, a progress bar or an error stream
    "The text that a terminal would show."
    if output["output_type"] == "stream":
        return "".join(output["text"]) if output["name"] == "stdout" else ""
    data = {mime: "".join(o) for mime, o in output.get("data", {}).items() if mime.startswith("text/")}
    text = data.get("text/plain", "")
    if "<table" in data.get("text/html", "") and text.startswith("<"):
        return table_text(data["text/html"])
    return "" if text.startswith("<") else text  # a picture, or HTML that is no table


def folded(
    text: str,  # what a cell prints
    width: int = 90,  # characters in a line, at most
) -> str:
    "Text whose long lines go on in the next, as in a terminal, but broken at spaces."
    return "\n".join("\n".join(textwrap.wrap(line, width)) if len(line) > width else line for line in text.split("\n"))


def readme(
    nb: dict,  # nbs/index.ipynb
) -> str:  # README.md
    "The notebook's texts and code, and what the code prints. Code cells that print nothing join the next."
    parts, code = [], []
    for c in nb["cells"]:
        source = "".join(c["source"])
        if source.startswith(hidden):
            continue
        if c["cell_type"] == "markdown":
            parts += [*_block("python", code), from_root(source)]
            code = []
            continue
        code.append(source)
        if text := "\n".join(filter(None, (printed(o).strip("\n") for o in c["outputs"]))):
            parts += [*_block("python", code), *_block("text", [folded(text)])]
            code = []
    return "\n\n".join([*parts, *_block("python", code)]) + "\n"


def _block(language, texts):
    return [f"```{language}\n" + "\n".join(texts) + "\n```"] if texts else []


def _write(path, text):
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def main():
    index = root / "nbs/index.ipynb"
    nb = json.loads(index.read_text(encoding="utf-8"))
    for c in nb["cells"]:
        if c["cell_type"] == "markdown":
            c["source"] = with_tables("".join(c["source"]), report_tables()).splitlines(True)
    _write(index, json.dumps(nb, sort_keys=True, indent=1, ensure_ascii=False) + "\n")  # as nbdev-clean stores it
    _write(root / "README.md", readme(nb))


if __name__ == "__main__":
    main()
