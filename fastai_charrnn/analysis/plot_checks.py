"""Checks of what the plots get, before anything is drawn."""

import sys
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from .._checks import check_number, shown
from ..data.char_checks import check_str
from ..errors import DataError

__all__ = ["check_axes", "check_colours", "as_rows"]


def check_axes(
    ax: object,  # what a user passed; None: new axes
):
    "Raise `DataError` for what is no axes of matplotlib."
    if ax is not None and not hasattr(ax, "get_xaxis"):
        raise DataError(f"ax={shown(ax)} are not axes of matplotlib; pass None for new ones")


def check_colours(
    cmap: object,  # as in `plot_over_text`
    vmin: object,
    vmax: object,
):
    "Raise `DataError` for an unknown colour map, and for limits that are no numbers."
    import matplotlib

    if isinstance(cmap, str) and cmap not in matplotlib.colormaps:
        raise DataError(f"cmap={shown(cmap)} is not a colour map; matplotlib.colormaps lists them")
    for name, value in (("vmin", vmin), ("vmax", vmax)):
        if value is not None:
            check_number(name, value, -sys.float_info.max)


def as_rows(
    values: np.ndarray | Tensor | Sequence,  # (n_rows, len(text)), or (len(text),) for one row
    text: str,  # the characters of the columns
    labels: Sequence[str] | None,  # names of the rows
) -> np.ndarray:  # (n_rows, len(text)) of floats
    "Return what `plot_over_text` draws. Raises `DataError` for what is no number, and if the shape does not fit."
    check_str(text)
    values = np.atleast_2d(_as_array(values))
    if values.ndim != 2 or values.shape[1] != len(text):
        raise DataError(f"values of shape {values.shape} do not fit {len(text)} characters; pass (rows, {len(text)})")
    if labels is None:
        return values
    if not isinstance(labels, Sequence):
        raise DataError(f"labels={shown(labels)} are not a list of names; pass one label per row")
    if len(labels) != len(values):
        raise DataError(f"{len(labels)} labels for {len(values)} rows; pass one label per row")
    return values


def _as_array(values):
    if isinstance(values, Tensor):
        return values.detach().float().cpu().numpy()
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"values={shown(values)} are not numbers; pass (rows, characters)") from None
