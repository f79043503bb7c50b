"""The loss of n-gram counts on the validation part: `ngram_baseline`, to compare with a model's validation loss.

Interpolated Witten-Bell n-grams (Witten & Bell 1991, method C). c(x) is the number of times context x occurs, c(x, a)
the number of times character a follows it, t(x) the number of distinct characters that follow it, and x' is x without
its first character:

    P(a | x) = (c(x, a) + t(x) P(a | x')) / (c(x) + t(x)),

down to 1/(V-1) for every character but the padding. NumPy sorts the n-grams to number them, which is faster than
dictionaries.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._utils import is_count
from ..data.ids import MappedIds
from ..data.loaders import CharDataLoaders
from ..data.window_dl import WindowDL
from ..errors import DataError
from ..metrics import to_bits

__all__ = ["ngram_baseline", "NgramBaseline", "NgramScore"]


class NgramScore(NamedTuple):
    "The loss of n-grams with contexts of up to `context` characters."

    context: int  # longest context, in characters
    nats: float  # mean negative log-likelihood per character, like a validation loss
    bits: float  # bits per character


@dataclass(frozen=True)
class NgramBaseline:
    "The scores for each longest context. Prints as a table with the best marked."

    scores: tuple[NgramScore, ...]
    n_train: int  # characters counted
    n_valid: int  # characters scored

    @property
    def best(self) -> NgramScore:
        "The score with the smallest loss."
        return min(self.scores, key=lambda score: score.nats)

    def __repr__(self) -> str:
        lines = [
            f"character n-grams: {self.n_train:,} characters counted, {self.n_valid:,} scored",
            "context     nats bits_per_char",
        ]
        for score in self.scores:
            mark = "  best" if score is self.best else ""
            lines.append(f"{score.context:>7} {score.nats:>8.4f} {score.bits:>13.4f}{mark}")
        return "\n".join(lines)


def ngram_baseline(
    dls: CharDataLoaders,  # the text and its split
    max_context: int = 6,  # longest context, in characters
    max_chars: int | None = None,  # count at most the last `max_chars` of a "tail" split's training part; None: all
) -> NgramBaseline:  # a score for each longest context from 1 to `max_context`
    """Count character n-grams in the training part of `dls` and score them on its validation part.

    For a split into spans of text ("tail", "blocks"), all characters of the training spans are counted, with the
    contexts inside their span. For other splits, the targets of the windows are counted and scored. Windows of several
    documents: contexts do not cross borders, and the targets of the validation windows are scored. Counting needs about
    110 bytes of memory per character. Raises `DataError` for `dls` without text."""
    if int(max_context) != max_context or max_context < 1:
        raise DataError(f"max_context={max_context} must be a whole number, at least 1")
    if not isinstance(dls.train, WindowDL):
        raise DataError(
            f"n-grams are counted in a text, and {type(dls.train).__name__} has only batches; "
            "pass dls made by CharDataLoaders.from_text"
        )
    if isinstance(dls.train_ds.ids, MappedIds):
        raise DataError(
            f"n-grams are counted in memory, but the text of these dls is on disk ({dls.train_ds.ids.path}); "
            "pass dls made with mmap=False, or dls of a part of the text"
        )
    if max_chars is not None and not is_count(max_chars):
        raise DataError(f"max_chars={max_chars!r} must be None or a whole number, at least 1")
    skip = _n_skipped(dls, max_chars)
    positions = _positions(dls, skip)
    if not len(positions.counted) or not len(positions.scored):
        raise DataError(
            "these dls hold no text to count or none to score, as after load_learner or load_model; "
            "pass dls made from a text"
        )
    ids = dls.train_ds.ids.data.cpu().numpy()
    ids = ids[skip:].astype(np.int64)
    losses = _losses(ids, len(dls.vocab), max_context, positions)
    scores = tuple(NgramScore(k, nats, to_bits(nats)) for k, nats in enumerate(losses) if k)
    return NgramBaseline(scores, len(positions.counted), len(positions.scored))


def _n_skipped(dls, max_chars):
    "The number of characters at the beginning of the text that are not counted."
    spans = dls.train_ds.info.get("spans")
    if max_chars is None or spans is None or len(spans[0]) > 1:
        return 0
    begin, end = spans[0][0]
    return max(end - begin - max_chars, 0)


class _Positions(NamedTuple):
    "Positions in the text, after the skipped characters."

    counted: np.ndarray  # (n_counted,) int64
    depth: np.ndarray  # (n_counted,) int64: how many characters of the same span or document are before each
    scored: np.ndarray  # (n_scored,) int64
    reach: np.ndarray | None = None  # (n_chars,) int64: of documents, how many characters of its own are before each


def _positions(dls, skip):
    "The positions to count and to score."
    spans = dls.train_ds.info.get("spans")
    if spans is None or not len(dls.train_ds.ids):
        train, valid = (ds.items.to_numpy() + ds.seq_len for ds in (dls.train_ds, dls.valid_ds))
        return _Positions(train, train, valid)
    # streams read several documents as one text
    if dls.train_ds.ids.edges is not None and not dls.stateful:
        return _document_positions(dls, spans[0][0][1], skip)
    counted, scored = ([(max(begin - skip, 0), end - skip) for begin, end in part] for part in spans)
    depth = np.concatenate([np.arange(end - begin) for begin, end in counted])
    return _Positions(_all_positions(counted), depth, _all_positions(scored))


def _document_positions(dls, cut, skip):
    "All characters of the training documents, and the targets of the validation windows."
    edges = np.unique(np.maximum(dls.train_ds.ids.edges - skip, 0))
    reach = np.arange(edges[-1]) - np.repeat(edges[:-1], np.diff(edges))
    ds = dls.valid_ds
    targets = np.arange(1, ds.seq_len + 1) if ds.target == "every" else np.array([ds.seq_len])
    scored = (ds.items.to_numpy()[:, None] + targets).ravel() - skip
    return _Positions(np.arange(cut - skip), reach[: cut - skip], scored, reach)


def _all_positions(spans):
    return np.concatenate([np.arange(begin, end) for begin, end in spans])


def _losses(ids, n_vocab, max_context, positions):
    "The mean loss in nats for each longest context from 0 to `max_context`."
    reach = positions.reach
    n_chars = max(n_vocab - 1, 1)
    probs = np.full(len(ids), 1 / n_chars)
    # gram[i] is the number of the k+1 characters that end at i, context[i] that of the k characters before i
    context = np.zeros_like(ids)
    gram = ids
    for k in range(max_context + 1):
        longer = _witten_bell(probs, gram, context, positions.counted[positions.depth >= k])
        probs = longer if reach is None else np.where(reach >= k, longer, probs)
        yield float(-np.log(probs[positions.scored]).mean())
        if k < max_context:
            context = np.concatenate([[0], gram[:-1]])
            gram = np.unique(context * n_vocab + ids, return_inverse=True)[1]


def _witten_bell(shorter, gram, context, train):
    "P(a | x) at every position, from P(a | x') in `shorter`. Names as in the module docstring."
    c_xa = np.bincount(gram[train], minlength=gram.max() + 1)
    c_x = np.bincount(context[train], minlength=context.max() + 1)
    context_of_gram = np.zeros(len(c_xa), np.int64)
    context_of_gram[gram] = context
    t_x = np.bincount(context_of_gram[c_xa > 0], minlength=len(c_x))
    # for every position
    t_x = t_x[context]
    total = c_x[context] + t_x
    probs = (c_xa[gram] + t_x * shorter) / np.maximum(total, 1)
    return np.where(total > 0, probs, shorter)
