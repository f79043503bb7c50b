"""Measure generated texts: `sample_report` reports repetition, non-words and the longest memorised passage.

The search for the longest passage copied from the training text is exact. It hashes all passages of one length, looks
for common hashes, and bisects the length. Passages with equal hashes are compared character by character.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from fastai.basics import Learner

from .._checks import shown
from ..data.char_checks import check_str
from ..errors import GenerationError
from ..generation.scored import ScoredText

__all__ = ["sample_report", "SampleReport", "loop_period"]

_piece_size = 2**22  # characters of the corpus in memory at a time
_max_period = 1000
_min_loop_chars = 24
_word = re.compile(r"[^\W\d_]+")
# odd, so it has an inverse modulo 2**64
_base = 0x9E3779B97F4A7C15
_inverse = pow(_base, -1, 2**64)


@dataclass(frozen=True)
class SampleReport:
    "The result of `sample_report`. Prints as a table."

    texts: int  # number of texts
    chars: int  # number of characters in them
    loop_rate: float  # fraction of texts that end in a loop
    distinct: tuple[float, ...]  # distinct 1-grams to 4-grams as fractions of all
    words: int  # number of whole words
    known_words: float  # fraction of words that occur in the corpus, ignoring case; NaN without words
    copied: str  # longest passage that also occurs in the training text
    copied_at: int  # its first position there; -1 if nothing is copied

    def __repr__(self) -> str:
        copied = self.copied if len(self.copied) <= 60 else self.copied[:57] + "…"
        return (
            f"{self.texts:,} texts, {self.chars:,} characters\n"
            f"  end in a loop          {self.loop_rate:.1%}\n"
            f"  distinct 1- to 4-grams {' '.join(f'{fraction:.1%}' for fraction in self.distinct)}\n"
            f"  words in the corpus    {self.known_words:.1%} of {self.words:,}\n"
            f"  longest copy           {len(self.copied):,} characters, at {self.copied_at:,}: {copied!r}"
        )


def sample_report(
    texts: str | ScoredText | Sequence[str | ScoredText],  # generated texts
    learn: Learner | None = None,  # a learner, whose training text is the corpus
    corpus: str | None = None,  # the corpus, if there is no such learner
) -> SampleReport:
    """Measure repetition, the fraction of known words, and the longest passage copied from the training text.

    Of the results of `generate`, only the continuations count. A text ends in a loop if its last 24 characters or more
    are three or more equal passages. Words that begin in the prompt or are cut off by the end of the text do not
    count. Passages are looked up in the part that the learner trains on, words in the whole corpus.
    Raises `GenerationError` without texts or without a corpus."""
    texts = _checked(texts)
    continuations = [text.new if isinstance(text, ScoredText) else text for text in texts]
    source = _corpus(learn, corpus)
    words = [word.casefold() for text in texts for word in _whole_words(text)]
    known = _known_words(set(words), source)
    copied, copied_at = longest_copy(continuations, source)
    return SampleReport(
        texts=len(texts),
        chars=sum(map(len, continuations)),
        loop_rate=float(np.mean([loop_period(text) is not None for text in continuations])),
        distinct=tuple(_distinct(continuations, k) for k in (1, 2, 3, 4)),
        words=len(words),
        known_words=float(np.mean([word in known for word in words])) if words else float("nan"),
        copied=copied,
        copied_at=copied_at,
    )


def _checked(texts):
    "The texts as a list."
    is_one = isinstance(texts, (str, ScoredText)) or not isinstance(texts, Iterable)
    texts = [texts] if is_one else list(texts)
    for text in texts:
        if not isinstance(text, (str, ScoredText)):
            raise GenerationError(f"texts must be str or results of generate, not {type(text).__name__}")
    if not texts:
        raise GenerationError("there are no texts to report on; pass results of generate")
    return texts


def loop_period(
    text: str,  # any text
) -> int | None:  # at most 1000; None if the text does not end in a loop
    "The length of the passage that a text repeats at its end, three times or more, in 24 characters or more."
    check_str(text)
    max_period = min(len(text) // 3, _max_period)
    for period in range(1, max_period + 1):
        # these many last characters must equal those `period` before them
        n_equal = max(2 * period, _min_loop_chars - period)
        if n_equal + period > len(text) or text[-1] != text[-1 - period]:
            continue
        if text[-n_equal:] == text[-n_equal - period : -period]:
            return period
    return None


def _distinct(texts, k):
    "The fraction of k-grams that are distinct."
    grams = [text[i : i + k] for text in texts for i in range(len(text) - k + 1)]
    return len(set(grams)) / len(grams) if grams else float("nan")


class _Corpus:
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


def _corpus(learn, corpus):
    "The given text, or that of the learner."
    if isinstance(corpus, str) and corpus:
        return _Corpus(lambda begin, end: corpus[begin:end], len(corpus), [(0, len(corpus))])
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
    return _Corpus(get, len(ids), train_spans)


def _whole_words(text):
    "The words that neither begin in the prompt nor are cut off by the end."
    new, prompt = (text.new, text.prompt) if isinstance(text, ScoredText) else (text, "")
    prompt_ends_in_word = prompt[-1:].isalpha()
    for match in _word.finditer(new):
        begins_in_prompt = match.start() == 0 and prompt_ends_in_word
        if match.end() < len(new) and not begins_in_prompt:
            yield match[0]


def _known_words(words, corpus):
    "Those of the case-folded words that occur in the corpus."
    known = set()
    cut_off = ""
    for _, piece in corpus.pieces(0, [(0, corpus.n_chars)]):
        piece = cut_off + piece
        found = list(_word.finditer(piece))
        cut_off = ""
        # the last word may continue in the next piece
        if found and found[-1].end() == len(piece):
            cut_off = found.pop()[0]
        # words are found before they are case-folded, which may add a combining mark that ends a word
        known |= words & {match[0].casefold() for match in found}
    return known | words & {cut_off.casefold()}


def longest_copy(
    texts: Sequence[str],  # texts that may have copied passages
    corpus: _Corpus,  # the text that they may have copied from
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
