"""Which documents train and which validate, and the windows inside documents."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastai_charrnn.all import CharDataLoaders
from fastai_charrnn.data import document_splits
from fastai_charrnn.data.document_splits import DocumentStarts, split_documents

DOCS = [f"{letter * 30}{letter.upper() * 5}" for letter in "abcdefghijklmnopqrst"]


def _loaders(texts, **options):
    return CharDataLoaders.from_text(texts, **(dict(seq_len=4, bs=8, device="cpu") | options))


lengths = st.lists(st.integers(0, 12), min_size=1, max_size=8)


@given(lengths, st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_computed_starts_are_those_found_by_looking_at_every_character(sizes, seq_len, stride):
    edges = np.concatenate([[0], np.cumsum(sizes)])
    expected = [s for a, b in zip(edges, edges[1:]) for s in range(a, b - seq_len, stride)]
    starts = DocumentStarts(edges, seq_len, stride)
    assert starts.to_numpy().tolist() == expected
    places = np.arange(-3, edges[-1] + 3)
    assert starts.holds(places).tolist() == [int(p) in expected for p in places]


@given(st.lists(st.integers(5, 50), min_size=1, max_size=12), st.floats(0.05, 0.6))
@settings(max_examples=150, deadline=None)
def test_the_cut_is_at_a_border_if_the_share_is_between_half_and_double(sizes, valid_pct):
    edges = np.concatenate([[0], np.cumsum(sizes)])
    n = int(edges[-1])
    split = split_documents(edges, valid_pct)
    share = (n - split.cut) / n
    target = int(n * (1 - valid_pct))
    nearest = min((abs(int(e) - target), int(e)) for e in edges)[1]
    near = 1 - nearest / n
    if near < 1 and valid_pct / 2 <= near <= 2 * valid_pct:
        assert not split.is_cut and split.cut == nearest
    else:
        assert split.is_cut and split.cut == target
    assert share < 1
    assert split.n_train + split.n_valid == len(sizes) + split.is_cut


def test_one_long_document_is_cut_and_no_window_crosses_the_cut():
    dls = _loaders(["ab", "xyz" * 100], seq_len=2)
    assert "the last 10% of 2 documents, cut inside a document" in repr(dls)
    cut = dls.train_ds.info["spans"][0][0][1]
    assert cut == int(304 * 0.9)
    assert int(dls.train_ds.starts.max()) + 2 == cut - 1
    assert int(dls.valid_ds.starts.min()) == cut
    assert dls.audit().shared == 0


def test_a_split_of_more_windows_than_are_listed_is_the_same(monkeypatch):
    listed = _loaders(DOCS)
    monkeypatch.setattr(document_splits, "MANY", 100)
    computed = _loaders(DOCS)
    assert isinstance(computed.train_ds.starts, DocumentStarts)
    assert computed.audit().shared == 0
    for a, b in zip(listed.valid, computed.valid):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
    assert computed.train_ds.starts.to_numpy().tolist() == listed.train_ds.starts.tolist()


def test_a_million_documents_take_little_memory():
    edges = np.arange(0, 100 * (10**6 + 1), 100)
    starts = DocumentStarts(edges, 8, 1)
    assert len(starts) == 92 * 10**6
    assert starts.begins.nbytes + starts.n_before.nbytes < 17e6
    assert starts[np.array([0, 91, 92, len(starts) - 1])].tolist() == [0, 91, 100, edges[-2] + 91]
