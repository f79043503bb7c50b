"""Pictures of what predictions depend on: `plot_connectivity` for one of them, `plot_connectivity_map` for all."""

from typing import TYPE_CHECKING

import numpy as np
from fastai.basics import Learner

from ..data.char_checks import check_str
from ..errors import DataError
from .connectivity import connectivity, norms_and_char
from .drawing import drawing_axes
from .text_picture import check_drawn, draw_text, shades, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["connectivity_map", "plot_connectivity", "plot_connectivity_map"]

_max_mapped = 200  # characters


def connectivity_map(
    learn: Learner,  # a learner of characters
    text: str,  # at most 200 characters
) -> np.ndarray:  # (len(text), len(text)) float64: row t is `connectivity(learn, text, t)`, then zeros
    "Return the connectivity of each prediction of the most likely character. Raises what `connectivity` raises."
    check_str(text)
    if len(text) > _max_mapped:
        raise DataError(f"{len(text):,} characters make too large a map; pass at most {_max_mapped}")
    result = np.zeros((len(text), len(text)))
    for at in range(len(text)):
        result[at, : at + 1] = connectivity(learn, text, at)
    return result


def plot_connectivity(
    learn: Learner,  # a learner of characters
    text: str,  # the text that the model reads
    at: int | None = None,  # position of the last character that is read, which gets a frame; None: the last of `text`
    char: str | None = None,  # the character that is predicted; None: the most likely one
    width: int = 80,  # characters in a line
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> "Axes":
    """Draw a text, wrapped, with a colour behind each character that a prediction depends on, as `connectivity` says.

    The character with the largest gradient has the strongest colour. Raises what `connectivity` raises."""
    check_drawn(text, width)
    norms, predicted = norms_and_char(learn, text, at, char)
    values = np.zeros(len(text))
    values[: len(norms)] = norms
    title = f"what {predicted!r} after the frame depends on"
    return draw_text(text, shades(values, 0, None), width, title, ax, boxed=len(norms) - 1)


def plot_connectivity_map(
    learn: Learner,  # a learner of characters
    text: str,  # at most 200 characters
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> "Axes":
    """Draw `connectivity_map`: a row for each prediction, from the top, and a column for each character that is read.

    Each row is divided by its largest value. The colours are those of cividis."""
    values = connectivity_map(learn, text)
    scaled = values / np.maximum(values.max(1, keepdims=True), np.finfo(float).tiny)
    after = np.where(np.tri(len(text), dtype=bool), scaled, np.nan)
    names = [visible(char, "␣") for char in text]
    size = 0.16 * len(text) + 1.2
    ax = drawing_axes(ax, (size, size))
    ax.imshow(after, cmap="cividis", vmin=0, vmax=1)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(range(len(text)), names, fontfamily="monospace", parse_math=False)
    ax.tick_params(length=0)
    ax.set(xlabel="character that is read", ylabel="last character before the prediction")
    return ax
