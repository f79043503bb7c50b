"""Pictures: an architecture drawn from its step, the map of its embedding, and numbers over the characters of a text.

    plot_arch("concat")                      # what one step does, unrolled over a window
    plot_embeddings(learn)                   # which characters have similar embeddings
    plot_next(learn, "for thos")             # how likely each character is to come next
    plot_over_text(values, "Doug saw Jane")  # gates, hidden units, surprise: a row each, a column a character

Each draws into the axes it is given, or into new ones, and returns them. matplotlib is imported when something is drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from fastai.basics import Learner
from torch import Tensor

from ..errors import ArchError, DataError
from ..generation.text import next_probs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_arch", "plot_embeddings", "plot_next", "plot_over_text", "DRAWN"]

DRAWN = ("char3", "loop", "concat", "rnn")  # what `plot_arch` can draw
_green = "#2e7d32"
_blue = "#1565c0"
_red = "#c62828"
_grey = "#6b6b6b"
_kinds = (
    ("lower case", str.islower, _blue),
    ("upper case", str.isupper, _red),
    ("digits", str.isdigit, _green),
    ("other", lambda c: True, _grey),
)
_parts = dict(  # what joins state and character, then the names beside the three arrows: from the character, from the state, to the new state
    char3=("+", "E, I, relu", "", "H, tanh"),
    loop=("+", "E, I, relu", "", "H, tanh"),
    concat=("h | E[c]", "E", "", "I, H, tanh"),
    rnn=("+", "E, U", "W", "tanh"),
)
_formulas = dict(
    char3="h ← tanh(H(h + relu(I(E[c]))))",
    loop="h ← tanh(H(h + relu(I(E[c]))))",
    concat="h ← tanh(H(relu(I([h ; E[c]]))))",
    rnn="h ← tanh(W h + U E[c] + b)",
)


def plot_arch(
    arch: str,  # one of `DRAWN`
    n: int = 3,  # characters to unroll it over
    rolled: bool = False,  # draw one step with an arrow back, instead of n steps
    ax: "Axes|None" = None,  # where to; None: new axes
) -> "Axes":
    """Draw how an architecture reads a window: characters below, states above, arrows of one colour for what is the same matrix.

    Raises `ArchError` for an architecture without a drawing, `DataError` for less than one character."""
    if arch not in DRAWN:
        raise ArchError(f"{arch!r} has no drawing; plot_arch draws {', '.join(DRAWN)}")
    if n < 1:
        raise DataError(f"n={n} characters cannot be drawn; pass a whole number from 1 up")
    n, wide = 1 if rolled else n, 2.9
    ax = _axes(ax, (1.1 * (wide * n + 2), 3.6))
    join, from_char, from_state, to_state = _parts[arch]
    half = 0.35 if join == "+" else 0.85
    if not rolled:
        _node(ax, (-wide + 0.6, 2.4), "0", _blue)
    for t in range(n):
        x = wide * t
        name = "t" if rolled else str(t + 1)
        _node(ax, (x, 0), f"$c_{name}$", _green, square=True)
        _node(ax, (x, 1.2), join, _grey, square=join != "+", half=half)
        _node(ax, (x, 2.4), f"$h_{name}$", _blue)
        _arrow(ax, (x, 0.37), (x, 0.83), from_char, _green)
        _arrow(ax, (x, 1.57), (x, 2.03), to_state, _blue)
        if not rolled:
            _arrow(
                ax,
                (x - wide + (0.35 if t else 0.95), 2.25),
                (x - half - 0.02, 1.35),
                from_state,
                _blue if from_state else _grey,
            )
    x = wide * (n - 1)
    if rolled:
        ax.annotate(
            "",
            (-half - 0.03, 1.25),
            (-0.38, 2.45),
            arrowprops=dict(arrowstyle="->", color=_blue if from_state else _grey, lw=2, connectionstyle="arc3,rad=.9"),
        )
        ax.text(-1.3, 2.5, "for every character", color=_grey, ha="right", fontsize=9)
    _arrow(ax, (x + 0.38, 2.4), (x + 1.35, 2.4), "", _red)
    ax.text(x + 0.85, 2.48, "O", color=_red, ha="center", va="bottom", fontsize=10)
    _node(ax, (x + 1.8, 2.4), "next", _red, square=True, half=0.4)
    ax.set(
        xlim=(-3.2 if rolled else -wide, x + 2.4), ylim=(-0.5, 3), aspect="equal", title=f"{arch}: {_formulas[arch]}"
    )
    ax.axis("off")
    return ax


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


def _arrow(ax, a, b, name, colour):
    ax.annotate("", b, a, arrowprops=dict(arrowstyle="->", color=colour, lw=2, shrinkA=0, shrinkB=0))
    up = a[0] == b[0]
    ax.text(
        (a[0] + b[0]) / 2 + 0.1,
        (a[1] + b[1]) / 2 + (0 if up else 0.12),
        name,
        color=colour,
        ha="left",
        va="center" if up else "bottom",
        fontsize=9,
    )


def plot_embeddings(
    learn: Learner,  # a learner whose model has an embedding `emb` and whose `dls` have a character vocabulary
    chars: str | None = None,  # which characters to show; None: all but the padding and the line end
    ax: "Axes|None" = None,  # where to; None: new axes
) -> "Axes":
    """Draw the characters where the two main directions of their embeddings put them (principal components).

    Raises `UnknownCharError` for characters outside the vocabulary, `DataError` for fewer than three."""
    vocab = learn.dls.vocab
    chars = "".join(c for c in vocab.itos[1:] if c != "\n") if chars is None else chars
    if len(chars) < 3:
        raise DataError(f"{len(chars)} characters make no map; pass at least three")
    weight = learn.model.emb.weight.detach().float().cpu().numpy()[vocab.encode(chars)]  # (len(chars), emb_sz)
    centred = weight - weight.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    x, y = (u * s)[:, :2].T
    ax = _axes(ax, (8, 6))
    ax.scatter(x, y, s=0)  # so that the limits are found
    left = set(range(len(chars)))
    for kind, of, colour in _kinds:
        mine = [i for i in sorted(left) if of(chars[i])]
        left -= set(mine)
        for i in mine:
            ax.text(x[i], y[i], _shown(chars[i]), color=colour, ha="center", va="center", fontsize=12, parse_math=False)
        if mine:
            ax.plot([], [], "s", color=colour, label=kind)
    ax.legend(fontsize=8)
    ax.set(
        xticks=[],
        yticks=[],
        title=f"embedding of {len(chars)} characters: {(s[:2] ** 2).sum() / (s**2).sum():.0%} of the variance",
    )
    return ax


def plot_next(
    learn: Learner,  # a learner whose `dls` has a character vocabulary
    prompt: str,  # what comes before
    top: int | None = 10,  # how many characters to show; None: all
    ax: "Axes|None" = None,  # where to; None: new axes
) -> "Axes":
    """Draw how likely the `top` likeliest characters are to follow `prompt`, a bar each, the likeliest on top.

    Raises `UnknownCharError` for characters outside the vocabulary, `GenerationError` for an impossible `top`."""
    probs = next_probs(learn, prompt, top)
    ax = _axes(ax, (4, 0.28 * len(probs) + 0.9))
    ax.barh(range(len(probs)), list(probs.values()), color=_blue)
    ax.set_yticks(range(len(probs)), [_shown(c) for c in probs], fontfamily="monospace", parse_math=False)
    ax.set(xlim=(0, 1), ylim=(len(probs) - 0.4, -0.6), xlabel="probability")
    ax.set_title(f"after {prompt if len(prompt) <= 30 else '…' + prompt[-29:]!r}", parse_math=False)
    return ax


def plot_over_text(
    values: np.ndarray | Tensor | Sequence,  # (n_rows, len(text)), or (len(text),) for one row
    text: str,  # the characters of the columns
    labels: Sequence[str] | None = None,  # names of the rows
    vmin: float | None = 0.0,  # what the lightest colour stands for; None: the smallest value
    vmax: float | None = 1.0,  # what the darkest stands for; None: the largest
    cmap: str = "Blues",  # colours, by matplotlib's name
    ax: "Axes|None" = None,  # where to; None: new axes
) -> "Axes":
    "Draw numbers as colours, a row each and a column a character of `text`. Raises `DataError` if the columns are not as many as the characters."
    values = np.atleast_2d(
        values.detach().float().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values, dtype=float)
    )
    if values.ndim != 2 or values.shape[1] != len(text):
        raise DataError(f"values of shape {values.shape} do not fit {len(text)} characters; pass (rows, {len(text)})")
    if labels is not None and len(labels) != len(values):
        raise DataError(f"{len(labels)} labels for {len(values)} rows; pass one a row")
    ax = _axes(ax, (max(0.28 * len(text), 3) + 1.2, 0.3 * len(values) + 0.7))
    ax.imshow(values, aspect="auto", cmap=cmap, vmin=vmin, vmax=vmax)
    ax.set_xticks(range(len(text)), [_shown(c) for c in text], fontfamily="monospace", parse_math=False)
    ax.set_yticks(range(len(values)), labels if labels is not None else [""] * len(values))
    ax.tick_params(length=0)
    return ax


def _shown(c):
    "A character as something that can be seen."
    return {" ": "␣", "\n": "⏎"}.get(c) or (c if c.isprintable() else repr(c)[1:-1])


def _axes(ax, size):
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]
