"""Plots: an architecture's step, its embeddings, next-character probabilities, and values over a text.

    plot_arch("concat")                      # one step, unrolled over a window
    plot_embeddings(learn)                   # which characters have similar embeddings
    plot_next(learn, "for thos")             # the most likely next characters
    plot_over_text(values, "Doug saw Jane")  # gates, hidden units, surprise: a row each, a column a character

Each draws into the given axes, or into new ones, and returns them. matplotlib is imported when the first is drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from fastai.basics import Learner
from torch import Tensor

from .._checks import check_count, shown
from .._utils import unwrap_model
from ..data.char_checks import check_str
from ..errors import ArchError, DataError
from ..generation.char_view import char_view
from ..generation.text import next_probs
from .plot_checks import as_rows, check_axes, check_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_arch", "plot_embeddings", "plot_next", "plot_over_text", "DRAWN"]

_green = "#2e7d32"
_blue = "#1565c0"
_red = "#c62828"
_grey = "#6b6b6b"
# a character belongs to the first kind whose test it passes
_kinds = (
    ("lower case", str.islower, _blue),
    ("upper case", str.isupper, _red),
    ("digits", str.isdigit, _green),
    ("other", lambda c: True, _grey),
)


class _Drawing(NamedTuple):
    "The labels of an architecture's drawing."

    join: str  # what joins state and character
    from_char: str  # at the arrow from the character
    from_state: str  # at the arrow from the state
    to_state: str  # at the arrow to the new state
    formula: str

    @property
    def state_colour(self) -> str:
        return _blue if self.from_state else _grey


_drawings = dict(
    char3=_Drawing("+", "E, I, relu", "", "H, tanh", "h ← tanh(H(h + relu(I(E[c]))))"),
    loop=_Drawing("+", "E, I, relu", "", "H, tanh", "h ← tanh(H(h + relu(I(E[c]))))"),
    concat=_Drawing("h | E[c]", "E", "", "I, H, tanh", "h ← tanh(H(relu(I([h ; E[c]]))))"),
    rnn=_Drawing("+", "E, U", "W", "tanh", "h ← tanh(W h + U E[c] + b)"),
)
_max_drawn = 100  # characters: more cannot be read in a picture
DRAWN = tuple(_drawings)  # what `plot_arch` can draw
# distance between two steps, and heights of character, join and state
_width = 2.9
_char_y, _join_y, _state_y = 0, 1.2, 2.4


def plot_arch(
    arch: str,  # one of `DRAWN`
    n: int = 3,  # characters to unroll it over
    rolled: bool = False,  # draw one step with an arrow back, instead of `n` steps
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> "Axes":
    """Draw how an architecture reads a window: characters at the bottom, states at the top, one colour for each matrix.

    Raises `ArchError` for an architecture without a drawing, `DataError` if `n` is below 1."""
    if not isinstance(arch, str) or arch not in _drawings:
        raise ArchError(f"{shown(arch)} has no drawing; plot_arch draws {', '.join(DRAWN)}")
    n = check_count("n", n, 1, _max_drawn)
    drawing = _drawings[arch]
    n = 1 if rolled else n
    ax = _axes(ax, (1.1 * (_width * n + 2), 3.6))
    for t in range(n):
        _draw_step(ax, drawing, _width * t, "t" if rolled else str(t + 1))
    if rolled:
        _draw_arrow_back(ax, drawing)
    else:
        _draw_states_before(ax, drawing, n)
    last_x = _width * (n - 1)
    _draw_output(ax, last_x)
    left = -3.2 if rolled else -_width
    ax.set(xlim=(left, last_x + 2.4), ylim=(-0.5, 3), aspect="equal", title=f"{arch}: {drawing.formula}")
    ax.axis("off")
    return ax


def _half_width(drawing):
    "Half the width of the node that joins state and character."
    return 0.35 if drawing.join == "+" else 0.85


def _draw_step(ax, drawing, x, name):
    "A character, its join with the state, and the new state."
    _node(ax, (x, _char_y), f"$c_{name}$", _green, square=True)
    _node(ax, (x, _join_y), drawing.join, _grey, square=drawing.join != "+", half=_half_width(drawing))
    _node(ax, (x, _state_y), f"$h_{name}$", _blue)
    _arrow(ax, (x, 0.37), (x, 0.83), drawing.from_char, _green)
    _arrow(ax, (x, 1.57), (x, 2.03), drawing.to_state, _blue)


def _draw_states_before(ax, drawing, n):
    "The state of zeros, and an arrow from the state before to each of `n` joins."
    _node(ax, (-_width + 0.6, _state_y), "0", _blue)
    for t in range(n):
        x = _width * t
        begin = x - _width + (0.35 if t else 0.95)
        end = x - _half_width(drawing) - 0.02
        _arrow(ax, (begin, 2.25), (end, 1.35), drawing.from_state, drawing.state_colour)


def _draw_arrow_back(ax, drawing):
    "An arrow from the state back to the join."
    style = dict(arrowstyle="->", color=drawing.state_colour, lw=2, connectionstyle="arc3,rad=.9")
    ax.annotate("", (-_half_width(drawing) - 0.03, 1.25), (-0.38, 2.45), arrowprops=style)
    ax.text(-1.3, 2.5, "for every character", color=_grey, ha="right", fontsize=9)


def _draw_output(ax, x):
    "An arrow from the last state to the next character."
    _arrow(ax, (x + 0.38, _state_y), (x + 1.35, _state_y), "", _red)
    ax.text(x + 0.85, 2.48, "O", color=_red, ha="center", va="bottom", fontsize=10)
    _node(ax, (x + 1.8, _state_y), "next", _red, square=True, half=0.4)


def _node(ax, at, text, colour, square=False, half=0.35):
    from matplotlib.patches import Circle, FancyBboxPatch

    x, y = at
    if square:
        shape = FancyBboxPatch((x - half + 0.08, y - 0.25), 2 * half - 0.16, 0.5, boxstyle="round,pad=.08")
    else:
        shape = Circle(at, 0.35)
    shape.set(facecolor="white", edgecolor=colour, linewidth=2)
    ax.add_patch(shape)
    ax.text(x, y, text, ha="center", va="center", color=colour, fontsize=11)


def _arrow(ax, begin, end, name, colour):
    style = dict(arrowstyle="->", color=colour, lw=2, shrinkA=0, shrinkB=0)
    ax.annotate("", end, begin, arrowprops=style)
    vertical = begin[0] == end[0]
    x = (begin[0] + end[0]) / 2 + 0.1
    y = (begin[1] + end[1]) / 2 + (0 if vertical else 0.12)
    ax.text(x, y, name, color=colour, ha="left", va="center" if vertical else "bottom", fontsize=9)


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
    ax = _axes(ax, (8, 6))
    # matplotlib does not adapt the limits to texts
    ax.scatter(*points.T, s=0)
    colours = {name: colour for name, _, colour in _kinds}
    kinds = [next(name for name, test, _ in _kinds if test(c)) for c in chars]
    for c, kind, (x, y) in zip(chars, kinds, points):
        ax.text(x, y, _visible(c), color=colours[kind], ha="center", va="center", fontsize=12, parse_math=False)
    for kind in (kind for kind in colours if kind in kinds):
        ax.plot([], [], "s", color=colours[kind], label=kind)
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
    ax = _axes(ax, (4, 0.28 * len(probs) + 0.9))
    ax.barh(range(len(probs)), list(probs.values()), color=_blue)
    ax.set_yticks(range(len(probs)), [_visible(c) for c in probs], fontfamily="monospace", parse_math=False)
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

    Raises `DataError` if the shape does not fit the text or the labels."""
    values = as_rows(values, text, labels)
    check_colours(cmap, vmin, vmax)
    ax = _axes(ax, (max(0.28 * len(text), 3) + 1.2, 0.3 * len(values) + 0.7))
    ax.imshow(values, aspect="auto", cmap=cmap, vmin=vmin, vmax=vmax)
    ax.set_xticks(range(len(text)), [_visible(c) for c in text], fontfamily="monospace", parse_math=False)
    ax.set_yticks(range(len(values)), labels if labels is not None else [""] * len(values))
    ax.tick_params(length=0)
    return ax


def _visible(c):
    "A character as something that can be seen."
    return {" ": "␣", "\n": "⏎"}.get(c) or (c if c.isprintable() else repr(c)[1:-1])


def _axes(ax, size):
    import matplotlib.pyplot as plt

    check_axes(ax)
    if ax is not None:
        return ax
    return plt.subplots(figsize=size, layout="constrained")[1]
