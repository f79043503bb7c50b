"""Checks of what the plots get, before anything is drawn."""

import sys
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from .._checks import check_number, shown
from ..errors import DataError

__all__ = ["check_axes", "check_colours", "as_array"]


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


def as_array(
    values: np.ndarray | Tensor | Sequence,  # numbers
) -> np.ndarray:  # of floats
    "Return numbers as an array. Raises `DataError` for anything else."
    if isinstance(values, Tensor):
        return values.detach().float().cpu().numpy()
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"values={shown(values)} are not numbers; pass (rows, characters)") from None
