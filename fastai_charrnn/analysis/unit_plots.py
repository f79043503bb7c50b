"""Text coloured by the values of hidden units: `plot_units` draws it with matplotlib, `show_units` for a notebook.

    plot_units(learn, text, units=[17, 42])    # a figure: the text once for each unit
    show_units(learn, text)                    # HTML that wraps with the page, for the units that `find_units` finds

After Karpathy, *The Unreasonable Effectiveness of Recurrent Neural Networks* (2015). Vermillion is positive, blue
negative, and each unit's largest absolute value in the text has the strongest colour.
"""

import html
from typing import TYPE_CHECKING

from .._colours import css_shade
from .._printable import printable
from .._utils import typed_delegates
from ..generation.prompts import TextModel
from .chosen_units import UnitRow, Units, unit_rows
from .text_picture import check_drawn, draw_text, shades, text_size, visible, wrapped
from .units import hidden_states

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_units", "show_units", "UnitText"]

_max_shaded = 20_000  # characters that are coloured in a notebook, all units together
_caption_style = "font-weight:bold;margin:.6em 0 .2em"
_text_style = "white-space:pre-wrap;word-break:break-word;max-width:100ch;color:inherit;background:none;margin:0"


@typed_delegates(hidden_states, but=["learn", "text"])
def plot_units(
    learn: TextModel,  # a learner, or a `CharGenerator`
    text: str,  # the text to read, at most 5,000 characters
    units: Units = None,  # numbers of up to 20 units, or what `find_units` returned; None: what it finds in `text`
    width: int = 80,  # characters in a line
    **kwargs,
) -> "Figure":
    """Draw the text once for each unit, with the unit's value behind each character. Lines are wrapped.

    The value is that after reading the character. Of what `find_units` finds, the best four units are drawn. Further
    arguments are those of `hidden_states`. Raises its errors, and `DataError` for units that the model does not
    have, and for a text that is too long to draw or too short to find units in."""
    check_drawn(text, width)
    text, rows = unit_rows(learn, text, units, **kwargs)
    return draw_rows(text, [(row.title, shades(row.values, -row.limit, row.limit)) for row in rows], width)


def draw_rows(
    text: str,
    rows: list,  # a title and colours (len(text), 4) for each
    width: int,  # characters in a line
) -> "Figure":
    "Draw a text several times, one below the other."
    import matplotlib.pyplot as plt

    wide, high = text_size(width, len(wrapped(text, width)))
    fig, axs = plt.subplots(len(rows), figsize=(wide, high * len(rows)), layout="constrained", squeeze=False)
    for ax, (title, colours) in zip(axs[:, 0], rows):
        draw_text(text, colours, width, title, ax)
    return fig


@typed_delegates(hidden_states, but=["learn", "text"])
def show_units(
    learn: TextModel,  # a learner, or a `CharGenerator`
    text: str,  # the text to read
    units: Units = None,  # numbers of up to 20 units, or what `find_units` returned; None: what it finds in `text`
    **kwargs,
) -> "UnitText":
    """Return the text coloured by the values of units, for a notebook. It wraps with the page; tooltips have values.

    Arguments and errors are those of `plot_units`."""
    return UnitText(*unit_rows(learn, text, units, **kwargs))


class UnitText:
    "A text and the values of units: the result of `show_units`. In a notebook it is coloured, once for each unit."

    def __init__(
        self,
        text: str,
        rows: list[UnitRow],  # unit, label and values of each
    ):
        self.text = text
        self.rows = rows

    def __repr__(self) -> str:
        "The units and the ranges of their values, for a terminal."
        return printable("\n".join(row.title for row in self.rows), lines=True)

    def _repr_html_(self) -> str:
        return f"<div>{''.join(map(self._row_html, self.rows))}</div>"

    def _row_html(self, row):
        n_shaded = _max_shaded // len(self.rows)
        chars = "".join(_shaded(c, v, row.limit) for c, v in zip(self.text[:n_shaded], row.values))
        n_more = len(self.text) - n_shaded
        more = f"\n… and {n_more:,} characters more" if n_more > 0 else ""
        caption = f'<div style="{_caption_style}">{html.escape(printable(row.title))}</div>'
        return f'{caption}<pre style="{_text_style}">{chars}{more}</pre>'


def _shaded(char, value, limit):
    "One character over a translucent colour. A line end is an arrow, and ends the line."
    shown = html.escape(visible(char)) + "\n" * (char == "\n")
    colour = css_shade(value / limit if limit else 0.0)
    return f'<span style="background:{colour}" title="{value:.2f}">{shown}</span>'
