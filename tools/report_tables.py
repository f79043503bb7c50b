"""Make the tables of README from the reports in results/: lesson 6's networks, and losses by training time."""

import re
from pathlib import Path

results = Path(__file__).parents[1] / "results"


def rows_after(
    report: str,  # Markdown with a table
    start: str = "",  # text in the report before the table
) -> list[dict[str, str]]:  # a row each, by the names of the columns
    "The rows of the first table after some text."
    lines = report[report.index(start) :].splitlines()
    table_lines = []
    for line in lines:
        if line.startswith("|"):
            table_lines.append(line)
        elif table_lines:
            break
    names, _, *rows = [_cells(line) for line in table_lines]
    return [dict(zip(names, row)) for row in rows]


def _cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def table(
    names: list[str],  # of the columns
    rows: list[list[str]],  # the cells of each row
) -> str:  # Markdown
    "A Markdown table."
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def lesson_table(
    reproduction: str,  # results/REPRODUCTION.md
    leaderboard: str,  # results/LEADERBOARD.md
) -> str:  # Markdown
    "The losses of lesson 6's ten networks: as printed there, with the same schedule here, and with one cycle."
    rows = []
    for row in rows_after(reproduction):
        # without the range over seeds
        median = row["ours, same schedule"].split(" (")[0]
        rows.append([row["arch"], row["epochs"], row["printed"], median, row["ours, one cycle"]])
    for row in rows_after(leaderboard, "## The lesson's other networks"):
        name = row["network"].split(",")[0]
        rows.append([name, row["epochs"], row["printed"], row["ours"], ""])
    return table(["network", "epochs", "lesson 6", "ours", "ours, one cycle"], rows)


# rows of the leaderboard in README: how they begin, and their names there
shown_rows = {
    "n-grams": "counting n-grams",
    "plain PyTorch LSTM, 20 s": "LSTM in plain PyTorch",
    "rnn, 20 s": "lesson 6's `rnn`",
    "best, 1 min": "best recipe, 1 minute",
    "best, 5 min": "best recipe, 5 minutes",
    "best, 15 min": "best recipe, 15 minutes",
}
loss_column = "nats"


def budget_table(
    leaderboard: str,  # results/LEADERBOARD.md
) -> str:  # Markdown
    "The losses of some models after some seconds of training, next to n-grams."
    all_rows = rows_after(leaderboard, "## Every run")
    found = {start: row for start in shown_rows for row in all_rows if row["what"].startswith(start)}
    ngram_loss = float(found["n-grams"][loss_column])
    rows = []
    for start, row in found.items():
        loss = float(row[loss_column])
        difference = f"{loss - ngram_loss:+.4f}" if start != "n-grams" else ""
        rows.append([shown_rows[start], row["seconds of training"], f"{loss:.4f}", difference])
    return table(["model", "seconds", "loss", "against n-grams"], rows)


def with_tables(
    text: str,  # with or without markers such as <!-- lesson6 --> and <!-- /lesson6 -->
    tables: dict[str, str],  # by the names of their markers
) -> str:
    "The text with new tables between its markers."
    for name, content in tables.items():
        between = rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)"
        text = re.sub(between, lambda _, content=content: content + "\n", text, flags=re.S)
    return text


def report_tables() -> dict[str, str]:  # Markdown, by the names of their markers
    "The tables of the committed reports."
    reproduction = (results / "REPRODUCTION.md").read_text(encoding="utf-8")
    leaderboard = (results / "LEADERBOARD.md").read_text(encoding="utf-8")
    return dict(lesson6=lesson_table(reproduction, leaderboard), budget=budget_table(leaderboard))
