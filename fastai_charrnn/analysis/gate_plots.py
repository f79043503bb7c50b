"""Pictures of gates over a text: `plot_gates`, of all units of a layer or of one unit.

    plot_gates(learn, text)            # for each gate a row for each unit, and how often the units saturate
    plot_gates(learn, text, unit=17)   # the text coloured by each gate and state of a unit

The saturation plots are those of Karpathy, Johnson & Li, *Visualizing and Understanding Recurrent Networks* (2015),
figure 3: a unit is a point at the shares of characters at which its gate is closed and open.
"""

from typing import TYPE_CHECKING

import numpy as np

from .._colours import BLUE
from .._utils import typed_delegates
from ..generation.prompts import TextModel
from .chosen_units import UnitRow, unit_numbers
from .drawing import ink
from .gates import GATES, gates, saturation
from .text_picture import check_drawn, shades, visible
from .text_states import known_text
from .unit_plots import draw_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_gates"]

_max_columns = 100  # characters in the rows of units
_row_size = 2.3  # inches


@typed_delegates(gates, but=["learn", "text"])
def plot_gates(
    learn: TextModel,  # a learner of `gru`, `lstm` or `mullstm`, or a `CharGenerator`
    text: str,  # the text to read; at most 5,000 characters if a `unit` is chosen
    unit: int | None = None,  # number of a unit; None: all units
    width: int = 80,  # characters in a line, for one unit
    **kwargs,
) -> "Figure":
    """Draw the gates of a layer while it reads a text.

    For all units: on the left each gate over the first 100 characters, a row for each unit, the most open at the top.
    On the right the share of all characters at which the gate of each unit is below 0.1 (closed) and above 0.9 (open).
    For one unit: the text with the values of each gate and state behind its characters.

    Further arguments are those of `gates`. Raises its errors, and `DataError` for a unit that the model does not
    have, and for a text that is empty or too long to draw."""
    if unit is not None:
        check_drawn(text, width)
    values = gates(learn, text, **kwargs)
    text = known_text(learn, text, kwargs.get("unk", "error"))
    if unit is None:
        return _draw_all(text, values)
    (number,) = unit_numbers([unit], values["hidden"].shape[1])
    rows = [UnitRow(number, _title(name), of_units[:, number]) for name, of_units in values.items()]
    fig = draw_rows(text, [(row.title, _colours(row)) for row in rows], width)
    fig.suptitle(f"unit {number}", fontsize=11)
    return fig


def _title(name):
    return f"{name} gate" if name in GATES else name


def _colours(row):
    "Gates from 0 to 1; the strongest colour of states is that of the largest absolute value."
    return shades(row.values, 0, 1) if row.label.endswith("gate") else shades(row.values, -row.limit, row.limit)


def _draw_all(text, values):
    import matplotlib.pyplot as plt

    shares = saturation(values)
    n = len(shares)
    size = (10, _row_size * n + 0.3)
    fig, axs = plt.subplots(n, 2, figsize=size, layout="constrained", squeeze=False, width_ratios=[4, 1])
    for (left, right), (name, points) in zip(axs, shares.items()):
        image = _draw_units(left, values[name][:_max_columns], text)
        left.set_title(f"{_title(name)} of {len(points)} units", fontsize=10, loc="left")
        _draw_saturation(right, points)
    fig.colorbar(image, ax=axs[:, 0], location="bottom", shrink=0.3, aspect=40, pad=0.01, label="0: closed, 1: open")
    axs[-1, 1].set_xlabel("share of time closed", fontsize=9)
    return fig


def _draw_units(ax, gate, text):
    "A row for each unit, the most open at the top, and a column for each character."
    order = np.argsort(-gate.mean(0))
    names = [visible(char, "␣") for char in text[: len(gate)]]
    image = ax.imshow(gate[:, order].T, aspect="auto", cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks(range(len(names)), names, fontfamily="monospace", fontsize=7, parse_math=False)
    ax.set_yticks([])
    ax.tick_params(length=0)
    return image


def _draw_saturation(ax, points):
    "A point for each unit. None is above the diagonal: a gate is not closed and open at once."
    closed, opened = points.T
    ax.plot([0, 1], [1, 0], color=ink(ax), alpha=0.5, lw=0.8)
    ax.scatter(closed, opened, s=12, color=ink(ax, BLUE), alpha=0.7, linewidths=0)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    ax.set_ylabel("share of time open", fontsize=9)
