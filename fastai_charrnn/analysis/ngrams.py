"""What counting alone achieves: `ngram_baseline`, the number to print beside a model's validation loss.

Interpolated Witten-Bell n-grams (Witten & Bell 1991, method C): with c(x) how often context x was seen, c(x, a) how
often character a followed it, t(x) how many distinct characters did, and x' the context without its first character,

    P(a | x) = (c(x, a) + t(x) P(a | x')) / (c(x) + t(x)),

down to 1/(V-1) for every character, padding left out. NumPy only: n-grams are numbered by sorting, not kept in dicts.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._utils import is_count
from ..data.ids import MappedIds
from ..data.loaders import CharDataLoaders
from ..errors import DataError
from ..metrics import to_bits

__all__ = ["ngram_baseline", "NgramBaseline", "NgramScore"]


class NgramScore(NamedTuple):
    "How well contexts of up to `context` characters predict."

    context: int  # longest context, in characters
    nats: float  # mean negative log-likelihood a character, as a validation loss
    bits: float  # bits per char


@dataclass(frozen=True)
class NgramBaseline:
    "The scores for each longest context; prints as a table with the best marked."

    scores: tuple[NgramScore, ...]
    n_train: int  # characters counted
    n_valid: int  # characters scored

    @property
    def best(self) -> NgramScore:
        "The score with the smallest loss."
        return min(self.scores, key=lambda s: s.nats)

    def __repr__(self) -> str:
        rows = [
            f"{s.context:>7} {s.nats:>8.4f} {s.bits:>13.4f}{'  best' if s is self.best else ''}" for s in self.scores
        ]
        return "\n".join(
            [
                f"character n-grams: {self.n_train:,} characters counted, {self.n_valid:,} scored",
                "context     nats bits_per_char",
                *rows,
            ]
        )


def ngram_baseline(
    dls: CharDataLoaders,  # the text and its split
    max_context: int = 6,  # longest context to try, in characters
    max_chars: int | None = None,  # count at most the last so many training characters of a "tail" split; None: all
) -> NgramBaseline:  # a score for each longest context from 1 to `max_context`
    """Character n-grams counted on the training part of `dls` and scored on its validation part.

    Where the split is by stretches of text ("tail", "blocks"), every character of a stretch counts, as do the contexts
    that lie inside it; else the parts are the targets of the windows. Counting takes about 110 bytes of memory a character.
    Raises `DataError` for `dls` without text."""
    if int(max_context) != max_context or max_context < 1:
        raise DataError(f"max_context={max_context} is not a whole number from 1 up")
    if isinstance(dls.train_ds.ids, MappedIds):
        raise DataError(
            f"n-grams are counted in memory, and the text of these dls stays on disk ({dls.train_ds.ids.path}); pass dls made with mmap=False, or of a part of it"
        )
    if max_chars is not None and not is_count(max_chars):
        raise DataError(f"max_chars={max_chars!r} must be None or a whole number from 1 up")
    skip = _skipped(dls, max_chars)
    ids = dls.train_ds.ids.data.cpu().numpy()[skip:].astype(np.int64)
    V = len(dls.vocab)
    train, depth, valid = _positions(dls, skip)
    if not len(train) or not len(valid):
        raise DataError(
            "these dls hold no text to count or none to score, as after load_learner or load_model; pass dls made from a text"
        )
    # gram[i] numbers the k+1 characters that end at i
    scores = []
    p = np.full(len(ids), 1 / max(V - 1, 1))
    context = np.zeros_like(ids)
    gram = ids
    for k in range(max_context + 1):
        p = _witten_bell(p, gram, context, train[depth >= k])
        if k:
            scores.append(NgramScore(k, nats := float(-np.log(p[valid]).mean()), to_bits(nats)))
        if k == max_context:
            break
        context = np.concatenate([[0], gram[:-1]])
        gram = np.unique(context * V + ids, return_inverse=True)[1]
    return NgramBaseline(tuple(scores), len(train), len(valid))


def _skipped(dls, max_chars):
    "How many characters at the beginning of the text are not looked at."
    spans = dls.train_ds.info.get("spans")
    if max_chars is None or spans is None or len(spans[0]) > 1:
        return 0
    begin, end = spans[0][0]
    return max(end - begin - max_chars, 0)


def _positions(dls, skip):
    "Which characters are counted, how many of their own part precede each, and which are scored; without the first `skip`."
    spans = dls.train_ds.info.get("spans")
    if spans is None or not len(dls.train_ds.ids):
        train, valid = (ds.items.to_numpy() + ds.seq_len for ds in (dls.train_ds, dls.valid_ds))
        return train, train, valid
    counted, scored = ([(max(a - skip, 0), b - skip) for a, b in part] for part in spans)
    train, valid = (np.concatenate([np.arange(a, b) for a, b in part]) for part in (counted, scored))
    return train, np.concatenate([np.arange(b - a) for a, b in counted]), valid


def _witten_bell(p, gram, context, train):
    "The probability of each character of the text given its context, from that given the context one shorter."
    n_gram = np.bincount(gram[train], minlength=gram.max() + 1)
    n_context = np.bincount(context[train], minlength=context.max() + 1)
    of = np.zeros(len(n_gram), np.int64)
    of[gram] = context  # every n-gram has one context
    kinds = np.bincount(of[n_gram > 0], minlength=len(n_context))[context]
    total = n_context[context] + kinds
    return np.where(total > 0, (n_gram[gram] + kinds * p) / np.maximum(total, 1), p)
