"""Parts of a drawing: nodes, boxes, operations, wires and arrows, in colours that can be read on the axes.

Positions are in units of the data. Both axes must have the same scale.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._colours import luminance, readable, rgb
from .plot_checks import check_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["drawing_axes", "ink", "node", "gate", "operation", "wire", "note"]

Point = tuple[float, float]
RADIUS = 0.22  # of an operation


def drawing_axes(
    ax: "Axes|None",  # what a user passed; None: new axes
    size: tuple[float, float],  # inches of new axes
) -> "Axes":
    "Return the axes to draw into."
    import matplotlib.pyplot as plt

    check_axes(ax)
    return ax if ax is not None else plt.subplots(figsize=size, layout="constrained")[1]


def background(ax: "Axes") -> tuple[float, float, float]:
    "Return the colour behind a drawing. Of transparent axes, the opposite of matplotlib's colour of texts."
    from matplotlib.colors import to_rgb, to_rgba

    *colour, alpha = to_rgba(ax.get_facecolor())
    if alpha:
        return tuple(colour)
    is_dark = luminance(to_rgb(ax.title.get_color())) > 0.5
    return (0.0, 0.0, 0.0) if is_dark else (1.0, 1.0, 1.0)


def ink(
    ax: "Axes",
    hue: str | None = None,  # None: the colour of matplotlib's texts
):
    "Return a colour in which lines and text can be read on the axes."
    return ax.title.get_color() if hue is None else readable(rgb(hue), background(ax))


def node(
    ax: "Axes",
    at: Point,  # its centre
    text: str,
    hue: str | None = None,  # as in `ink`
    square: bool = False,
    half: float = 0.35,  # half its width
):
    "Draw a circle or a rounded box with a text."
    from matplotlib.patches import Circle, FancyBboxPatch

    x, y = at
    if square:
        shape = FancyBboxPatch((x - half + 0.08, y - 0.25), 2 * half - 0.16, 0.5, boxstyle="round,pad=.08")
    else:
        shape = Circle(at, 0.35)
    _draw_shape(ax, shape, at, text, hue)


def _draw_shape(ax, shape, at, text, hue=None, linewidth=2.0):
    "Draw an outline over what is below it, with a text at its centre."
    shape.set(facecolor=background(ax), edgecolor=ink(ax, hue), linewidth=linewidth, zorder=3)
    ax.add_patch(shape)
    ax.text(*at, text, ha="center", va="center", color=ink(ax, hue), fontsize=11, zorder=4)


def gate(
    ax: "Axes",
    at: Point,  # its centre
    function: str,  # such as "σ"
    hue: str | None = None,  # as in `ink`
):
    "Draw a box of a function that is learned."
    from matplotlib.patches import Rectangle

    x, y = at
    half = 0.42
    _draw_shape(ax, Rectangle((x - half, y - 0.26), 2 * half, 0.52), at, function, hue)


def operation(
    ax: "Axes",
    at: Point,  # its centre
    text: str,  # such as "×"
):
    "Draw a small circle with an operation on the numbers of two wires."
    from matplotlib.patches import Circle

    _draw_shape(ax, Circle(at, RADIUS), at, text, linewidth=1.5)


def wire(
    ax: "Axes",
    points: Sequence[Point],  # its corners
    hue: str | None = None,  # as in `ink`
    arrow: bool = True,  # whether it ends in an arrow
):
    "Draw a line through some points, below the nodes."
    colour = ink(ax, hue)
    if len(points) > 2 or not arrow:
        corners = points[:-1] if arrow else points
        ax.plot(*zip(*corners), color=colour, lw=2, solid_capstyle="projecting", solid_joinstyle="miter", zorder=1)
    if arrow:
        style = dict(arrowstyle="->", color=colour, lw=2, shrinkA=0, shrinkB=0)
        ax.annotate("", points[-1], points[-2], arrowprops=style, zorder=2)


def note(
    ax: "Axes",
    at: Point,
    text: str,
    hue: str | None = None,  # as in `ink`
    ha: str = "left",
    va: str = "center",
    size: float = 9,
):
    "Write a text beside a wire."
    ax.text(*at, text, color=ink(ax, hue), ha=ha, va=va, fontsize=size)
