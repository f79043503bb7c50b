"""Drawings of one step with its gates, for `plot_arch`: LSTM, GRU, multiplicative LSTM, and the members of an ensemble.

The state before the step is on the left, the state after it on the right, the character below. Boxes are functions with
weights, circles are operations on numbers of equal positions. Formulas: `models.layers`, `models.mullstm`.
"""

from typing import TYPE_CHECKING

from .._colours import BLUE, GREEN, PURPLE, VERMILLION
from .drawing import RADIUS, gate, node, note, operation, wire

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["STEPS"]

# heights of cell state, candidate, gates, hidden state and character
_cell_y = 4.2
_product_y = 3.2
_gate_y = 1.9
_hidden_y = 0.9
_char_y = -0.6
_begin_x = -1.4  # of the states before the step


def draw_lstm(ax: "Axes"):
    "Four gates read character and state: what the cell forgets, what is added to it, and what it shows."
    _draw_character(ax, 1.0)
    wire(ax, [(_begin_x + 0.35, _hidden_y), (0.9, _hidden_y)], BLUE, arrow=False)
    _draw_lstm_gates(ax)
    _set(ax, -2, "LSTM: c ← f c + i g,  h ← o tanh(c)")


def draw_mullstm(ax: "Axes"):
    "As an LSTM. The character first scales the hidden state, so each character has its own recurrent weights."
    _draw_character(ax, 1.0)
    x = -0.1
    wire(ax, [(_begin_x + 0.35, _hidden_y), (x - RADIUS, _hidden_y)], BLUE)
    wire(ax, [(x + RADIUS, _hidden_y), (0.9, _hidden_y)], BLUE, arrow=False)
    wire(ax, [(1.0, -0.05), (x + 0.42, -0.05)], GREEN)
    gate(ax, (x, -0.05), "2σ", PURPLE)
    wire(ax, [(x, 0.21), (x, _hidden_y - RADIUS)])
    note(ax, (x - 0.1, 0.45), "m", ha="right")
    operation(ax, (x, _hidden_y), "×")
    _draw_lstm_gates(ax)
    _set(ax, -2, "mullstm: h ← m h, with m from the character;  c ← f c + i g,  h ← o tanh(c)")


def _draw_lstm_gates(ax):
    node(ax, (_begin_x, _hidden_y), "$h_{t-1}$", BLUE)
    node(ax, (_begin_x, _cell_y), "$c_{t-1}$", BLUE)
    forget, inp = 2.0, 3.6
    new, out, end = 5.4, 7.0, 8.6
    middle = (inp + new) / 2
    _draw_bus(ax, out)
    names = dict(zip((forget, inp, new, out), ("f  forget", "i  input", "g  new", "o  output")))
    for x, name in names.items():
        wire(ax, [(x, _hidden_y), (x, _gate_y - 0.27)])
        gate(ax, (x, _gate_y), "tanh" if x == new else "σ", PURPLE)
        # beside the wire that leaves the box upwards
        note(ax, (x + 0.08, _gate_y + 0.48), name)
    # the cell state: scaled by the forget gate, then the new content is added
    wire(ax, [(_begin_x + 0.35, _cell_y), (forget - RADIUS, _cell_y)], BLUE)
    wire(ax, [(forget, _gate_y + 0.26), (forget, _cell_y - RADIUS)])
    operation(ax, (forget, _cell_y), "×")
    wire(ax, [(forget + RADIUS, _cell_y), (middle - RADIUS, _cell_y)], BLUE)
    wire(ax, [(inp, _gate_y + 0.26), (inp, _product_y), (middle - RADIUS, _product_y)])
    wire(ax, [(new, _gate_y + 0.26), (new, _product_y), (middle + RADIUS, _product_y)])
    operation(ax, (middle, _product_y), "×")
    wire(ax, [(middle, _product_y + RADIUS), (middle, _cell_y - RADIUS)])
    operation(ax, (middle, _cell_y), "+")
    wire(ax, [(middle + RADIUS, _cell_y), (10.15, _cell_y)], BLUE)
    node(ax, (10.5, _cell_y), "$c_t$", BLUE)
    # what the cell shows: tanh without weights, scaled by the output gate
    wire(ax, [(end, _cell_y), (end, 3.77)], BLUE)
    gate(ax, (end, 3.5), "tanh")
    wire(ax, [(end, 3.24), (end, 2.7 + RADIUS)], BLUE)
    wire(ax, [(out, _gate_y + 0.26), (out, 2.7), (end - RADIUS, 2.7)])
    operation(ax, (end, 2.7), "×")
    wire(ax, [(end, 2.7 - RADIUS), (end, _hidden_y), (10.15, _hidden_y)], BLUE)
    node(ax, (10.5, _hidden_y), "$h_t$", BLUE)
    _draw_output(ax, (10.5, _hidden_y))


def draw_gru(ax: "Axes"):
    "The update gate mixes the state with a candidate. The reset gate scales what the candidate reads of the state."
    update, reset = 2.0, 4.4
    new, end = 7.0, 8.6
    node(ax, (_begin_x, _cell_y), "$h_{t-1}$", BLUE)
    _draw_character(ax, 1.0)
    wire(ax, [(0.2, _cell_y), (0.2, _hidden_y), (0.9, _hidden_y)], BLUE, arrow=False)
    _draw_bus(ax, new)
    for x, name in ((update, "z  update"), (reset, "r  reset"), (new, "n  new")):
        wire(ax, [(x, _hidden_y), (x, _gate_y - 0.27)])
        gate(ax, (x, _gate_y), "tanh" if x == new else "σ", PURPLE)
        note(ax, (x + 0.08, _gate_y + 0.48), name)
    # the reset gate acts inside the candidate
    wire(ax, [(reset + 0.42, _gate_y), (new - 0.43, _gate_y)])
    note(ax, ((reset + new) / 2, _gate_y - 0.12), "scales W h", ha="center", va="top")
    wire(ax, [(_begin_x + 0.35, _cell_y), (update - RADIUS, _cell_y)], BLUE)
    wire(ax, [(update, _gate_y + 0.26), (update, _cell_y - RADIUS)])
    operation(ax, (update, _cell_y), "×")
    wire(ax, [(update, _product_y), (new - RADIUS, _product_y)])
    note(ax, ((update + new) / 2, _product_y + 0.1), "1 − z", ha="center", va="bottom")
    wire(ax, [(new, _gate_y + 0.26), (new, _product_y - RADIUS)])
    operation(ax, (new, _product_y), "×")
    wire(ax, [(new, _product_y + RADIUS), (new, _cell_y - RADIUS)])
    wire(ax, [(update + RADIUS, _cell_y), (new - RADIUS, _cell_y)], BLUE)
    operation(ax, (new, _cell_y), "+")
    wire(ax, [(new + RADIUS, _cell_y), (end + 1.55, _cell_y)], BLUE)
    node(ax, (end + 1.9, _cell_y), "$h_t$", BLUE)
    _draw_output(ax, (end + 1.9, _cell_y))
    _set(ax, -2, "GRU: h ← z h + (1 − z) n,  with n = tanh(U E[x] + r (W h))")


def draw_ensemble(ax: "Axes"):
    "The members read the same text, each with its own state. Their probabilities are averaged."
    node(ax, (0, 2), "x", GREEN)
    for k, y in enumerate((3.4, 2, 0.6), 1):
        wire(ax, [(0.35, 2), (2.2, y)], GREEN)
        node(ax, (3.2, y), f"member {k}", BLUE, square=True, half=1.0)
        wire(ax, [(4.2, y), (6.0, 2 + 0.1 * (y - 2))], BLUE)
    note(ax, (3.2, 4.0), "each with its own weights and state", ha="center")
    node(ax, (6.6, 2), "mean", square=True, half=0.6)
    note(ax, (6.6, 1.5), "of the probabilities", ha="center", va="top")
    wire(ax, [(7.2, 2), (8.5, 2)], VERMILLION)
    node(ax, (9, 2), "next", VERMILLION, square=True, half=0.45)
    ax.set(xlim=(-0.6, 9.8), ylim=(0, 4.4), aspect="equal", title="ensemble: log of the mean probability")
    ax.axis("off")


def _draw_character(ax, x):
    "The character, and the dot where it joins the state."
    node(ax, (x, _char_y - 0.35), "$x_t$", GREEN, square=True)
    wire(ax, [(x, _char_y), (x, _hidden_y)], GREEN, arrow=False)
    note(ax, (x + 0.5, _char_y - 0.35), "a character, embedded", GREEN)
    ax.plot([x], [_hidden_y], "o", color=ax.title.get_color(), markersize=6, zorder=3)


def _draw_bus(ax, end):
    "The wire with character and state, below the gates."
    wire(ax, [(1.0, _hidden_y), (end, _hidden_y)], arrow=False)
    note(ax, (1.3, _hidden_y - 0.12), "both, to every gate", va="top")


def _draw_output(ax, at):
    "From the new state to the next character."
    x, y = at
    wire(ax, [(x, y - 0.36), (x, _char_y - 0.09)], VERMILLION)
    note(ax, (x + 0.1, _char_y + 0.4), "O", VERMILLION)
    node(ax, (x, _char_y - 0.35), "next", VERMILLION, square=True, half=0.42)


def _set(ax, left, title):
    ax.set(xlim=(left, 11.2), ylim=(-1.4, 4.8), aspect="equal", title=title)
    ax.axis("off")


STEPS = dict(lstm=draw_lstm, mullstm=draw_mullstm, gru=draw_gru, ensemble=draw_ensemble)
