"""The text methods that `CharLearner` and `CharGenerator` share: `TextMethods`.

    learn.predict("The ", n_words=5)        # five words
    learn.predict("The ", n=40, seed=1)     # forty characters

`predict` has the arguments of fastai's `LMLearner.predict`. fastai's `Learner.predict` returns a class and its
probabilities instead. For these, `next_probs` has the probability of each next character, and
`learn.get_preds(dl=learn.dls.test_dl(["The "]))` those of several texts.
"""

from typing import Any

from .._checks import check_length
from ..errors import GenerationError
from .continuing import continue_texts
from .generate import generate
from .loops import warn_about_loop
from .options import GenerationConfig
from .prompts import TextModel, single_text
from .text import next_probs, predict_next, score

__all__ = ["TextMethods"]

_max_word = 100  # characters of a word, on average, before the search for its end is given up


class TextMethods:
    "Methods of a class with a `model` and its `dls`. As a first base class, it hides fastai's own `predict`."

    model: Any
    dls: Any
    predict_next = predict_next
    next_probs = next_probs
    generate = generate
    score = score

    # not an attribute as the others: type checkers would find the declaration of fastai's `Learner` first
    def predict(
        self: TextModel,  # a learner whose `dls` has a character vocabulary
        text: str,  # the text to continue; may be empty
        n_words: int | None = None,  # words to append; None: 1, or none if `n` is passed
        no_unk: bool = True,  # no effect: there is no character for unknown ones
        temperature: float = 1.0,  # below 1: likely characters more often; 0: always the most likely
        min_p: float | None = None,  # choose among characters at least `min_p` times as likely as the most likely
        no_bar: bool = False,  # no effect: there is no progress bar
        decoder: None = None,  # fastai's function from tokens to text; must be None
        only_last_word: bool = False,  # fastai's shorter context; must be False
        n: int | None = None,  # characters to append, instead of words
        seed: int | None = None,  # seed of the random numbers; None: a new one
        top_k: int | None = None,  # choose among the k most likely characters
        top_p: float | None = None,  # choose among the fewest characters with this total probability
        unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
    ) -> str:  # the text, without unknown characters, and its continuation
        """Continue `text` by sampling, as fastai's `LMLearner.predict` does. A word ends at white space.

        The result ends with the last of the words. If `text` ends within a word, the first one may complete it.
        `min_p` is relative, as in `generate`; fastai's is a probability.

        Raises `UnknownCharError`, and `GenerationError` for invalid options, for words if the vocabulary has no white
        space, or if the model generates 100 characters for each word without finding their ends."""
        _check_fastai_options(decoder, only_last_word)
        if n is None:
            n_words = _check_words(1 if n_words is None else n_words, self.dls.vocab)
        elif n_words is not None:
            raise GenerationError(f"n={n!r} is characters and n_words={n_words!r} is words; pass one of them")
        options = GenerationConfig(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            seed=seed,
            n=n_words * _max_word if n is None else n,
            stop=_WordCounter(n_words) if n_words else None,
        )
        (found,), period = continue_texts(self, single_text(text), options, unk=unk)
        if n_words:
            return found.prompt + _without_last_space(found.new, n_words)
        if period:
            warn_about_loop(period, stacklevel=2)
        return found.text


def _check_fastai_options(decoder, only_last_word):
    if decoder is not None:
        raise GenerationError("decoder turns tokens into text, and here the tokens are characters; leave it out")
    if only_last_word:
        raise GenerationError("only_last_word=True is not possible: the model reads characters; leave it out")


def _check_words(n_words, vocab):
    n_words = check_length("n_words", n_words, GenerationError)
    if n_words and not any(char.isspace() for char in vocab):
        raise GenerationError("the vocabulary has no white space, which ends a word; pass n=… for characters")
    return n_words


class _WordCounter:
    "A `stop` function that is true after the white space that ends the last word."

    def __init__(self, n_words):
        self.remaining = n_words

    def __call__(self, new):
        if new[-1].isspace() and not new[-2:-1].isspace() and len(new) > 1:
            self.remaining -= 1
        return self.remaining == 0


def _without_last_space(new, n_words):
    "The continuation without the white space that ends its last word."
    if not new[-1:].isspace() or len(new.split()) < n_words:
        raise GenerationError(
            f"the model generated {len(new):,} characters and only {len(new.split()):,} of {n_words:,} words; "
            "pass n=… for characters, or another temperature"
        )
    return new[:-1]
