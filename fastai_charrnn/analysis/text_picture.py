"""A picture of a text with a colour behind each character, wrapped at page width: `plot_text`.

plot_text(np.arange(9), "those who", vmax=8)      # the larger a value, the stronger the colour
plot_text(values, text, vmin=-1)                  # negative values are blue, positive ones vermillion
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from .._checks import check_count, check_number
from .._colours import BLUE, MAX_ALPHA, VERMILLION, rgb
from ..data.char_checks import check_str
from ..errors import DataError
from .drawing import drawing_axes
from .plot_checks import as_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_text"]

_max_chars = 5_000  # of a picture; each is drawn by itself
_max_width = 500  # characters in a line
# inches of a character and of a line
_char_size, _line_size = 0.093, 0.22


def plot_text(
    values: np.ndarray | Tensor | Sequence,  # (len(text),) a number for each character
    text: str,  # at most 5,000 characters
    width: int = 80,  # characters in a line
    vmin: float = 0.0,  # 0, or the negative value with the strongest colour
    vmax: float | None = 1.0,  # the value with the strongest colour; None: the largest finite one of `values`
    title: str = "",  # above the text
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> "Axes":
    """Draw a text with a colour behind each character: vermillion for values above 0, blue for those below.

    Lines are wrapped after a space where possible, and after each line end. Values outside the limits have the
    strongest colour; NaN has none. Raises `DataError` if the values do not fit the text, or it is too long."""
    values = as_rows(values, text, None)
    if len(values) != 1:
        raise DataError(f"{len(values)} rows of values; plot_text draws one, plot_over_text several")
    check_drawn(text, width)
    vmin = check_number("vmin", vmin, -sys.float_info.max, 0)
    vmax = vmax if vmax is None else check_number("vmax", vmax)
    return draw_text(text, shades(values[0], vmin, vmax), width, title, ax)


def check_drawn(
    text: object,  # what a user passed
    width: object,  # characters in a line
):
    "Raise `DataError` for a text that is too long to draw, and for an impossible width."
    check_str(text)
    if len(text) > _max_chars:
        raise DataError(f"{len(text):,} characters are too many to draw; pass at most {_max_chars:,}")
    check_count("width", width, 1, _max_width)


def shades(
    values: np.ndarray,  # (n,)
    vmin: float,  # 0 or negative
    vmax: float | None,  # None: the largest of `values`
) -> np.ndarray:  # (n, 4) red, green, blue and opacity, from 0 to 1
    "Return the colours of values: none for 0, the strongest at the limits."
    if vmax is None:
        vmax = values[np.isfinite(values)].max(initial=0)
    limits = np.where(values < 0, -vmin, vmax)
    strength = np.divide(np.abs(values), limits, out=np.zeros(len(values)), where=limits > 0)
    alpha = MAX_ALPHA * np.nan_to_num(strength).clip(0, 1)
    hues = np.where(values[:, None] < 0, rgb(BLUE), rgb(VERMILLION))
    return np.column_stack([hues, alpha])


def wrapped(
    text: str,
    width: int,  # characters in a line
) -> list[tuple[int, int]]:  # (begin, end) of each line
    "Break a text into lines: after a line end, after a space where there is one, else after `width` characters."
    lines = []
    begin = 0
    while begin < len(text):
        end = begin + width
        line_end = text.find("\n", begin, end) + 1
        if line_end:
            end = line_end
        elif end < len(text):
            end = max((text.rfind(" ", begin, end) + 1) or end, begin + 1)
        end = min(end, len(text))
        lines.append((begin, end))
        begin = end
    return lines


def draw_text(
    text: str,
    colours: np.ndarray,  # (len(text), 4) behind each character
    width: int,  # characters in a line
    title: str = "",
    ax: "Axes|None" = None,  # where to draw; None: new axes
    boxed: int | None = None,  # position of a character that gets a frame
) -> "Axes":
    "Draw a text with a colour behind each character. Characters have the colour of matplotlib's texts."
    lines = wrapped(text, width)
    ax = drawing_axes(ax, text_size(width, len(lines), bool(title)))
    cells = np.zeros((max(len(lines), 1), width, 4))
    for row, (begin, end) in enumerate(lines):
        cells[row, : end - begin] = colours[begin:end]
        for column, char in enumerate(text[begin:end]):
            _draw_char(ax, column, row, char)
            if begin + column == boxed:
                _draw_frame(ax, column, row)
    ax.imshow(cells, aspect="auto", interpolation="none")
    ax.set(xlim=(-0.5, width - 0.5), ylim=(max(len(lines), 1) - 0.5, -0.5))
    ax.set_title(title, fontsize=10, loc="left", parse_math=False)
    ax.axis("off")
    return ax


def text_size(
    width: int,  # characters in a line
    n_lines: int,
    has_title: bool = True,
) -> tuple[float, float]:  # width and height in inches
    "Return the size of a picture of a text."
    return _char_size * width + 0.2, _line_size * max(n_lines, 1) + 0.1 + 0.3 * has_title


def _draw_char(ax, column, row, char):
    char = visible(char)
    if char != " ":
        # layout must not measure each of them
        style = dict(ha="center", va="center_baseline", fontfamily="monospace", parse_math=False, in_layout=False)
        ax.text(column, row, char, fontsize=10 if len(char) == 1 else 5, **style)


def _draw_frame(ax, column, row):
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=ax.title.get_color(), linewidth=1.2))


def visible(
    char: str,  # one character
    space: str = " ",  # what a space is shown as
) -> str:
    "Return a character as something that can be seen: a line end as an arrow, others that are invisible as escapes."
    return {" ": space, "\n": "⏎"}.get(char) or (char if char.isprintable() else repr(char)[1:-1])
