"""A text with the log-probability of each character: `ScoredText`, the result of `generate` and `score`.

It prints as text; in a notebook, surprising characters are shaded. This module does not import torch.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from .._colours import css_shade
from .._html import as_text, escaped
from .._printable import printable

__all__ = ["ScoredText"]

_max_shaded = 20_000  # characters shaded in a notebook
_max_bits = 8  # bits of a character with the strongest shade


@dataclass(frozen=True, eq=False, repr=False)
class ScoredText:
    """A result that prints as text and exposes `log_probs`, one for each new character.

    They are the log-probabilities under the model itself, before temperature and filters."""

    prompt: str  # what the model read, without unknown characters
    new: str  # the continuation
    log_probs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))  # (len(new),) in nats
    seed: int | None = None  # seed of the random numbers; None: nothing was drawn
    with_prompt: bool = True  # whether `text` begins with the prompt

    @property
    def text(self) -> str:
        "Prompt and continuation, or only the continuation if `with_prompt` is False."
        return self.prompt + self.new if self.with_prompt else self.new

    @property
    def nll(self) -> np.ndarray:  # (len(new),)
        "Negative log-likelihood of each new character, in nats."
        return -self.log_probs

    @property
    def log_prob(self) -> float:
        "Log-probability of the whole continuation, in nats."
        return float(self.log_probs.sum(dtype=np.float64))

    @property
    def bits(self) -> float:
        "Negative log-likelihood of the whole continuation, in bits."
        # adding 0 turns -0.0 into 0.0
        return -self.log_prob / math.log(2) + 0.0

    @property
    def bits_per_char(self) -> float:
        "Mean of the bits of the new characters, or NaN without new characters."
        return self.bits / len(self.new) if self.new else math.nan

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        "The text with control characters as escapes, for a terminal."
        return printable(self.text, lines=True)

    def __len__(self) -> int:
        return len(self.text)

    def _repr_html_(self) -> str:
        "The text for a notebook. The more bits a new character has, the stronger its shade; a tooltip shows them."
        return f"<div>{as_text(self.shaded(_max_shaded))}<small>{self._caption()}</small></div>"

    def shaded(
        self,
        max_chars: int,  # of the continuation
    ) -> str:
        "Return the text as HTML, with shades behind surprising characters."
        prompt = escaped(self.prompt, lines=True) if self.with_prompt else ""
        bits = self.nll / math.log(2)
        chars = "".join(_shaded(char, b) for char, b in zip(self.new[:max_chars], bits))
        n_hidden = len(self.new) - max_chars
        return f"{prompt}{chars}" + (f"\n… and {n_hidden:,} characters more" if n_hidden > 0 else "")

    def _caption(self):
        if not self.new:
            caption = "nothing new"
        else:
            caption = f"{len(self.new):,} characters, {self.bits_per_char:.3f} bits per char"
        return caption if self.seed is None else f"{caption}, seed {self.seed}"


def _shaded(char, bits):
    "One character over a translucent colour, which suits light and dark pages."
    colour = css_shade(max(bits, 0) / _max_bits)
    tooltip = f"{escaped(repr(char))}: {bits:.2f} bits"
    return f'<span style="background:{colour}" title="{tooltip}">{escaped(char, lines=True)}</span>'
