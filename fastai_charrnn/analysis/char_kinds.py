"""Kinds of characters, for pictures that group them: `char_kind`. Imports neither torch nor matplotlib."""

import unicodedata

__all__ = ["KINDS", "char_kind"]

KINDS = ("letters", "capitals", "digits", "spaces", "punctuation", "other")


def char_kind(
    char: str,  # one character
) -> str:  # one of `KINDS`
    "Return the kind of a character. Letters without case, such as Chinese ones, are letters. Line ends are spaces."
    if char.isalpha():
        return "capitals" if char.isupper() or char.istitle() else "letters"
    if char.isspace():
        return "spaces"
    category = unicodedata.category(char)
    if category[0] == "N":
        return "digits"
    return "punctuation" if category[0] in "PS" else "other"
