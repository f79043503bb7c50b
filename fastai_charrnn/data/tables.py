"""Texts from tables: a CSV file (`read_csv`), the column of texts, and the rows that validate.

Errors name the column and the row.
"""

from numbers import Integral
from pathlib import Path

import pandas as pd

from .._checks import shown
from ..errors import CorpusError, DataError

__all__ = ["read_csv", "text_column", "valid_rows"]


def read_csv(
    fname: Path,  # a table, compressed or not
    header: object,  # as pandas: the row of the column names, "infer", or None
    delimiter: str | None,  # as pandas: what separates columns; None: a comma
) -> pd.DataFrame:
    "Read a table with pandas. Raises `CorpusError` if it cannot be read."
    if not fname.is_file():
        raise CorpusError(f"there is no file {fname}; pass the folder and csv_fname, the name of the table in it")
    try:
        return pd.read_csv(fname, header=header, sep="," if delimiter is None else delimiter)
    except (OSError, EOFError, ValueError, TypeError) as e:
        raise CorpusError(f"{fname} cannot be read as a table: {e}; check delimiter=… and header=…") from None


def text_column(
    df: pd.DataFrame,  # a table
    text_col: int | str,  # the name or the number of the column
) -> pd.Series:  # of str
    "Return the column of texts. Raises `DataError` if it is missing or has cells that are not a str."
    column = _column(df, text_col, "text_col")
    wrong = [i for i, cell in enumerate(column) if not isinstance(cell, str)]
    if wrong:
        i = wrong[0]
        raise DataError(
            f"{len(wrong):,} of {len(column):,} cells of column {column.name!r} are not text, the first in row {i} "
            f"({type(column.iloc[i]).__name__} {column.iloc[i]!r:.40}); leave these rows out, as in "
            f"df.dropna(subset=[{column.name!r}]), or convert them with astype(str)"
        )
    return column


def valid_rows(
    df: pd.DataFrame,  # a table
    valid_col: int | str,  # the name or the number of a column of True and False
) -> list[int]:  # numbers of rows
    "The rows that validate. Raises `DataError` unless the column has True and False only, and both."
    column = _column(df, valid_col, "valid_col")
    if not column.isin([True, False]).all():
        wrong = next(i for i, cell in enumerate(column) if cell not in (True, False))
        found = column.iloc[wrong]
        raise DataError(f"column {column.name!r} must be True or False in every row, row {wrong} has {found!r:.40}")
    rows = [i for i, cell in enumerate(column) if cell]
    if not 0 < len(rows) < len(column):
        raise DataError(
            f"column {column.name!r} is {'True' if rows else 'False'} in all {len(column):,} rows; "
            "some rows must train and some validate"
        )
    return rows


def _column(df, col, option):
    if not isinstance(df, pd.DataFrame):
        raise DataError(f"df must be a pandas DataFrame, not {type(df).__name__}; from_text takes a list of texts")
    if not isinstance(col, (str, Integral)):
        raise DataError(f"{option}={shown(col)} is neither the name nor the number of a column")
    if col in df.columns:
        column = df[col]
        if isinstance(column, pd.Series):
            return column
        raise DataError(f"{option}={col!r}: {column.shape[1]} columns have this name; rename all but one")
    if isinstance(col, int) and not isinstance(col, bool) and -df.shape[1] <= col < df.shape[1]:
        return df.iloc[:, col]
    there = ", ".join(repr(name) for name in df.columns[:20])
    raise DataError(f"there is no column {col!r} ({option}); the table has {there or 'no columns'}")
