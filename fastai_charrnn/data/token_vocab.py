"""Vocabularies that this package did not make: `TokenVocab`, a list of characters in any order; `as_vocab` converts.

This module does not import torch.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from ..errors import VocabError
from .vocab import PAD, CharVocab

__all__ = ["TokenVocab", "as_vocab"]

# "xxbos" of fastai, "<pad>" and "[UNK]" of Hugging Face, and the empty string
_special = re.compile(r"(xx[a-z_]+|<[^<>]*>|\[[A-Za-z_]+\])?")


class TokenVocab(CharVocab):
    """A vocabulary in the order of other loaders: single characters, with or without padding and special tokens.

    Special tokens, such as fastai's "xxbos", are decoded as they are spelled. Text is never encoded to them, and they
    are never generated. `chars` is the `CharVocab` of the characters, `index` their indices here."""

    def __init__(
        self,
        itos: Iterable[str],  # the tokens by index
    ):
        "Raises `VocabError` for words, duplicate characters, and a list without characters."
        self.itos = list(itos)
        chars = {i: c for i, c in enumerate(self.itos) if isinstance(c, str) and len(c) == 1 and c != PAD}
        others = [c for i, c in enumerate(self.itos) if i not in chars and c != PAD]
        _check(chars.values(), others)
        self.o2i = {c: i for i, c in reversed(list(enumerate(self.itos)))}
        self.chars = CharVocab([PAD, *chars.values()])
        self.dtype = np.min_scalar_type(len(self.itos) - 1)
        self.index = np.array([self._padding(chars), *chars], self.dtype)

    def _padding(self, chars):
        "The index that fills short windows: padding if there is any, else another special token, else the first."
        specials = [i for i in range(len(self.itos)) if i not in chars]
        padding = [i for i in specials if self.itos[i] == PAD or "pad" in self.itos[i].lower()]
        return (padding or specials or [0])[0]

    def encode(self, text: str, unk: str = "error", at: int = 0) -> np.ndarray:
        "Return the indices of `text`. Arguments and errors are those of `CharVocab.encode`."
        return self.index[self.chars.encode(text, unk, at)]

    def check_unk(self, unk: str):
        "Raise `VocabError` unless `encode` accepts this `unk`."
        self.chars.check_unk(unk)

    def nearest(self, char: str) -> str:
        "Return the known character nearest to `char`."
        return self.chars.nearest(char)

    def extended(self, text: str) -> "TokenVocab":
        "Add the characters of `text` at the end. Raises `VocabError` as `CharVocab.extended` does."
        return TokenVocab([*self.itos, *self.chars.extended(text).itos[len(self.chars) :]])

    def _spell(self, ids):
        return "".join(self.itos[i] for i in ids.tolist())

    def __repr__(self) -> str:
        n_others = len(self) - len(self.chars) + 1
        return f"TokenVocab of {len(self)}: {n_others} special tokens and {''.join(self.chars.itos[1:61])!r}"


def _check(chars, others):
    words = [c for c in others if not isinstance(c, str) or not _special.fullmatch(c)]
    if words:
        raise VocabError(
            f"{len(words):,} entries of the vocabulary are not single characters, such as {words[0]!r}; "
            "tokenize into characters, as with list(text)"
        )
    twice = [c for c, n in Counter(chars).items() if n > 1]
    if twice:
        raise VocabError(f"duplicate character {twice[0]!r} in vocab; each character has one index")
    if not chars:
        raise VocabError("the vocabulary has no characters; set dls.vocab to the list of characters, by index")


def as_vocab(
    vocab: object,  # a `CharVocab`, characters by index, a dict of characters to indices, or equal lists for x and y
) -> CharVocab:  # the vocabulary with `encode` and `decode`
    "Return a vocabulary of characters. Raises `VocabError` for words and for anything that is not a vocabulary."
    if isinstance(vocab, CharVocab):
        return vocab
    if isinstance(vocab, Mapping):
        vocab = _by_index(vocab)
    try:
        tokens = list(vocab)
    except TypeError:
        raise VocabError(f"a vocabulary is a list of characters by index, not {type(vocab).__name__}") from None
    if tokens and not any(isinstance(c, str) for c in tokens):
        return _of_inputs_and_targets(tokens)
    is_ours = tokens[:1] == [PAD] and all(isinstance(c, str) and len(c) == 1 for c in tokens)
    return CharVocab(tokens) if is_ours else TokenVocab(tokens)


def _by_index(vocab):
    "The characters of a dict of characters to indices."
    chars = sorted(vocab, key=vocab.get)
    if [vocab[c] for c in chars] != list(range(len(chars))):
        raise VocabError("a vocabulary that is a dict maps characters to 0, 1, 2 …, each index once")
    return chars


def _of_inputs_and_targets(vocabs):
    "The common vocabulary of inputs and targets, as text loaders of fastai have it."
    first, *others = [as_vocab(v) for v in vocabs]
    if any(other != first for other in others):
        raise VocabError("inputs and targets have different vocabularies; a model of characters predicts its inputs")
    return first
