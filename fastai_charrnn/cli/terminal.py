"""Texts for standard output: `for_terminal` escapes control characters for a terminal, as `ls` and `git` do.

A file or a pipe gets them unchanged.
"""

import sys

from .._printable import printable

__all__ = ["for_terminal"]


def for_terminal(
    text: object,  # a text that a user, a file or a model wrote
) -> str:
    "The text, with escapes if standard output is a terminal. Line breaks and tabs stay."
    return printable(text, lines=True) if sys.stdout.isatty() else str(text)
