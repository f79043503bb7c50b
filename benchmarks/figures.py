"""What all benchmarks use: timing in turn, rows of figures, the table, and the picture of a table."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple


class Row(NamedTuple):
    "A figure, and what the claim promises about it."

    what: str  # name of the figure
    values: list[float]  # one a round; their median counts
    form: str = "{:.2f}"  # format of a value
    unit: str = "x"  # unit of the values
    must: float | None = None  # promised value
    aim: float | None = None  # desired value
    at_most: bool = False  # whether smaller is better

    @property
    def value(self) -> float:
        return median(self.values)

    def reaches(self, goal: float) -> bool:
        return self.value <= goal if self.at_most else self.value >= goal

    @property
    def verdict(self) -> str:
        "Whether the promise is kept; empty without a promise."
        if self.must is None:
            return ""
        if not self.reaches(self.must):
            return "**miss**"
        return "aim met" if self.aim is not None and self.reaches(self.aim) else "met"

    def cells(self) -> list[str]:
        "The cells of the table."
        value = f"{self.form.format(self.value)}{self.unit}{self._spread()}"
        return [self.what, value, self._goal(self.must), self._goal(self.aim), self.verdict]

    def _spread(self):
        if len(self.values) == 1:
            return ""
        return f" ({self.form.format(min(self.values))}–{self.form.format(max(self.values))})"

    def _goal(self, goal):
        if goal is None:
            return ""
        return f"{'≤' if self.at_most else '≥'} {goal:,.12g}{self.unit}"


def in_turn(
    runs: dict[str, Callable],  # functions to time, by name
    rounds: int,  # how often to time each
) -> dict[str, list[float]]:  # seconds, one a round
    """Time functions in turn, so that other load on the machine affects all of them.

    A first round warms up and does not count. A single round, which only checks that the functions run, has none."""
    times = {name: [] for name in runs}
    n_warm_up = 1 if rounds > 1 else 0
    for k in range(rounds + n_warm_up):
        for name, run in runs.items():
            start = perf_counter()
            run()
            if k >= n_warm_up:
                times[name].append(perf_counter() - start)
    return times


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    "Round by round, `slow` divided by `fast`."
    return [a / b for a, b in zip(slow, fast)]


def table(rows: list[Row]) -> str:
    "The rows as Markdown."
    head = ["what", "measured (spread)", "must", "aim", ""]
    lines = [head, ["---"] * len(head), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def picture(
    rows: list[Row],  # those with a promise are drawn
    path: Path,  # .png
    title: str,  # above the picture
):
    "Draw every promised figure as a multiple of its promise. A bar that ends beyond 1 keeps the promise."
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    promised = [row for row in rows if row.must is not None][::-1]
    _, ax = plt.subplots(figsize=(8, 0.6 + 0.42 * len(promised)), layout="constrained")
    for k, row in enumerate(promised):
        _draw_row(ax, k, row, label="aim" if k == 0 else None)
    ax.set_ylim(-0.7, len(promised) - 0.3)
    ax.axvline(1, color="black", ls=":", label="promise")
    labels = [f"{row.what.replace('`', '')}: {row.form.format(row.value)}{row.unit}" for row in promised]
    ax.set_yticks(range(len(promised)), labels, fontsize=8)
    ax.set_xlabel("times the promise (line: spread over rounds)", fontsize=8)
    ax.set_title(title, fontsize=9)
    ax.legend(fontsize=7, loc="lower right")
    plt.savefig(path, dpi=110, metadata={"Software": None})
    plt.close()


def _draw_row(ax, y, row, label):
    "A bar for the median, a line for the spread, a mark for the aim."

    def multiple(value):
        return row.must / value if row.at_most else value / row.must

    length = multiple(row.value)
    ax.barh(y, length, color="tab:blue" if length >= 1 else "tab:red", height=0.6)
    spread = sorted([multiple(min(row.values)), multiple(max(row.values))])
    ax.plot(spread, [y, y], color="black", lw=1)
    if row.aim is not None:
        ax.plot([multiple(row.aim)] * 2, [y - 0.4, y + 0.4], color="tab:green", lw=2, label=label)
