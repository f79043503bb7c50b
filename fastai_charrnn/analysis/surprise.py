"""A picture of how much each character of a text surprises a model: `plot_surprise`."""

import math
from typing import TYPE_CHECKING

import numpy as np
from fastai.basics import Learner

from .._checks import shown
from ..errors import DataError
from ..generation.scored import ScoredText
from ..generation.text import score
from .text_picture import plot_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_surprise"]

_max_bits = 8  # the strongest colour, as in the HTML form of `ScoredText`


def plot_surprise(
    learn: Learner | None,  # the learner that scores a `str`; None for a text that is scored
    text: str | ScoredText,  # a text, or a result of `generate` or `score`
    width: int = 80,  # characters in a line
    max_bits: float = _max_bits,  # surprise with the strongest colour
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> "Axes":
    """Draw a text with a colour behind each character: the more bits it has under the model, the stronger.

    A character of b bits had the probability 2**-b. The prompt of a generated text has no colour. Raises
    `DataError` for a text without a learner, and `UnknownCharError` for characters outside the vocabulary."""
    scored = _scored(learn, text)
    prompt = scored.prompt if scored.with_prompt else ""
    bits = np.concatenate([np.zeros(len(prompt)), scored.nll / math.log(2)])
    title = f"{scored.bits_per_char:.2f} bits per char" if scored.new else ""
    return plot_text(bits, scored.text, width, vmax=max_bits, title=title, ax=ax)


def _scored(learn, text):
    if isinstance(text, ScoredText):
        return text
    if learn is None:
        raise DataError(
            f"text={shown(text)} has no log-probabilities; pass a learner, or a result of learn.score or learn.generate"
        )
    return score(learn, text)
