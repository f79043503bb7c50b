"""Checks of texts and characters, with their errors. This module does not import torch."""

from .._checks import shown
from ..errors import VocabError

__all__ = ["PAD", "check_str", "check_chars", "as_list", "padding_in_text"]

PAD = "\0"  # the padding character


def check_str(
    text: object,  # what a user passed as a text
):
    "Raise `VocabError` unless it is a str."
    if isinstance(text, bytes):
        raise VocabError("a text must be a str, not bytes; decode it, as in text.decode('utf-8')")
    if not isinstance(text, str):
        raise VocabError(f"a text must be a str, not {type(text).__name__}")


def check_chars(
    chars: list,  # what a user passed as the characters of a vocabulary
):
    "Raise `VocabError` unless they are distinct single characters with the padding character first."
    if not chars or chars[0] != PAD:
        raise VocabError(
            f"a vocabulary starts with the padding character '\\0', not {chars[:1]}; use CharVocab.from_text"
        )
    seen = set()
    for c in chars:
        if not isinstance(c, str) or len(c) != 1:
            raise VocabError(f"{c!r} is not a single character; a vocabulary consists of single characters")
        if c in seen:
            raise VocabError(f"duplicate character {c!r} in vocab; each character has one index")
        seen.add(c)


def as_list(
    chars: object,  # what a user passed as the characters of a vocabulary
) -> list:
    "Return a list. Raises `VocabError` for what has no items."
    try:
        return list(chars)
    except TypeError:
        message = f"chars={shown(chars)} is not a list of characters; use CharVocab.from_text"
        raise VocabError(message) from None


def padding_in_text(
    position: int,  # of the padding character
) -> VocabError:
    "The error for a text that contains the padding character."
    return VocabError(
        f"the text contains the padding character '\\0' at position {position:,}; "
        "remove it with text.replace('\\0', ''): usually the file is binary or the encoding is wrong"
    )
