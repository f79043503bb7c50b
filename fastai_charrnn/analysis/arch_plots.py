"""Drawings of the architectures: `plot_arch`.

plot_arch("concat")          # unrolled over a window of 3 characters
plot_arch("lstm")            # one step with its gates
plot_arch("lstm", n=3)       # three steps
"""

from typing import TYPE_CHECKING, NamedTuple

from .._checks import check_count, shown
from .._colours import BLUE, GREEN, PURPLE, VERMILLION
from ..errors import ArchError
from .drawing import drawing_axes, ink, node, note, wire
from .step_drawings import STEPS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_arch", "DRAWN"]


class _Drawing(NamedTuple):
    "The labels of an architecture's drawing."

    join: str  # what joins state and character
    from_char: str  # at the arrow from the character
    from_state: str  # at the arrow from the state
    to_state: str  # at the arrow to the new state
    formula: str

    @property
    def state_hue(self) -> str | None:
        return BLUE if self.from_state else None


_drawings = dict(
    char3=_Drawing("+", "E, I, relu", "", "H, tanh", "h ← tanh(H(h + relu(I(E[c]))))"),
    loop=_Drawing("+", "E, I, relu", "", "H, tanh", "h ← tanh(H(h + relu(I(E[c]))))"),
    concat=_Drawing("h | E[c]", "E", "", "I, H, tanh", "h ← tanh(H(relu(I([h ; E[c]]))))"),
    rnn=_Drawing("+", "E, U", "W", "tanh", "h ← tanh(W h + U E[c] + b)"),
    gru=_Drawing("GRU", "E", "", "", "a state, and gates that change it"),
    lstm=_Drawing("LSTM", "E", "", "", "the state is h and the cell"),
    mullstm=_Drawing("mul LSTM", "E", "", "", "the state is h and the cell"),
    ensemble=_Drawing("members", "E", "", "", "the states of all members"),
)
_max_drawn = 100  # characters: more cannot be read in a picture
DRAWN = tuple(_drawings)  # what `plot_arch` can draw
# distance between two steps, and heights of character, join and state
_width = 2.9
_char_y, _join_y, _state_y = 0, 1.2, 2.4


def plot_arch(
    arch: str,  # one of `DRAWN`
    n: int | None = None,  # characters to unroll it over; None: 3, or for an architecture with gates one step with them
    rolled: bool = False,  # draw one step with an arrow back, instead of `n` steps
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> "Axes":
    """Draw how an architecture reads: characters are green, states blue, gates purple, the prediction is vermillion.

    Raises `ArchError` for an architecture without a drawing, `DataError` if `n` is below 1."""
    if not isinstance(arch, str) or arch not in _drawings:
        raise ArchError(f"{shown(arch)} has no drawing; plot_arch draws {', '.join(DRAWN)}")
    if arch in STEPS and n is None and not rolled:
        ax = drawing_axes(ax, (8.5, 4.4))
        STEPS[arch](ax)
        return ax
    n = check_count("n", 3 if n is None else n, 1, _max_drawn)
    return _draw_chain(arch, 1 if rolled else n, rolled, ax)


def _draw_chain(arch, n, rolled, ax):
    drawing = _drawings[arch]
    ax = drawing_axes(ax, (1.1 * (_width * n + 2), 3.6))
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
    node(ax, (x, _char_y), f"$c_{{{name}}}$", GREEN, square=True)
    hue = PURPLE if drawing.join[0].isupper() else None
    node(ax, (x, _join_y), drawing.join, hue, square=drawing.join != "+", half=_half_width(drawing))
    node(ax, (x, _state_y), f"$h_{{{name}}}$", BLUE)
    wire(ax, [(x, 0.37), (x, 0.83)], GREEN)
    wire(ax, [(x, 1.57), (x, 2.03)], BLUE)
    note(ax, (x + 0.1, 0.6), drawing.from_char, GREEN)
    note(ax, (x + 0.1, 1.8), drawing.to_state, BLUE)


def _draw_states_before(ax, drawing, n):
    "The state of zeros, and an arrow from the state before to each of `n` joins."
    node(ax, (-_width + 0.6, _state_y), "0", BLUE)
    for t in range(n):
        x = _width * t
        begin = x - _width + (0.35 if t else 0.95)
        end = x - _half_width(drawing) - 0.02
        wire(ax, [(begin, 2.25), (end, 1.35)], drawing.state_hue)
        note(ax, ((begin + end) / 2 + 0.1, 1.92), drawing.from_state, drawing.state_hue, va="bottom")


def _draw_arrow_back(ax, drawing):
    "An arrow from the state back to the join."
    style = dict(arrowstyle="->", color=ink(ax, drawing.state_hue), lw=2, connectionstyle="arc3,rad=.9")
    ax.annotate("", (-_half_width(drawing) - 0.03, 1.25), (-0.38, 2.45), arrowprops=style)
    note(ax, (-1.3, 2.5), "for every character", ha="right")


def _draw_output(ax, x):
    "An arrow from the last state to the next character."
    wire(ax, [(x + 0.38, _state_y), (x + 1.35, _state_y)], VERMILLION)
    note(ax, (x + 0.85, 2.48), "O", VERMILLION, ha="center", va="bottom")
    node(ax, (x + 1.8, _state_y), "next", VERMILLION, square=True, half=0.4)
