"""Plots: embeddings, next-character probabilities, and values over a text.

    plot_embeddings(learn)                   # which characters have similar embeddings
    plot_next(learn, "for thos")             # the most likely next characters
    plot_over_text(values, "Doug saw Jane")  # gates, hidden units, surprise: a row each, a column a character

Each draws into the given axes, or into new ones, and returns them. matplotlib is imported when the first is drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from fastai.basics import Learner
from torch import Tensor

from .._colours import BLUE, GREEN, PURPLE, VERMILLION
from .._utils import unwrap_model
from ..data.char_checks import check_str
from ..errors import DataError
from ..generation.char_view import char_view
from ..generation.text import next_probs
from .char_kinds import KINDS, char_kind
from .drawing import drawing_axes, ink
from .plot_checks import as_rows, check_colours
from .text_picture import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_embeddings", "plot_next", "plot_over_text"]

_hues = dict(zip(KINDS, (BLUE, VERMILLION, GREEN, PURPLE, None, None)))


def plot_embeddings(
    learn: Learner,  # a learner whose model has an embedding `emb`
    chars: str | None = None,  # characters to show; None: all except padding and line end
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> "Axes":
    """Draw characters at the first two principal components of their embeddings.

    Characters that are close have similar embeddings for the model. Raises `UnknownCharError` for characters outside
    the vocabulary, `DataError` for fewer than three."""
    char_view(learn)
    vocab = learn.dls.vocab
    chars = "".join(c for c in vocab if len(c) == 1 and c not in "\0\n") if chars is None else chars
    check_str(chars)
    if len(chars) < 3:
        raise DataError(f"{len(chars)} characters make no map; pass at least three")
    weight = unwrap_model(learn.model).emb.weight.detach().float().cpu().numpy()
    points, explained = _principal_components(weight[vocab.encode(chars)])
    ax = drawing_axes(ax, (8, 6))
    # matplotlib does not adapt the limits to texts
    ax.scatter(*points.T, s=0)
    kinds = [char_kind(c) for c in chars]
    colours = {kind: ink(ax, _hues[kind]) for kind in KINDS if kind in kinds}
    for c, kind, (x, y) in zip(chars, kinds, points):
        ax.text(x, y, visible(c, "␣"), color=colours[kind], ha="center", va="center", fontsize=12, parse_math=False)
    for kind, colour in colours.items():
        ax.plot([], [], "s", color=colour, label=kind)
    ax.legend(fontsize=8)
    ax.set(xticks=[], yticks=[], title=f"embedding of {len(chars)} characters: {explained:.0%} of the variance")
    return ax


def _principal_components(rows):
    "The first two principal components of rows, and the fraction of the variance that they explain."
    u, s, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    return (u * s)[:, :2], (s[:2] ** 2).sum() / (s**2).sum()


def plot_next(
    learn: Learner,  # a learner whose `dls` have a character vocabulary
    prompt: str,  # the text before
    top: int | None = 10,  # number of characters to show; None: all
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> "Axes":
    """Draw the probabilities of the `top` most likely characters after `prompt` as bars, the most likely at the top.

    Raises `UnknownCharError` for characters outside the vocabulary, `GenerationError` for an invalid `top`."""
    probs = next_probs(learn, prompt, top)
    ax = drawing_axes(ax, (4, 0.28 * len(probs) + 0.9))
    ax.barh(range(len(probs)), list(probs.values()), color=BLUE)
    ax.set_yticks(range(len(probs)), [visible(c, "␣") for c in probs], fontfamily="monospace", parse_math=False)
    ax.set(xlim=(0, 1), ylim=(len(probs) - 0.4, -0.6), xlabel="probability")
    end = prompt if len(prompt) <= 30 else "…" + prompt[-29:]
    ax.set_title(f"after {end!r}", parse_math=False)
    return ax


def plot_over_text(
    values: np.ndarray | Tensor | Sequence,  # (n_rows, len(text)), or (len(text),) for one row
    text: str,  # the characters of the columns
    labels: Sequence[str] | None = None,  # names of the rows
    vmin: float | None = 0.0,  # value of the lightest colour; None: the smallest value
    vmax: float | None = 1.0,  # value of the darkest colour; None: the largest value
    cmap: str = "Blues",  # a matplotlib colour map
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> "Axes":
    """Draw numbers as colours: a row for each row of `values`, a column for each character of `text`.

    The picture has one line. `plot_text` draws one row of numbers over a long text, wrapped at page width.
    Raises `DataError` if the shape does not fit the text or the labels."""
    values = as_rows(values, text, labels)
    check_colours(cmap, vmin, vmax)
    ax = drawing_axes(ax, (max(0.28 * len(text), 3) + 1.2, 0.3 * len(values) + 0.7))
    ax.imshow(values, aspect="auto", cmap=cmap, vmin=vmin, vmax=vmax)
    ax.set_xticks(range(len(text)), [visible(c, "␣") for c in text], fontfamily="monospace", parse_math=False)
    ax.set_yticks(range(len(values)), labels if labels is not None else [""] * len(values))
    ax.tick_params(length=0)
    return ax
