"""What a unit may track in a text: quotes, brackets, the position in a line or word, kinds of characters (`FEATURES`).

A feature is a function of a text that returns a number for each character: 0 or 1, or a count. It describes the text up
to and including the character, because the hidden state is the one after reading it. Imports no torch.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .._checks import shown
from ..errors import DataError

__all__ = ["FEATURES", "feature_rows"]

Feature = Callable[[str], Sequence[float]]

_openings = {"(": ")", "[": "]", "{": "}"}
_quotes = {"“": "”", "„": "“", "«": "»", '"': '"'}


def _quoted(text):
    "Whether each character is inside double quotes, the opening one included. An empty line closes them."
    closing = ""
    inside = []
    before = ""
    for char in text:
        if closing:
            closing = "" if char == closing or (char == before == "\n") else closing
        else:
            closing = _quotes.get(char, "")
        inside.append(bool(closing))
        before = char
    return inside


def _bracket_depth(text):
    "How many brackets are open. An empty line closes all."
    expected: list[str] = []
    depths = []
    before = ""
    for char in text:
        if char in _openings:
            expected.append(_openings[char])
        elif expected and char == expected[-1]:
            expected.pop()
        elif char == before == "\n":
            expected.clear()
        depths.append(len(expected))
        before = char
    return depths


def _counted_since(text, is_reset):
    "Characters since the last one for which `is_reset` is true."
    count = 0
    counts = []
    for char in text:
        count = 0 if is_reset(char) else count + 1
        counts.append(count)
    return counts


def _line_position(text):
    "Characters since the line end. 0 in a text without one."
    return _counted_since(text, lambda char: char == "\n") if "\n" in text else [0] * len(text)


def _word_position(text):
    return _counted_since(text, lambda char: not char.isalpha())


def _word_beginnings(text):
    return np.array(_word_position(text)) == 1


def _indentation(text):
    "Whether all characters of the line so far are spaces or tabs."
    is_blank = True
    blanks = []
    for char in text:
        is_blank = char == "\n" or (is_blank and char in " \t")
        blanks.append(is_blank and char != "\n")
    return blanks


def _each(test):
    return lambda text: [test(char) for char in text]


FEATURES: Mapping[str, Feature] = {
    "quotes": _quoted,
    "brackets": _bracket_depth,
    "line position": _line_position,
    "word position": _word_position,
    "indentation": _indentation,
    "word beginnings": _word_beginnings,
    "spaces": _each(lambda char: char == " "),
    "line ends": _each(lambda char: char == "\n"),
    "vowels": _each(lambda char: char in "aeiouAEIOU"),
    "capitals": _each(str.isupper),
    "digits": _each(str.isdigit),
    "punctuation": _each(lambda char: char in ".,;:!?"),
}


def feature_rows(
    text: str,  # any
    features: Mapping[str, Feature],  # functions of a text by name
) -> np.ndarray:  # (n_features, len(text)) float64
    "Return the values of features. Raises `DataError` for those that do not return a number for each character."
    if not isinstance(features, Mapping):
        raise DataError(f"features={shown(features)} are not a dict; pass names and functions of a text")
    rows = [_row(text, name, feature) for name, feature in features.items()]
    return np.array(rows, dtype=float).reshape(len(rows), len(text))


def _row(text, name, feature):
    if not callable(feature):
        raise DataError(f"the feature {shown(name)} is {shown(feature)}; pass a function of a text")
    try:
        row = np.asarray(list(feature(text)), dtype=float)
    except (TypeError, ValueError) as e:
        raise DataError(f"the feature {shown(name)} does not return numbers ({e}); return one a character") from e
    if row.shape != (len(text),) or not np.isfinite(row).all():
        what = f"values of shape {row.shape}" if row.shape != (len(text),) else "NaN or infinity"
        raise DataError(f"the feature {shown(name)} returns {what} for {len(text)} characters; return one number each")
    return row
