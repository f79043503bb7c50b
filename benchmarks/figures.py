"""What the benchmarks share: rounds in turn, rows of figures, and the picture of a table."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple


class Row(NamedTuple):
    "One figure."

    what: str  # measured
    values: list[float]  # one a round; their median counts
    form: str = "{:.2f}"  # how a value is written
    unit: str = "x"  # what it is counted in
    must: float | None = None  # what is promised
    aim: float | None = None  # what is hoped for
    at_most: bool = False  # whether less is better

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def verdict(self) -> str:
        "How the figure stands to what was promised."

        def reaches(goal):
            return self.value <= goal if self.at_most else self.value >= goal

        if self.must is None:
            return ""
        if not reaches(self.must):
            return "**miss**"
        return "met" if self.aim is None or not reaches(self.aim) else "aim met"

    def cells(self) -> list[str]:
        "The row of the table."

        def goal(g):
            return "" if g is None else f"{'≤' if self.at_most else '≥'} {g:g}{self.unit}"

        if len(self.values) > 1:
            spread = f" ({self.form.format(min(self.values))}–{self.form.format(max(self.values))})"
        else:
            spread = ""
        return [
            self.what,
            f"{self.form.format(self.value)}{self.unit}{spread}",
            goal(self.must),
            goal(self.aim),
            self.verdict,
        ]


def in_turn(
    runs: dict[str, Callable],  # what to time, by name; each is called once before it counts
    rounds: int,  # how often each, one after the other, so that a busy moment meets all
) -> dict[str, list[float]]:  # seconds, one a round
    "Seconds each takes, in turn."
    times = {k: [] for k in runs}
    for k in range(rounds + 1):
        for name, run in runs.items():
            start = perf_counter()
            run()
            if k:
                times[name].append(perf_counter() - start)
    return times


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    "Round by round, how many times faster."
    return [a / b for a, b in zip(slow, fast)]


def table(rows: list[Row]) -> str:
    "The rows as Markdown."
    return "\n".join(
        f"| {' | '.join(o)} |"
        for o in (["what", "measured (spread)", "must", "aim", ""], ["---"] * 5, *(r.cells() for r in rows))
    )


def picture(
    rows: list[Row],  # those with a promise are drawn
    path: Path,  # .png
    title: str,  # above it
):
    "Draw every promised figure as a share of its promise: the bar ends beyond 1 where the promise is kept."
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn = [r for r in rows if r.must is not None][::-1]

    def share(r, v):
        return r.must / v if r.at_most else v / r.must

    _, ax = plt.subplots(figsize=(8, 0.6 + 0.42 * len(drawn)), layout="constrained")
    for k, r in enumerate(drawn):
        ax.barh(k, share(r, r.value), color="tab:blue" if share(r, r.value) >= 1 else "tab:red", height=0.6)
        ax.plot(sorted(share(r, v) for v in (min(r.values), max(r.values))), [k, k], color="black", lw=1)
        if r.aim is not None:
            ax.plot(
                [share(r, r.aim)] * 2,
                [k - 0.4, k + 0.4],
                color="tab:green",
                lw=2,
                label="aim" if r is drawn[0] else None,
            )
    ax.axvline(1, color="black", ls=":", label="promise")
    ax.set_yticks(
        range(len(drawn)), [f"{r.what.replace('`', '')}: {r.form.format(r.value)}{r.unit}" for r in drawn], fontsize=8
    )
    ax.set_xlabel("times the promise (line: spread over rounds)", fontsize=8)
    ax.set_title(title, fontsize=9)
    ax.legend(fontsize=7, loc="lower right")
    plt.savefig(path, dpi=110, metadata={"Software": None})
    plt.close()
