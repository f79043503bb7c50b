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

from .._checks import check_count, shown
from .._html import as_table
from ..data.ids import MappedIds
from ..data.loaders import CharDataLoaders
from ..data.window_dl import WindowDL
from ..errors import DataError
from ..metrics import to_bits
from .counted import counted_part

__all__ = ["ngram_baseline", "NgramBaseline", "NgramScore"]

# characters that are counted and scored at most where nobody chose, to limit time and memory
MAX_COUNTED = 5_000_000
_max_context = 1000  # characters; longer contexts hardly ever occur twice


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
        lines = [self._caption(), "context     nats bits_per_char"]
        for score in self.scores:
            mark = "  best" if score is self.best else ""
            lines.append(f"{score.context:>7} {score.nats:>8.4f} {score.bits:>13.4f}{mark}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [(str(score.context), f"{score.nats:.4f}", f"{score.bits:.4f}") for score in self.scores]
        columns = ["longest context", "nats", "bits per char"]
        return as_table(columns, rows, self._caption(), left=(), marked=self.scores.index(self.best))

    def _caption(self):
        return f"character n-grams: {self.n_train:,} characters counted, {self.n_valid:,} scored"


def ngram_baseline(
    dls: CharDataLoaders,  # the text and its split
    max_context: int = 6,  # longest context, in characters
    max_chars: int | None = None,  # count and score at most so many characters, see `counted_part`; None: all
) -> NgramBaseline:  # a score for each longest context from 1 to `max_context`
    """Count character n-grams in the training part of `dls` and score them on its validation part.

    For a split into spans of text ("tail", "blocks"), all characters of the training spans are counted, with the
    contexts inside their span. For other splits, the targets of the windows are counted and scored. Windows of several
    documents: contexts do not cross borders, and the targets of the validation windows are scored. Counting needs about
    60 bytes of memory per character; a text on disk needs `max_chars`. Raises `DataError` for `dls` without text."""
    max_context = check_count("max_context", max_context, 1, _max_context)
    if not hasattr(dls, "train"):
        raise DataError(f"dls={shown(dls)} are not DataLoaders; make them with CharDataLoaders.from_text(text)")
    if not isinstance(dls.train, WindowDL):
        raise DataError(
            f"n-grams are counted in a text, and {type(dls.train).__name__} has only batches; "
            "pass dls made by CharDataLoaders.from_text"
        )
    if max_chars is None and isinstance(dls.train_ds.ids, MappedIds):
        raise DataError(
            f"n-grams are counted in memory, but the text of these dls is on disk ({dls.train_ds.ids.path}); "
            "pass max_chars=…, such as 5_000_000, to count in a part of it, or dls made with mmap=False"
        )
    if max_chars is not None:
        max_chars = check_count("max_chars", max_chars, hint="or None for all")
    part = counted_part(dls, max_chars)
    losses = _losses(part, len(dls.vocab), max_context)
    scores = tuple(NgramScore(k, nats, to_bits(nats)) for k, nats in enumerate(losses) if k)
    return NgramBaseline(scores, len(part.counted), len(part.scored))


def _losses(part, n_vocab, max_context):
    "The mean loss in nats for each longest context from 0 to `max_context`."
    ids, scored = part.ids, part.scored
    probs = np.full(len(scored), 1 / max(n_vocab - 1, 1))
    # gram[i] is the number of the k+1 characters that end at i, context[i] that of the k characters before i
    context = np.zeros(len(ids), np.int32)
    gram = ids
    for k in range(max_context + 1):
        longer = _witten_bell(probs, gram, context, part.counted[part.depth >= k], scored)
        probs = longer if part.reach is None else np.where(part.reach >= k, longer, probs)
        yield float(-np.log(probs).mean())
        if k < max_context:
            context[1:] = gram[:-1]
            gram = _numbered(context, ids, n_vocab)


def _numbered(context, ids, n_vocab):
    "Number the pairs of a context and a character, from 0. int32, as memory and sorting grow with the type."
    fits_int32 = (int(context.max()) + 1) * n_vocab < 2**31
    keys = context * np.array(n_vocab, np.int32 if fits_int32 else np.int64) + ids
    order = np.argsort(keys)
    keys = keys[order]
    gram = np.zeros(len(ids), np.int32)
    gram[order[1:]] = np.cumsum(keys[1:] != keys[:-1], dtype=np.int32)
    return gram


def _witten_bell(shorter, gram, context, counted, scored):
    "P(a | x) at the scored positions, from P(a | x') in `shorter`. Names as in the module docstring."
    c_xa = np.bincount(gram[counted], minlength=gram.max() + 1)
    c_x = np.bincount(context[counted], minlength=context.max() + 1)
    context_of_gram = np.zeros(len(c_xa), np.int32)
    context_of_gram[gram] = context
    t_x = np.bincount(context_of_gram[c_xa > 0], minlength=len(c_x))
    # at the scored positions
    gram, context = gram[scored], context[scored]
    t_x = t_x[context]
    total = c_x[context] + t_x
    probs = (c_xa[gram] + t_x * shorter) / np.maximum(total, 1)
    return np.where(total > 0, probs, shorter)
