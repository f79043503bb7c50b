"""The picture of the leaderboard: loss against training time, a panel for each mode and one for the recipe."""

from pathlib import Path

import matplotlib
from leaderboard_runs import modes

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


def picture(
    rows: dict[str, dict],  # by the names of the runs
    path: Path,  # .png
):
    "Draw the results. Names are to the right of their points, moved apart where they would overlap."
    panels = _panels(rows)
    fig, axs = plt.subplots(2, 2, figsize=(8, 8), sharey=True, layout="constrained")
    losses = [nats for panel in panels.values() for row in panel.values() for _, nats in _points(row)]
    name_height = (max(losses) - min(losses)) / 22
    networks = sorted({name for mode in modes for name in panels[mode]})
    colours = {name: f"C{k}" for k, name in enumerate(networks)}
    for ax, (title, panel) in zip(axs.flat, panels.items()):
        _draw_panel(ax, panel, colours, name_height)
        ax.set(title=title, xlabel="seconds of training")
        if "n-grams" in rows:
            ax.axhline(rows["n-grams"]["nats"], ls=":", color="grey")
    if "n-grams" in rows:
        _name_ngrams(axs[0, 0], rows["n-grams"]["nats"])
    for ax in axs[:, 0]:
        ax.set(ylabel="validation loss (nats a character)")
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=110)
    plt.close(fig)


def _panels(rows):
    "The rows of each panel, by title and name."
    panels = {}
    for mode in modes:
        end = f", {mode}"
        panels[mode] = {name.removesuffix(end): row for name, row in rows.items() if name.endswith(end)}
    best = "best, "
    panels["the recipe"] = {name.removeprefix(best): row for name, row in rows.items() if name.startswith(best)}
    return panels


def _points(row):
    "(seconds, nats) of the shorter training, if there is one, and of the longer one."
    early = [tuple(row["early"])] if "early" in row else []
    return [*early, (row["seconds"], row["nats"])]


def _draw_panel(ax, panel, colours, name_height):
    "Lines of the networks, stars of the recipe."
    seconds = [s for row in panel.values() for s, _ in _points(row)] or [1]
    lowest_free = -9.0
    for name, row in sorted(panel.items(), key=lambda item: item[1]["nats"]):
        colour = colours.get(name, "k")
        ax.plot(*zip(*_points(row)), "o-" if name in colours else "*", ms=6, lw=0.8, color=colour)
        end = (row["seconds"], row["nats"])
        x = max(seconds) * 1.15 if name in colours else row["seconds"] * 1.1
        y = max(row["nats"], lowest_free)
        lowest_free = y + name_height
        arrow = dict(arrowstyle="-", color=colour, lw=0.5, shrinkB=4)
        ax.annotate(name, end, xytext=(x, y), va="center", fontsize=8, arrowprops=arrow)
    ax.set(xscale="log", xlim=(min(seconds) * 0.8, max(seconds) * 3))
    ticks = sorted({round(s) for s in seconds})
    ax.set_xticks(ticks, ticks)
    ax.minorticks_off()


def _name_ngrams(ax, nats):
    "The name of the dotted line."
    offset = dict(textcoords="offset points", xytext=(4, 3))
    ax.annotate("n-grams", (0, nats), xycoords=("axes fraction", "data"), fontsize=8, color="grey", **offset)
