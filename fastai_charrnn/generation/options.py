"""What `generate` can be asked for, checked before anything is computed: `GenerationConfig`, and `StopMatcher`, which finds where a text ends.

The names are those of Hugging Face's `generate` where it has one. No torch here.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real

from .._utils import is_count, is_whole
from ..errors import GenerationError

__all__ = ["GenerationConfig"]

MOST = 10**8  # characters that are kept in memory at once
_most_beams = 4096
_usual = 0.8  # the temperature when none is named


@dataclass(frozen=True)
class GenerationConfig:
    "How characters are chosen and where a text ends. Raises `GenerationError` for what makes no sense."

    temperature: float = _usual  # 0: the likeliest each time; below 1 likelier characters gain, above 1 rarer ones do
    top_k: int | None = None  # choose among the k likeliest
    top_p: float | None = None  # choose among the fewest that have this probability together
    min_p: float | None = None  # choose among those with at least this part of the likeliest's probability
    repetition_penalty: float | None = None  # above 1: characters that already stand in the text are less likely
    stop: str | Sequence[str] | Callable[[str], bool] | None = (
        None  # a text ends after this string, one of these, or when this of the continuation is true
    )
    seed: int | None = None  # what is drawn with; None: one of the system's entropy
    num: int = 1  # continuations of each prompt
    beam: int | None = None  # search for the likeliest texts, this many at a time, instead of drawing

    def __post_init__(self):
        _between(
            "temperature",
            self.temperature,
            0,
            None,
            "0 for the likeliest character each time, about .8 for lively text",
        )
        for name in ("top_p", "min_p"):
            _between(name, getattr(self, name), 0, 1, "or None to leave it out")
        _between("repetition_penalty", self.repetition_penalty, 0, None, "1 changes nothing, 1.2 is usual", above=True)
        for name in ("top_k", "beam", "num"):
            v = getattr(self, name)
            if not (is_count(v) or v is None and name != "num"):
                raise GenerationError(
                    f"{name}={v!r} is not a whole number from 1 up" + ("" if name == "num" else ", or None")
                )
        if not (self.seed is None or is_whole(self.seed) and isinstance(self.seed, Integral) and self.seed < 2**64):
            raise GenerationError(f"seed={self.seed!r} is not a whole number from 0 to 2**64-1; None draws one")
        if self.stop is not None and not callable(self.stop):
            self._take_stops()
        if self.beam is not None:
            self._check_beam()
        for kind, names in (
            (float, ("temperature", "top_p", "min_p", "repetition_penalty")),
            (int, ("top_k", "seed", "num", "beam")),
        ):  # of whatever type they came
            for k in names:
                if getattr(self, k) is not None:
                    object.__setattr__(self, k, kind(getattr(self, k)))

    def _take_stops(self):
        "One string or several, as a tuple."
        way = "a text ends after a string of one character or more, after one of several, or when a function of it is true"
        try:
            stops = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        except TypeError:
            raise GenerationError(f"stop={self.stop!r}: {way}") from None
        if not all(isinstance(s, str) and s for s in stops):
            raise GenerationError(f"stop={self.stop!r}: {way}")
        object.__setattr__(self, "stop", stops or None)

    def _check_beam(self):
        "A search draws nothing."
        if self.beam > _most_beams:
            raise GenerationError(f"beam={self.beam:,} is more than {_most_beams:,}; pass less")
        given = [
            k for k in ("top_k", "top_p", "min_p", "repetition_penalty", "seed") if getattr(self, k) is not None
        ] + ["num"] * (self.num != 1)
        if self.temperature not in (0, _usual):
            given.insert(0, "temperature")
        if given:
            raise GenerationError(
                f"beam={self.beam} finds the likeliest texts under the model itself, so {', '.join(given)} cannot change it; leave out one or the other"
            )

    @property
    def greedy(self) -> bool:
        "Whether nothing is drawn."
        return self.temperature == 0

    @property
    def stops(self) -> tuple[str, ...]:
        "The strings that end a text."
        return self.stop if isinstance(self.stop, tuple) else ()


def _between(name, v, low, high, way, above=False):
    "Raise unless `v` is a finite number from `low` to `high`, or None where None is the default."
    if v is None and name != "temperature":
        return
    if isinstance(v, Real) and hasattr(v, "item"):
        v = v.item()  # a NumPy scalar compares in its own precision
    if (
        isinstance(v, Real)
        and not isinstance(v, bool)
        and low <= v <= (sys.float_info.max if high is None else high)
        and not (above and v == low)
    ):
        return
    if high is not None:
        allowed = f"from {low} to {high}"
    else:
        allowed = f"above {low}" if above else f"from {low} up"
    raise GenerationError(f"{name}={v!r} is not a number {allowed}; {way}")


class StopMatcher:
    "Where one text ends. `stop` strings end it after their last character; a function sees the whole continuation after each character."

    def __init__(
        self,
        options: GenerationConfig,  # whose `stop` to look for
        decode: Callable,  # indices to text
    ):
        self.decode = decode
        self.strings = options.stops
        self.ends = options.stop if callable(options.stop) else None
        self.seen = ""
        self.keep = max(map(len, self.strings), default=1) - 1

    def __call__(
        self,
        new: Sequence[int],  # the indices written since the last call
    ) -> int | None:  # how many of them belong to the text; None: all, and it goes on
        "Look at what is new."
        new = self.decode(new)
        if self.ends is not None:
            for i, c in enumerate(new):
                self.seen += c
                if self.ends(self.seen):
                    return i + 1
            return None
        text = self.seen + new
        before = len(self.seen)
        found = [at + len(s) for s in self.strings if (at := text.find(s)) >= 0]
        self.seen = text[-self.keep :] if self.keep else ""
        return min(found) - before if found else None
