"""Passages that texts copied from their training text: `longest_copy`.

The search is exact. It hashes all passages of one length, looks for common hashes, and bisects the length.
Passages with equal hashes are compared character by character.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from fastai.basics import Learner

from .._checks import shown
from ..errors import GenerationError

__all__ = ["Corpus", "corpus_of", "longest_copy"]

_piece_size = 2**22  # characters of the corpus in memory at a time
# odd, so it has an inverse modulo 2**64
_base = 0x9E3779B97F4A7C15
_inverse = pow(_base, -1, 2**64)


class Corpus:
    "A text that is read in pieces, and the spans of it that train."

    def __init__(
        self,
        get: Callable[[int, int], str],  # returns the text from a position to another
        n_chars: int,  # length of the text
        spans: Sequence[tuple[int, int]],  # (begin, end) of the training part
    ):
        self.get = get
        self.n_chars = n_chars
        self.spans = [(max(begin, 0), min(end, n_chars)) for begin, end in spans]

    def pieces(
        self,
        overlap: int,  # characters of the next piece at the end of each
        spans: Sequence[tuple[int, int]] | None = None,  # None: the training part
    ) -> Iterator[tuple[int, str]]:  # position, piece
        for begin, end in spans or self.spans:
            for i in range(begin, end, _piece_size):
                yield i, self.get(i, min(i + _piece_size + overlap, end))


def corpus_of(
    learn: Learner | None,  # a learner, whose training text is the corpus
    corpus: str | None,  # the corpus, if there is no such learner
) -> Corpus:
    "Return the given text, or that of the learner. Raises `GenerationError` without one."
    if isinstance(corpus, str) and corpus:
        return Corpus(lambda begin, end: corpus[begin:end], len(corpus), [(0, len(corpus))])
    if corpus is not None:
        raise GenerationError(f"corpus={shown(corpus)} is not a text; pass the str the model was trained on")
    dataset = getattr(getattr(learn, "dls", None), "train_ds", None)
    ids = getattr(dataset, "ids", None)
    if ids is None or not len(ids):
        raise GenerationError(
            "there is no training text to compare with: a loaded model has none; pass corpus=read_text(…)"
        )

    def get(begin, end):
        return dataset.vocab.decode(ids.stretch(begin, end))

    spans = dataset.info.get("spans")
    train_spans = spans[0] if spans else [(0, len(ids))]
    return Corpus(get, len(ids), train_spans)


def longest_copy(
    texts: Sequence[str],  # texts that may have copied passages
    corpus: Corpus,  # the text that they may have copied from
) -> tuple[str, int]:  # the passage, and its first position in the corpus; ("", -1) if there is none
    """The longest passage of a text that occurs in the training part of the corpus.

    If a passage of k characters occurs, so do passages of k-1. The length first grows in doubling steps until no
    passage is found; bisection then finds the largest."""
    best = ("", -1)
    found_length = 0
    not_found_length = max(map(len, texts)) + 1
    step = 16
    while not_found_length - found_length > 1:
        if step:
            k = min(found_length + step, not_found_length - 1)
        else:
            k = (found_length + not_found_length) // 2
        copy = _find_copy(texts, k, corpus)
        if copy:
            best = copy
            found_length = k
            step *= 2
        else:
            not_found_length = k
            step = 0
    return best


def _find_copy(texts, k, corpus):
    "A passage of k characters that is in a text and in the corpus, with its first position in the corpus; or None."
    # as text and position: the passages themselves would take k times the memory
    passages = [(text, i) for text in texts for i in range(len(text) - k + 1)]
    if not passages:
        return None
    keys = np.concatenate([_hashes(text, k) for text in texts if len(text) >= k])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    for start, piece in corpus.pieces(k - 1):
        if len(piece) < k:
            continue
        hashes = _hashes(piece, k)
        first = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
        for i in np.flatnonzero(keys[first] == hashes):
            last = np.searchsorted(keys, hashes[i], "right")
            passage = piece[i : i + k]
            equal_hashes = (passages[j] for j in order[first[i] : last])
            if any(text[at : at + k] == passage for text, at in equal_hashes):
                return passage, start + int(i)
    return None


def _hashes(text, k):
    "A hash of every passage of k characters: a polynomial of its code points modulo 2**64."
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(len(codes), _base, np.uint64))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes * powers)])
        n_passages = len(codes) - k + 1
        inverse_powers = np.cumprod(np.full(n_passages, _inverse, np.uint64))
        return (sums[k:] - sums[:-k]) * inverse_powers
