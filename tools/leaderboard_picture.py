"""The picture of the leaderboard: loss against training time, both on log axes, a line for each network: `picture`."""

from math import exp, log
from pathlib import Path

import matplotlib
from compressors import COMPRESSORS, QUOTED
from leaderboard_rows import Entry, curve_points, entries, recipe_points

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

# The colours of Okabe & Ito, which people with any kind of colour vision can tell apart, without yellow …
_colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
# … first as full lines, then as dashed ones
_line_styles = (dict(marker="o"), dict(marker="s", ls=(0, (4, 1.5)), mfc="white"))
# losses at the y axis, those that are in its range
_ticks = (0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.25, 2.5, 3.0, 3.5, 4.0)
_grey = "#555555"
_font = 9


def picture(
    rows: dict[str, dict],  # by the names of the runs
    path: Path,  # .png
):
    "Draw the losses. The name of a line is at its end; those of compressors are at the left edge."
    found = entries(rows)
    curves = curve_points(found)
    recipe = recipe_points(found)
    fig, ax = plt.subplots(figsize=(8, 7), layout="constrained")
    ends = [_draw_line(ax, name, points, _style(k)) for k, (name, points) in enumerate(curves.items())]
    if recipe:
        ends.append(_draw_line(ax, "best", recipe, _recipe_style))
    levels = _levels(found)
    _set_axes(ax, curves, recipe, levels)
    _draw_levels(ax, levels)
    _name_lines(ax, ends)
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=130)
    plt.close(fig)


def _style(k):
    "How the k-th line is drawn."
    return dict(color=_colours[k % len(_colours)], ms=5, lw=1.4, zorder=3) | _line_styles[k // len(_colours) % 2]


_recipe_style = dict(color="black", marker="*", ms=11, lw=2.2, zorder=4)


def _draw_line(ax, name, points: dict[float, Entry], style):
    "Draw means and ranges. Returns what `_name_lines` needs: name, seconds and loss of the last point, colour."
    seconds = list(points)
    means = [entry.nats for entry in points.values()]
    below = [entry.nats - entry.limits[0] for entry in points.values()]
    above = [entry.limits[1] - entry.nats for entry in points.values()]
    ax.errorbar(seconds, means, [below, above], capsize=3, **style)
    return name, seconds[-1], means[-1], style["color"]


def _levels(found):
    "Names and losses of n-grams and compressors."
    levels = {name: found[name].nats for name in ["n-grams"] if name in found}
    for compressor in COMPRESSORS:
        if entry := found.get(f"compressor: {compressor.name}"):
            levels[compressor.name] = entry.nats
    return levels | {f"{name} (quoted)": row["nats"] for name, row in QUOTED.items()}


def _set_axes(ax, curves, recipe, levels):
    "Scales, limits, grid and titles."
    seconds = sorted({s for points in [*curves.values(), recipe] for s in points}) or [1.0]
    losses = [entry.nats for points in [*curves.values(), recipe] for entry in points.values()]
    losses += levels.values()
    limits = dict(xlim=(seconds[0] / 6, seconds[-1] * 3), ylim=(min(losses) / 1.03, max(losses) * 1.03))
    ax.set(xscale="log", yscale="log", **limits)
    ax.set_xticks(seconds, [f"{s:g}" for s in seconds])
    ticks = [loss for loss in _ticks if limits["ylim"][0] <= loss <= limits["ylim"][1]]
    ax.set_yticks(ticks, [f"{loss:g}" for loss in ticks])
    ax.minorticks_off()
    ax.tick_params(labelsize=_font)
    ax.grid(color="#dddddd", lw=0.7)
    ax.set_axisbelow(True)
    ax.set_xlabel("seconds of training on two CPU cores", fontsize=_font)
    ax.set_ylabel("loss on the held-out tenth, nats a character", fontsize=_font)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_levels(ax, levels):
    "A line for each, named at the left edge: above the line, or below it where the next line is near."
    left = ax.get_xlim()[0]
    height = _name_height(ax)
    for name, nats in levels.items():
        is_counts = name == "n-grams"
        ax.axhline(nats, ls=":" if is_counts else (0, (5, 4)), color=_grey, lw=1.4 if is_counts else 0.8, zorder=2)
        has_room = not any(nats < other < nats * exp(1.1 * height) for other in levels.values())
        y = nats * exp((0.55 if has_room else -0.55) * height)
        ax.text(left * 1.05, y, name, va="center", fontsize=_font - 1, color=_grey, zorder=5)


def _name_height(ax):
    "The height of a line of text, as a difference of logarithms of losses."
    low, high = ax.get_ylim()
    inches = ax.figure.get_size_inches()[1] * 0.85
    return log(high / low) * (_font * 1.25 / 72) / inches


def _name_lines(ax, ends):
    "Names to the right of all points, joined to their line's end. They keep the order of the losses."
    right = ax.get_xlim()[1]
    ys = [exp(y) for y in spread([log(nats) for _, _, nats, _ in ends], _name_height(ax))]
    x = right / 2
    for (name, seconds, nats, colour), y in zip(ends, ys):
        line = dict(arrowstyle="-", color=colour, lw=0.8, shrinkA=1, shrinkB=5)
        place = dict(xytext=(x, y), va="center", fontsize=_font, bbox=_background, zorder=5)
        ax.annotate(name, (seconds, nats), color="#222222", arrowprops=line, **place)


_background = dict(facecolor="white", edgecolor="none", pad=0.6)


def spread(
    wanted: list[float],  # positions
    gap: float,  # the least distance of two
) -> list[float]:  # in the order of `wanted`
    "Positions near the wanted ones, in the same order, with at least a gap between two."
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    # groups of neighbours that touch, each around the mean of what its members want
    groups: list[list[int]] = []
    for k in order:
        groups.append([k])
        while len(groups) > 1 and _start(groups[-1], wanted, gap) < _end(groups[-2], wanted, gap) + gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    placed = {k: _start(group, wanted, gap) + i * gap for group in groups for i, k in enumerate(group)}
    return [placed[k] for k in range(len(wanted))]


def _start(group, wanted, gap):
    "The lowest position of a group."
    return sum(wanted[k] for k in group) / len(group) - (len(group) - 1) * gap / 2


def _end(group, wanted, gap):
    return _start(group, wanted, gap) + (len(group) - 1) * gap
