"""Which characters of a text n-grams are counted in, and which they are scored on: `counted_part`."""

from typing import NamedTuple

import numpy as np

from ..data.loaders import CharDataLoaders
from ..data.permutation import Starts
from ..errors import DataError

__all__ = ["CountedPart", "counted_part"]


class CountedPart(NamedTuple):
    "A stretch of the text. Positions count from its beginning."

    ids: np.ndarray  # (n_chars,) int32: its characters
    counted: np.ndarray  # (n_counted,) int64: the positions to count
    depth: np.ndarray  # (n_counted,) int64: how many characters of the same span or document are before each
    scored: np.ndarray  # (n_scored,) int64: the positions to score
    reach: np.ndarray | None = None  # (n_scored,) int64: of documents, how many characters of its own are before each


def counted_part(
    dls: CharDataLoaders,  # a text and its split
    max_chars: int | None = None,  # count at most so many characters, and score at most so many; None: all
) -> CountedPart:
    """Choose the characters to count and to score.

    Where one stretch of the text trains, the last `max_chars` of it are counted and the first `max_chars` of the
    validation part are scored. Other splits are limited to the last `max_chars` of the text. Raises `DataError` if
    nothing is left to count or to score."""
    if not len(dls.train_ds.ids):
        raise _no_text()
    begin, end = _limits(dls, max_chars)
    part = _positions(dls, begin, end)
    if not len(part.counted) or not len(part.scored):
        raise _no_text() if max_chars is None else _none_inside(max_chars)
    ids = dls.train_ds.ids.stretch(begin, end).astype(np.int32)
    return part._replace(ids=ids, counted=part.counted - begin, scored=part.scored - begin)


def _no_text():
    return DataError(
        "these dls hold no text to count or none to score, as after load_learner or load_model; "
        "pass dls made from a text"
    )


def _none_inside(max_chars):
    return DataError(
        f"the last {max_chars:,} characters of the text have none to count or none to score; pass max_chars=None"
    )


def _limits(dls, max_chars):
    "The begin and the end of the stretch that is read."
    n_chars = len(dls.train_ds.ids)
    spans = dls.train_ds.info.get("spans")
    if max_chars is None:
        return 0, n_chars
    if spans is None or len(spans[0]) > 1:
        return max(n_chars - max_chars, 0), n_chars
    (begin, end), valid_begin = spans[0][0], spans[1][0][0]
    return max(begin, end - max_chars), min(valid_begin + max_chars, n_chars)


def _positions(dls, begin, end):
    "The part without its characters. Positions count from the beginning of the text."
    no_ids = np.empty(0, np.int32)
    spans = dls.train_ds.info.get("spans")
    if spans is None:
        counted, scored = (_targets(ds, begin, end) for ds in (dls.train_ds, dls.valid_ds))
        return CountedPart(no_ids, counted, counted - begin, scored)
    # streams read several documents as one text
    if dls.train_ds.ids.edges is not None and not dls.stateful:
        return CountedPart(no_ids, *_document_positions(dls, spans[0][0][1], begin, end))
    counted, scored = ([(max(a, begin), min(b, end)) for a, b in part] for part in spans)
    depth = np.concatenate([np.arange(b - a) for a, b in counted])
    return CountedPart(no_ids, _all_positions(counted), depth, _all_positions(scored))


def _targets(ds, begin, end):
    "The targets of windows of the next character, between two positions."
    if isinstance(ds.items, Starts):
        positions = np.arange(max(begin, ds.seq_len), end)
        return positions[ds.items.holds(positions - ds.seq_len)]
    positions = ds.items.to_numpy() + ds.seq_len
    return positions[(positions >= begin) & (positions < end)]


def _document_positions(dls, cut, begin, end):
    "All characters of the training documents, and the targets of the validation windows or chunks."
    edges = dls.train_ds.ids.edges
    counted = np.arange(begin, cut)
    ds = dls.valid_ds
    scored = ds.positions().numpy() if ds.target == "every" else ds.items.to_numpy() + ds.seq_len
    scored = scored[scored < end]
    return counted, _reach(counted, edges, begin), scored, _reach(scored, edges, begin)


def _reach(positions, edges, begin):
    "How many characters of the same document, from `begin` on, are before each position."
    documents = np.searchsorted(edges, positions, "right") - 1
    return positions - np.maximum(edges[documents], begin)


def _all_positions(spans):
    return np.concatenate([np.arange(begin, end) for begin, end in spans])
