"""Options of `generate`, checked before anything is computed: `GenerationConfig`; `StopMatcher` ends texts.

Hugging Face's names for the options are accepted too, see `names`. This module does not import torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._checks import check_count, check_length, check_number, check_seed, shown
from ..errors import GenerationError
from .names import ConfigOptions, Stop, both_spellings

if TYPE_CHECKING:
    from typing import Unpack

__all__ = ["GenerationConfig"]

MAX_CHARS = 10**8  # characters kept in memory at once
_max_beam = 4096
_default_temperature = 0.8
DEFAULT_N = 200  # characters
_drawing_options = ("top_k", "top_p", "min_p", "repetition_penalty", "seed")


@dataclass(frozen=True)
class GenerationConfig:
    """How characters are chosen and where a text ends, in our spelling or Hugging Face's (`max_new_tokens=50`).

    Raises `GenerationError` for invalid or conflicting values."""

    temperature: float = _default_temperature  # below 1: likely characters more often; above 1: rare ones; 0: greedy
    top_k: int | None = None  # choose among the k most likely characters
    top_p: float | None = None  # choose among the fewest characters with this total probability
    min_p: float | None = None  # choose among characters at least `min_p` times as likely as the most likely
    repetition_penalty: float | None = None  # above 1: characters that already occur become less likely
    stop: Stop = None  # string(s) that end a text, or a test of it
    seed: int | None = None  # seed of the random numbers; None: a new one
    num: int | None = None  # continuations of each prompt; None: 1, or with `beam` all that it finds
    beam: int | None = None  # search for the most likely texts with this beam width, instead of sampling
    n: int | None = DEFAULT_N  # characters to generate, at most; None, for a stream: without end

    if TYPE_CHECKING:

        def __init__(self, temperature: float = ..., **options: Unpack[ConfigOptions]) -> None: ...

    def __post_init__(self):
        self._check_numbers()
        self._check_counts()
        if self.stop is not None and not callable(self.stop):
            self._set("stop", _stop_strings(self.stop))
        if self.beam is not None:
            self._check_beam()
        if self.num is None:
            self._set("num", self.beam or 1)

    def _check_numbers(self):
        self._check_number("temperature", hint="0 takes the most likely character each time, .8 is usual")
        for name in ("top_p", "min_p"):
            self._check_number(name, 0, 1, hint="or None to leave it out")
        self._check_number("repetition_penalty", inside=True, hint="1 changes nothing, 1.2 is usual")

    def _check_number(self, name, *limits, **kwargs):
        "Check a number and convert it, as of other types such as NumPy scalars, to Python's."
        value = getattr(self, name)
        if value is not None or name == "temperature":
            self._set(name, check_number(name, value, *limits, error=GenerationError, **kwargs))

    def _check_counts(self):
        if self.n is not None:
            self._set("n", check_length("n", self.n, GenerationError))
        for name in ("num", "top_k", "beam"):
            value = getattr(self, name)
            if value is not None:
                self._set(name, check_count(name, value, error=GenerationError, hint="or None"))
        if self.seed is not None:
            self._set("seed", check_seed("seed", self.seed, 64, GenerationError, "None draws one"))

    def _set(self, name, value):
        # a dataclass that is frozen has no other way to set a field
        object.__setattr__(self, name, value)

    def _check_beam(self):
        "Options that change a draw have no effect on a search."
        if self.beam > _max_beam:
            raise GenerationError(f"beam={self.beam:,} is more than {_max_beam:,}; pass less")
        given = [name for name in _drawing_options if getattr(self, name) is not None]
        if self.temperature not in (0, _default_temperature):
            given.insert(0, "temperature")
        if given:
            raise GenerationError(
                f"beam={self.beam} searches for the most likely texts, and {', '.join(given)} cannot change it; "
                "leave out one or the other"
            )
        if self.num is not None and self.num > self.beam:
            raise GenerationError(f"num={self.num} is more than the {self.beam} texts that beam={self.beam} finds")

    @property
    def greedy(self) -> bool:
        "Whether the most likely character is taken each time."
        return self.temperature == 0

    @property
    def only_temperature(self) -> bool:
        "Whether characters are drawn, and no option but the temperature changes their probabilities."
        filters = (self.top_k, self.top_p, self.min_p, self.repetition_penalty)
        return not self.greedy and all(value is None for value in filters)

    @property
    def stops(self) -> tuple[str, ...]:
        "The strings that end a text."
        return self.stop if isinstance(self.stop, tuple) else ()


GenerationConfig.__init__ = both_spellings(GenerationConfig.__init__)  # type: ignore[method-assign]


def _stop_strings(stop):
    "One string or several, as a tuple; None for an empty list."
    try:
        strings = (stop,) if isinstance(stop, str) else tuple(stop)
    except TypeError:
        strings = None
    if strings is None or not all(isinstance(s, str) and s for s in strings):
        raise GenerationError(
            f"stop={shown(stop)} is not a string of one character or more, a list of such strings, or a function"
        )
    return strings or None


class StopMatcher:
    """Find the end of one text from its characters, piece by piece.

    A text ends after the last character of a `stop` string, which may begin in one piece and end in the next. A `stop`
    function gets the whole continuation after each character."""

    def __init__(
        self,
        options: GenerationConfig,  # with its `stop`
        decode: Callable[[Sequence[int]], str],  # indices to text
    ):
        self.decode = decode
        self.strings = options.stops
        self.stop_fn = options.stop if callable(options.stop) else None
        self.text = ""  # so far: all of it for a function, else the end that a string may have begun in
        self.overlap = max(map(len, self.strings), default=1) - 1

    def __call__(
        self,
        new: Sequence[int],  # indices since the last call
    ) -> int | None:  # how many of them belong to the text, or None if it continues
        "Look for the end of the text in its next characters."
        new_text = self.decode(new)
        return self._find_strings(new_text) if self.stop_fn is None else self._ask(new_text)

    def _ask(self, new_text):
        for count, char in enumerate(new_text, 1):
            self.text += char
            if self.stop_fn(self.text):
                return count
        return None

    def _find_strings(self, new_text):
        text = self.text + new_text
        starts = {s: text.find(s) for s in self.strings}
        ends = [start + len(s) for s, start in starts.items() if start >= 0]
        n_before = len(self.text)
        self.text = text[-self.overlap :] if self.overlap else ""
        return min(ends) - n_before if ends else None
