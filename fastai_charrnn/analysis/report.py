"""What is wrong with generated texts: `sample_report`. Repetition, words that are none, and passages learned by heart.

The longest passage copied from the training text is found exactly, by hashing every passage of a length and halving the range of
lengths; a match is compared character by character before it counts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from fastai.basics import Learner

from ..data.ids import MappedIds
from ..errors import GenerationError
from ..generation.scored import ScoredText

__all__ = ["sample_report", "SampleReport", "loop_period"]

_piece = 2**22  # characters of the corpus looked at at a time
_longest_period = 1000
_word = re.compile(r"[^\W\d_]+")
_base = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64


@dataclass(frozen=True)
class SampleReport:
    "What `sample_report` found; prints as a table."

    texts: int  # how many
    chars: int  # in them
    loop_rate: float  # the part of the texts that end by repeating themselves
    distinct: tuple[float, ...]  # distinct 1-grams to 4-grams, each as a part of all of them
    words: int  # whole words
    known_words: float  # the part of these that occur in the corpus, whatever their case; NaN without words
    copied: str  # the longest passage that stands in the training text too
    copied_at: int  # where it first stands there; -1 where nothing is copied

    def __repr__(self) -> str:
        shown = self.copied if len(self.copied) <= 60 else self.copied[:57] + "…"
        return (
            f"{self.texts:,} texts, {self.chars:,} characters\n"
            f"  end in a loop          {self.loop_rate:.1%}\n"
            f"  distinct 1- to 4-grams {' '.join(f'{o:.1%}' for o in self.distinct)}\n"
            f"  words in the corpus    {self.known_words:.1%} of {self.words:,}\n"
            f"  longest copy           {len(self.copied):,} characters, at {self.copied_at:,}: {shown!r}"
        )


def sample_report(
    texts: str
    | ScoredText
    | Sequence[str | ScoredText],  # generated texts; of what `generate` gave, the continuations alone count
    learn: Learner | None = None,  # a learner, whose training text is the corpus
    corpus: str | None = None,  # or the corpus itself
) -> SampleReport:
    """Repetition, share of words known, and the longest passage copied. Raises `GenerationError` without texts or a corpus.

    A text loops if it ends in three equal passages or more that make 24 characters or more together. A word cut off by the text's end, or
    begun in its prompt, is not counted. Passages are sought in what the learner trains on, words in the whole corpus."""
    texts = [texts] if isinstance(texts, (str, ScoredText)) else list(texts)
    if odd := next((o for o in texts if not isinstance(o, (str, ScoredText))), None):
        raise GenerationError(f"texts are str or what generate gave, not {type(odd).__name__}")
    if not texts:
        raise GenerationError("there are no texts to report on; pass those that generate gave")
    new = [o.new if isinstance(o, ScoredText) else o for o in texts]
    source = _corpus(learn, corpus)
    words = [w for o in texts for w in _whole_words(o)]
    known = _occurring({w.casefold() for w in words}, source)
    copied, at = longest_copy(new, source)
    return SampleReport(
        len(new),
        sum(map(len, new)),
        float(np.mean([loop_period(o) is not None for o in new])),
        tuple(_distinct(new, k) for k in (1, 2, 3, 4)),
        len(words),
        float(np.mean([w.casefold() in known for w in words])) if words else float("nan"),
        copied,
        at,
    )


def loop_period(
    text: str,  # any
) -> int | None:  # the length of the passage it ends by repeating, at most 1000; None if it does not
    "The period of a text that ends in three equal passages or more, of 24 characters or more together."
    for p in range(1, min(len(text) // 3, _longest_period) + 1):
        m = max(2 * p, 24 - p)  # what must equal itself p characters before
        if m + p <= len(text) and text[-1] == text[-1 - p] and text[-m:] == text[-m - p : -p]:
            return p
    return None


class _Corpus:
    "A text in pieces, each given with the `lap` characters that follow it; and which stretches of it train."

    def __init__(self, get, n, spans):
        self.get, self.n, self.spans = get, n, [(max(a, 0), min(b, n)) for a, b in spans]

    def pieces(self, lap: int, spans=None) -> Iterator[tuple[int, str]]:  # where it begins, and the piece
        for a, b in spans or self.spans:
            for i in range(a, b, _piece):
                yield i, self.get(i, min(i + _piece + lap, b))


def _corpus(learn, corpus):
    "Where passages and words are looked for."
    if isinstance(corpus, str) and corpus:
        return _Corpus(lambda a, b: corpus[a:b], len(corpus), [(0, len(corpus))])
    if corpus is not None:
        raise GenerationError(f"corpus={corpus!r:.40} is not a text; pass the str the model was trained on")
    ds = getattr(getattr(learn, "dls", None), "train_ds", None)
    ids = getattr(ds, "ids", None)
    if ids is None or not len(ids):
        raise GenerationError(
            "there is no training text to compare with: a loaded model carries none; pass corpus=read_text(…)"
        )
    array = np.load(ids.path, mmap_mode="r") if isinstance(ids, MappedIds) else ids.data.cpu().numpy()
    spans = ds.info.get("spans")
    return _Corpus(lambda a, b: ds.vocab.decode(array[a:b]), len(array), spans[0] if spans else [(0, len(array))])


def _distinct(texts, k):
    grams = [t[i : i + k] for t in texts for i in range(len(t) - k + 1)]
    return len(set(grams)) / len(grams) if grams else float("nan")


def _whole_words(text):
    "Words that neither began in the prompt nor are cut off by the end."
    new, prompt = (text.new, text.prompt) if isinstance(text, ScoredText) else (text, "")
    begun = prompt[-1:].isalpha()
    return [m[0] for m in _word.finditer(new) if m.end() < len(new) and not (m.start() == 0 and begun)]


def _occurring(words, corpus):
    "Which of the words, in lower case, the corpus holds."
    found, cut = set(), ""
    for _, piece in corpus.pieces(0, [(0, corpus.n)]):
        whole = (cut + piece).casefold()
        (*spans,) = _word.finditer(whole)
        cut = spans[-1][0] if spans and spans[-1].end() == len(whole) else ""
        found |= words & {m[0] for m in spans[: len(spans) - bool(cut)]}
    return found | words & {cut}


def longest_copy(
    texts: Sequence[str],  # where to look for passages
    corpus: _Corpus,  # what they may be copied from
) -> tuple[str, int]:  # the passage, and where it first stands
    "The longest passage of any text that the corpus holds. A passage of k characters holds those of k-1, so that lengths are halved."
    # low: found; high: not
    best = ("", -1)
    low = 0
    high = max(map(len, texts)) + 1
    step = 16
    while high - low > 1:
        k = min(low + step, high - 1) if step else (low + high) // 2  # double until one is not found
        found = _copy_of(texts, k, corpus)
        if found:
            best = found
            low = k
            step = step * 2
        else:
            high, step = k, 0
    return best


def _copy_of(texts, k, corpus):
    "A passage of k characters that texts and corpus share, with its first place."
    samples = [(h, t, i) for t in texts if len(t) >= k for i, h in enumerate(_hashes(t, k))]
    if not samples:
        return None
    keys = np.array([h for h, *_ in samples], np.uint64)
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    for start, piece in corpus.pieces(k - 1):
        if len(piece) < k:
            continue
        hashes = _hashes(piece, k)
        j = np.minimum(np.searchsorted(ranked, hashes), len(ranked) - 1)
        for i in np.flatnonzero(ranked[j] == hashes):
            for o in order[j[i] : np.searchsorted(ranked, hashes[i], "right")]:
                _, t, at = samples[o]
                if t[at : at + k] == piece[i : i + k]:
                    return t[at : at + k], start + int(i)
    return None


def _hashes(text, k):
    "For each passage of k characters a number that equal passages share: a polynomial of its code points modulo 2**64."
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(len(codes), _base, np.uint64))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes * powers)])
        back = np.cumprod(np.full(len(codes), pow(_base, -1, 2**64), np.uint64))[: len(codes) - k + 1]
        return (sums[k:] - sums[:-k]) * back
