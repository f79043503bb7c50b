"""A text and how likely a model finds each of its characters: `ScoredText`, what `generate` and `score` return. No torch here."""

import html
import math
from dataclasses import dataclass, field

import numpy as np

__all__ = ["ScoredText"]

_shown = 20_000  # characters that a notebook is given to shade
_most_bits = 8  # from here on the shading grows no darker


@dataclass(frozen=True, eq=False, repr=False)
class ScoredText:
    "A text that prints as itself, with the log-probability of each new character under the model alone: no temperature, no filter."

    prompt: str  # what the model was given, as it read it
    new: str  # what follows
    log_probs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))  # (len(new),) in nats
    seed: int | None = None  # what it was drawn with; None: nothing was drawn
    with_prompt: bool = True  # whether `text` begins with the prompt

    @property
    def text(self) -> str:
        "What it prints as: prompt and continuation, or the continuation alone."
        return self.prompt + self.new if self.with_prompt else self.new

    @property
    def nll(self) -> np.ndarray:  # (len(new),)
        "The negative log-likelihood of each new character, in nats."
        return -self.log_probs

    @property
    def log_prob(self) -> float:
        "The log-probability of all that is new, in nats."
        return float(self.log_probs.sum(dtype=np.float64))

    @property
    def bits(self) -> float:
        "What it costs to write down all that is new, by the model."
        return -self.log_prob / math.log(2) + 0.0  # no -0.0

    @property
    def bits_per_char(self) -> float:  # NaN where nothing is new
        "The mean over the new characters."
        return self.bits / len(self.new) if self.new else math.nan

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def __len__(self) -> int:
        return len(self.text)

    def _repr_html_(self) -> str:
        "For notebooks: the text, every new character the darker the more it surprises the model; the number shows under the pointer."
        lead = html.escape(self.prompt) if self.with_prompt else ""
        shown = self.new[:_shown]
        spans = "".join(map(_span, shown, self.nll / math.log(2)))
        more = f"\n… and {len(self.new) - _shown:,} characters more" if len(self.new) > _shown else ""
        said = f"{len(self.new):,} characters, {self.bits_per_char:.3f} bits per char" if self.new else "nothing new"
        return (
            f'<div><pre style="white-space:pre-wrap;word-break:break-word;color:inherit;background:none">{lead}{spans}{more}</pre>'
            f"<small>{said}{'' if self.seed is None else f', seed {self.seed}'}</small></div>"
        )


def _span(c, bits):
    "A see-through red on whatever the page has behind it, so that the text keeps its own colour."
    return f'<span style="background:rgba(230,60,30,{min(max(bits, 0) / _most_bits, 1) * 0.6:.2f})" title="{html.escape(repr(c))}: {bits:.2f} bits">{html.escape(c)}</span>'
