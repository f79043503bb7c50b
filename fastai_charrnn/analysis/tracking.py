"""Find the hidden units that track something in a text: `find_units`.

find_units(learn, text)     # unit 17 tracks quotes with a correlation of 0.8, …
"""

import html
from collections.abc import Iterator, Mapping
from typing import NamedTuple, overload

import numpy as np
import pandas as pd

from .._checks import check_count, check_number
from .._printable import printable
from .._utils import typed_delegates
from ..errors import DataError
from ..generation.prompts import TextModel
from .text_features import FEATURES, Feature, feature_rows
from .text_states import known_text
from .units import hidden_states

__all__ = ["find_units", "TrackedUnit", "UnitTable", "FEATURES"]

_min_chars = 10  # characters of each half that a feature must have, and must not have


class TrackedUnit(NamedTuple):
    "A hidden unit, and what it tracks."

    unit: int  # its number, from 0
    tracks: str  # name of the feature
    score: float  # correlation on the second half of the text, in the direction found on the first half
    direction: str  # "rises" where the feature is present or large, or "falls"
    chosen_by: float  # correlation on the first half, by which the unit was chosen
    mean: float  # of the feature over the text; for a yes-or-no feature the share of characters that have it


class UnitTable:
    "The result of `find_units`: a sequence of `TrackedUnit`, the highest score first. It prints as a table."

    def __init__(
        self,
        rows: list[TrackedUnit],
        left_out: dict[str, str],  # features that are not in the table, with the reason
        n_chars: int,  # characters of the text
    ):
        self.rows = rows
        self.left_out = left_out
        self.n_chars = n_chars

    @property
    def df(self) -> pd.DataFrame:
        "The rows as a `DataFrame`."
        return pd.DataFrame(self.rows, columns=list(TrackedUnit._fields))

    @property
    def units(self) -> list[int]:
        "The numbers of the units, the highest score first, each once."
        return list(dict.fromkeys(row.unit for row in self.rows))

    def label(
        self,
        unit: int,  # the number of a unit
    ) -> str:  # such as "unit 17 (quotes 0.80)"
        "The number of a unit with all that it tracks."
        tracked = ", ".join(f"{row.tracks} {row.score:.2f}" for row in self.rows if row.unit == unit)
        return f"unit {unit} ({tracked})" if tracked else f"unit {unit}"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[TrackedUnit]:
        return iter(self.rows)

    @overload
    def __getitem__(self, i: int) -> TrackedUnit: ...
    @overload
    def __getitem__(self, i: slice) -> list[TrackedUnit]: ...
    def __getitem__(self, i):
        return self.rows[i]

    def __repr__(self) -> str:
        table = self._shown().to_string(index=False) if self.rows else "no unit tracks a feature"
        return "\n".join([printable(table, lines=True), *map(printable, self._notes())])

    def _repr_html_(self) -> str:
        table = self._shown().to_html(index=False, border=0, escape=True) if self.rows else "no unit tracks a feature"
        notes = "".join(f"<br>{html.escape(printable(note))}" for note in self._notes())
        return f"<div>{table}<small>{notes.removeprefix('<br>')}</small></div>"

    def _shown(self):
        names = {"chosen_by": "first half", "score": "score (second half)"}
        return self.df.round({"score": 2, "chosen_by": 2, "mean": 3}).rename(columns=names)

    def _notes(self):
        half = self.n_chars // 2
        yield (
            f"Score: correlation over the last {self.n_chars - half:,} characters. "
            f"Units were chosen on the first {half:,}."
        )
        for name, reason in self.left_out.items():
            yield f"Left out: {name}, {reason}."


@typed_delegates(hidden_states, but=["learn", "text"])
def find_units(
    learn: TextModel,  # a learner, or a `CharGenerator`
    text: str,  # some thousand characters or more; best a text that the model was not trained on
    n: int | None = 10,  # how many rows to return; None: all
    features: Mapping[str, Feature]
    | None = None,  # by name, functions of a text to a number for each character; None: `FEATURES`
    min_score: float = 0.3,  # leave out features that no unit tracks at least so well; from 0 to 1
    **kwargs,
) -> UnitTable:  # one row for each feature: its best unit
    """Find the hidden unit that tracks each feature best: being inside quotes, the position in a line, capitals, …

    The statistic is Pearson's correlation between the unit and the feature. For a feature that is 0 or 1 it is the
    point-biserial correlation. The unit with the largest absolute correlation over the first half of the text is
    chosen, and `score` is its correlation over the second half, so luck in choosing one of many units does not count.
    Features that fewer than 10 characters of a half have are left out, as are those that all but 10 have.

    Further arguments are those of `hidden_states`. Raises `DataError` for a text that is too short, and the errors of
    `hidden_states`."""
    n = None if n is None else check_count("n", n)
    min_score = check_number("min_score", min_score, 0, 1)
    text = known_text(learn, text, kwargs.get("unk", "error"))
    _check_length(text)
    return tracked(text, hidden_states(learn, text, **kwargs), n, features, min_score)


def _check_length(text):
    if len(text) // 2 < 2 * _min_chars:
        raise DataError(
            f"{len(text)} characters are too few to find units; pass at least {4 * _min_chars}, or choose the units"
        )


def tracked(
    text: str,  # the text that was read
    states: np.ndarray,  # (len(text), units), as `hidden_states` returns them
    n: int | None = 10,  # as `find_units`
    features: Mapping[str, Feature] | None = None,
    min_score: float = 0.3,
) -> UnitTable:  # one row for each feature: its best unit
    "Find units that track something in states that are known. Raises `DataError` for a text that is too short."
    _check_length(text)
    features = FEATURES if features is None else features
    half = len(text) // 2
    rows = feature_rows(text, features)
    states = states.astype(float)
    first = _correlations(rows[:, :half], states[:half])
    second = _correlations(rows[:, half:], states[half:])
    found = []
    left_out = {}
    for name, row, by_unit, check in zip(features, rows, first, second):
        if not (_varies(row[:half]) and _varies(row[half:])):
            left_out[name] = (
                "which hardly ever changes in the text" if row.any() else "which does not occur in the text"
            )
            continue
        unit = int(np.abs(by_unit).argmax())
        sign = -1 if by_unit[unit] < 0 else 1
        score = float(sign * check[unit])
        if score < min_score:
            left_out[name] = f"whose best unit ({unit}) has a score of {score:.2f}"
            continue
        direction = "rises" if sign > 0 else "falls"
        found.append(TrackedUnit(unit, name, score, direction, float(sign * by_unit[unit]), float(row.mean())))
    return UnitTable(sorted(found, key=lambda row: -row.score)[:n], left_out, len(text))


def _varies(row):
    "Whether enough characters differ from the most common value."
    _, counts = np.unique(row, return_counts=True)
    return len(row) - counts.max() >= _min_chars


def _correlations(rows, states):
    "Pearson's correlation of each row (n_rows, n) with each unit (n, n_hid). 0 for a unit that does not change."
    rows = _normed(rows.T)
    return rows.T @ _normed(states)


def _normed(columns):
    "Columns with mean 0 and length 1, or of zeros."
    columns = columns - columns.mean(0)
    lengths = np.linalg.norm(columns, axis=0)
    # rounding leaves a trace of a column that is constant
    is_constant = lengths <= 1e-6 * np.sqrt(len(columns))
    return np.where(is_constant, 0, columns / np.where(is_constant, 1, lengths))
