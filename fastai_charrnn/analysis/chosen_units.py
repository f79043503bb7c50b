"""Which hidden units to draw, and their values over a text: `unit_rows`."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._checks import check_count, shown
from ..errors import DataError
from ..generation.prompts import TextModel
from .text_states import known_text
from .tracking import UnitTable, tracked
from .units import hidden_states

__all__ = ["Units", "UnitRow", "unit_rows", "unit_numbers"]

Units = int | Sequence[int] | UnitTable | None
_default_n = 4  # units that are drawn if none are named
_max_n = 20  # units in one picture


class UnitRow(NamedTuple):
    "A hidden unit over a text."

    unit: int  # its number
    label: str  # number, and what it tracks
    values: np.ndarray  # (characters,) float32

    @property
    def limit(self) -> float:
        "The largest absolute value, which has the strongest colour."
        return float(np.abs(self.values).max(initial=0))

    @property
    def title(self) -> str:
        "The label with the range of the values."
        if not len(self.values):
            return self.label
        return f"{self.label}, from {self.values.min():.2f} to {self.values.max():.2f}"


def unit_rows(
    learn: TextModel,  # a learner, or a `CharGenerator`
    text: str,  # the text to read
    units: Units,  # numbers of units, what `find_units` returned, or None: those that it finds in `text`
    **kwargs,  # as `hidden_states`
) -> tuple[str, list[UnitRow]]:  # the text without unknown characters, and a row for each unit
    "Return the values of hidden units over a text. Raises `DataError` for units that the model does not have."
    text = known_text(learn, text, kwargs.get("unk", "error"))
    states = hidden_states(learn, text, **kwargs)
    if units is None:
        units = tracked(text, states)
    label = units.label if isinstance(units, UnitTable) else "unit {}".format
    numbers = unit_numbers(units, states.shape[1])
    return text, [UnitRow(unit, label(unit), states[:, unit]) for unit in numbers]


def unit_numbers(
    units: int | Sequence[int] | UnitTable,  # what a user passed
    n_hid: int,  # units of the model
) -> list[int]:
    "Return the numbers of units. Of a table, the first four. Raises `DataError` for others than from 0 to n_hid - 1."
    if isinstance(units, UnitTable):
        if not len(units):
            raise DataError(
                "no unit tracks a feature in this text; pass numbers, such as units=[0, 1], or a longer text"
            )
        return units.units[:_default_n]
    if isinstance(units, (int, np.integer)):
        units = [int(units)]
    if not isinstance(units, (Sequence, np.ndarray)) or isinstance(units, str) or not 1 <= len(units) <= _max_n:
        raise DataError(f"units={shown(units)} are not 1 to {_max_n} numbers of units; pass a list such as [0, 1]")
    hint = f"the model has {n_hid:,}, numbered from 0"
    return [check_count("unit", unit, 0, n_hid - 1, hint=hint) for unit in units]
