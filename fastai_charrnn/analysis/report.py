"""Measure generated texts: `sample_report` reports repetition, non-words and the longest memorised passage."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from fastai.basics import Learner

from .._html import as_table, escaped
from ..data.char_checks import check_str
from ..errors import GenerationError
from ..generation.scored import ScoredText
from .copies import corpus_of, longest_copy

__all__ = ["sample_report", "SampleReport", "loop_period"]

_max_period = 1000
_min_loop_chars = 24
_word = re.compile(r"[^\W\d_]+")


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
        lines = [f"  {name:<22} {value}" for name, value in self._lines()]
        return "\n".join([self._caption(), *lines])

    def _repr_html_(self) -> str:
        rows = [(escaped(name), escaped(value)) for name, value in self._lines()]
        return as_table([], rows, self._caption(), left=(0, 1))

    def _caption(self):
        return f"{self.texts:,} texts, {self.chars:,} characters"

    def _lines(self):
        copied = self.copied if len(self.copied) <= 60 else self.copied[:57] + "…"
        return [
            ("end in a loop", f"{self.loop_rate:.1%}"),
            ("distinct 1- to 4-grams", " ".join(f"{fraction:.1%}" for fraction in self.distinct)),
            ("words in the corpus", f"{self.known_words:.1%} of {self.words:,}"),
            ("longest copy", f"{len(self.copied):,} characters, at {self.copied_at:,}: {copied!r}"),
        ]


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
    source = corpus_of(learn, corpus)
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
