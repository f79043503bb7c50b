"""Text that is safe to print: `printable`. Imports nothing of the project, and no torch.

A stranger's file, a text and a model may contain any character. On a terminal, escape sequences change colours, the
title and the clipboard, and bidirectional overrides show a text in another order than it has.
"""

from itertools import accumulate
from unicodedata import category

__all__ = ["printable"]

# zero-width non-joiner and joiner: Persian, Indian scripts and emoji are spelled with them
_joiners = "\u200c\u200d"


def printable(
    text: object,  # a text, or anything with a `str`
    *,
    lines: bool = False,  # whether line breaks and tabs stay as they are
    max_len: int | None = None,  # characters of the result; a longer one ends in "…"; None: any number
) -> str:
    r"""Return the text with control characters and invisible ones as backslash escapes, such as `\x1b`.

    Escaped are control characters, bidirectional overrides, separators of lines and paragraphs, lone surrogates,
    private and unassigned code points. Spaces of any width and joiners stay."""
    text = str(text)
    kept = _joiners + "\n\t" if lines else _joiners
    if max_len is None:
        return text if text.isprintable() else "".join(_escaped(char, kept) for char in text)
    shown = [_escaped(char, kept) for char in text[: max_len + 1]]
    ends = list(accumulate(map(len, shown)))
    if not ends or ends[-1] <= max_len:
        return "".join(shown)
    # no escape is cut in two
    n_whole = sum(end < max_len for end in ends)
    return "".join(shown[:n_whole]) + "…"


def _escaped(char, kept):
    "The character itself, or its escape."
    is_safe = char.isprintable() or char in kept or category(char) == "Zs"
    return char if is_safe else ascii(char)[1:-1]
