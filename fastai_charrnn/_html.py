"""HTML for notebooks: tables and texts in the page's own colours, with everything escaped.

Imports no torch. Backgrounds are translucent and text has the page's colour, so both suit light and dark pages.
"""

import html
from collections.abc import Iterable, Sequence

from ._printable import printable

__all__ = ["escaped", "as_text", "as_table"]

_border = "1px solid rgba(128,128,128,.45)"
_cell = f"padding:.25em .7em;border:0;border-bottom:{_border};vertical-align:top;color:inherit;background:none"
_text = (
    "white-space:pre-wrap;overflow-wrap:anywhere;color:inherit;background:none;"
    "text-align:left;margin:0;padding:0;border:0"
)


def escaped(
    text: object,  # a text, or anything with a `str`
    lines: bool = False,  # whether line breaks stay line breaks
    max_len: int | None = None,  # characters; a longer text ends in "…"
) -> str:
    "Return a text that is safe in HTML: markup, control characters and invisible ones are escaped."
    return html.escape(printable(text, lines=lines, max_len=max_len))


def as_text(
    content: str,  # HTML, such as from `escaped`
) -> str:
    "Return HTML in a fixed-width font, with its line breaks and spaces, wrapped at the width of the page."
    # HTML leaves out the first line break
    start = "\n" if content.startswith("\n") else ""
    return f'<pre style="{_text}">{start}{content}</pre>'


def as_table(
    columns: Sequence[str],  # names, escaped here; empty: no header
    rows: Iterable[Sequence[str]],  # HTML of the cells, such as from `escaped`
    caption: str = "",  # escaped here
    left: Sequence[int] = (0,),  # numbers of the columns that are aligned to the left
    marked: int | None = None,  # number of a row in bold
) -> str:
    "Return a table. Numbers are aligned to the right, and a header names each column."
    style = "border-collapse:collapse;border:0;margin:.4em 0;color:inherit;background:none"
    head = "".join(
        f'<th scope="col" style="{_cell};text-align:{_align(k, left)};font-weight:600">{escaped(name)}</th>'
        for k, name in enumerate(columns)
    )
    title_style = "text-align:left;white-space:nowrap;color:inherit;caption-side:top"
    title = f'<caption style="{title_style}">{escaped(caption)}</caption>'
    body = "".join(_row(row, left, number == marked) for number, row in enumerate(rows))
    header = f"<thead><tr>{head}</tr></thead>" if columns else ""
    return f'<table style="{style}">{title if caption else ""}{header}<tbody>{body}</tbody></table>'


def _row(cells, left, is_marked):
    style = f"{_cell};{'font-weight:600;' if is_marked else ''}text-align"
    tags = "".join(f'<td style="{style}:{_align(k, left)}">{cell}</td>' for k, cell in enumerate(cells))
    return f'<tr style="background:none">{tags}</tr>'


def _align(k, left):
    return "left" if k in left else "right"
