"""Loaders over a column of a table, and over CSV files."""

import numpy as np
import pandas as pd
import pytest
import torch

from fastai_charrnn.all import CharDataLoaders
from fastai_charrnn.errors import CorpusError, DataError

TEXTS = [f"{letter * 30}{letter.upper() * 5}" for letter in "abcdefghij"]


@pytest.fixture
def df():
    return pd.DataFrame(dict(text=TEXTS, title=[t[:10] for t in TEXTS], held=[i in (1, 4) for i in range(10)]))


def _loaders(source, method="from_df", **options):
    return getattr(CharDataLoaders, method)(source, **(dict(seq_len=4, bs=8, device="cpu") | options))


def _letters(ds):
    return {char for start in ds.starts for char in ds.vocab.decode(ds.ids.data[start : start + 5]).lower()} - {"\n"}


def test_rows_are_documents(df, tmp_path):
    dls = _loaders(df, path=tmp_path)
    assert dls.path == tmp_path
    expected = _loaders(TEXTS, "from_text")
    assert repr(dls) == repr(expected)
    assert torch.equal(dls.train_ds.ids.data, expected.train_ds.ids.data)


@pytest.mark.parametrize("text_col", ["title", 1, -2])
def test_the_column_has_a_name_or_a_number(df, text_col):
    assert _loaders(df, text_col=text_col).train_ds.info["n_chars"] == 110


def test_a_column_named_by_a_number_goes_before_the_number_of_a_column():
    df = pd.DataFrame({1: ["ab" * 20] * 4, 0: ["cd" * 20] * 4})
    assert _letters(_loaders(df, text_col=0).train_ds) == {"c", "d"}


@pytest.mark.parametrize("dtype", [bool, int, float, object, "boolean"])
def test_a_column_tells_which_rows_validate(df, dtype):
    df["held"] = df["held"].astype(dtype)
    dls = _loaders(df, valid_col="held")
    assert _letters(dls.valid_ds) == {"b", "e"}
    assert _letters(dls.train_ds) == set("acdfghij")


@pytest.mark.parametrize(
    "options,message",
    [
        (dict(text_col="body"), r"there is no column 'body' \(text_col\); the table has 'text', 'title', 'held'"),
        (dict(text_col=7), "there is no column 7"),
        (dict(valid_col="is_valid"), r"there is no column 'is_valid' \(valid_col\)"),
        (dict(text_col="held"), "10 of 10 cells of column 'held' are not text, the first in row 0"),
        (dict(valid_col="title"), "column 'title' must be True or False in every row, row 0 has 'aaaaaaaaaa'"),
        (dict(valid_col="held", valid="random"), "leave out valid=… and valid_text=…"),
    ],
)
def test_wrong_columns_are_errors(df, options, message):
    with pytest.raises(DataError, match=message):
        _loaders(df, **options)


def test_missing_cells_are_counted_with_the_first_row(df):
    df.loc[[3, 7], "text"] = np.nan
    message = r"2 of 10 cells of column 'text' are not text, the first in row 3 .*df.dropna\(subset=\['text'\]\)"
    with pytest.raises(DataError, match=message):
        _loaders(df)
    assert _loaders(df.dropna(subset=["text"])).train_ds.info["documents"] == dict(train=7, valid=1)
    df["held"] = df["held"].astype(object)
    df.loc[2, "held"] = None
    with pytest.raises(DataError, match="row 2 has None"):
        _loaders(df, text_col="title", valid_col="held")


@pytest.mark.parametrize("value", [True, False])
def test_some_rows_must_train_and_some_validate(df, value):
    with pytest.raises(DataError, match=f"column 'held' is {value} in all 10 rows"):
        _loaders(df.assign(held=value), valid_col="held")


def test_other_tables_are_errors(df):
    with pytest.raises(DataError, match="df must be a pandas DataFrame, not list; from_text takes a list of texts"):
        _loaders(TEXTS)
    with pytest.raises(DataError, match="2 columns have this name"):
        _loaders(pd.concat([df, df[["text"]]], axis=1), text_col="text")
    with pytest.raises(DataError, match="the table has no columns"):
        _loaders(pd.DataFrame())
    with pytest.raises(DataError, match="there are no documents"):
        _loaders(df[:0])


def test_a_csv_file_is_read_as_its_table(df, tmp_path):
    df.to_csv(tmp_path / "texts.csv", index=False)
    dls = _loaders(tmp_path, "from_csv", valid_col="held")
    assert repr(dls) == repr(_loaders(df, valid_col="held"))
    assert dls.path == tmp_path
    df.to_csv(tmp_path / "other.tsv", index=False, header=False, sep="\t")
    plain = _loaders(tmp_path, "from_csv", csv_fname="other.tsv", header=None, delimiter="\t", valid_col=2)
    assert repr(plain) == repr(dls)


def test_an_unreadable_csv_file_is_an_error(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2,3,4\n1\n1,2,3,4,5,6\n")
    (tmp_path / "latin.csv").write_bytes(b"text\ncaf\xe9\n")
    for name, message in (
        ("empty.csv", "cannot be read as a table"),
        ("ragged.csv", "cannot be read as a table"),
        ("latin.csv", "cannot be read as a table"),
        ("none.csv", "there is no file .*none.csv"),
    ):
        with pytest.raises(CorpusError, match=message):
            _loaders(tmp_path, "from_csv", csv_fname=name)
