"""Messages about characters: the known character nearest to an unknown one, and the rarest ones of a large vocabulary.

This module does not import torch.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np

from .._utils import warn_caller
from ..errors import CharRnnWarning

_n_large = 1000  # more distinct characters than this usually come from a wrong encoding

_look_alikes = {
    "‘": "'",
    "’": "'",
    "‚": "'",
    "‛": "'",
    "′": "'",
    "`": "'",
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "″": '"',
    "–": "-",
    "—": "-",
    "‐": "-",
    "‑": "-",
    "−": "-",
    "\t": " ",
    "\r": "\n",
    "\u2028": "\n",
}


def nearest_char(
    char: str,  # a character
    known: Sequence[str],  # at least one character, without the padding character
) -> str:  # one of `known`
    """Return the known character nearest to `char`.

    Tried in this order: the character itself, its plain form (Unicode NFKC and NFKD), its look-alike, its other case.
    If none of them is known, the character of the same Unicode category with the closest code point."""
    plain = [c for form in ("NFKC", "NFKD") for c in unicodedata.normalize(form, char)]
    other_case = [d for c in plain for d in c.swapcase()]
    for candidate in (char, *plain, _look_alikes.get(char, ""), *other_case):
        if candidate in known:
            return candidate
    category = unicodedata.category(char)[0]

    def distance(c):
        return unicodedata.category(c)[0] != category, abs(ord(c) - ord(char))

    return min(known, key=distance)


def is_large(
    chars: Sequence[str],  # a vocabulary, padding included
) -> bool:
    "Whether a vocabulary has so many characters that a wrong encoding is likely."
    return len(chars) - 1 > _n_large


def warn_large(
    chars: Sequence[str],  # a large vocabulary, padding included
    counts: np.ndarray,  # (len(chars),) how often each character occurs in the text
):
    "Warn with the rarest characters of a large vocabulary."
    rarest = np.argsort(counts[1:], kind="stable")[:10] + 1
    listed = " ".join(repr(chars[i]) for i in rarest)
    message = (
        f"{len(chars) - 1:,} distinct characters, the rarest {listed}: often a sign of a wrong encoding; "
        "pass the file's encoding=… if these are not characters of your text"
    )
    warn_caller(message, CharRnnWarning)
