"""A list of texts that a notebook shows as a table: `ScoredTexts`, the result of `generate` for several texts."""

from typing import TYPE_CHECKING, Any

from fastcore.foundation import L

from .._html import as_table, as_text, escaped
from .scored import ScoredText

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import overload

__all__ = ["ScoredTexts"]

_max_shown = 50  # texts in a notebook
_max_chars = 2_000  # of each of them


class ScoredTexts(L):
    "An `L` of `ScoredText`. In a notebook a table: each text with its surprise as shades, and its bits per character."

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[ScoredText]: ...
        def __len__(self) -> int: ...
        @overload
        def __getitem__(self, idx: int) -> ScoredText: ...
        @overload
        def __getitem__(self, idx: slice) -> "ScoredTexts": ...
        def __getitem__(self, idx: Any) -> Any: ...
    else:

        def __getitem__(self, idx):
            found = super().__getitem__(idx)
            return ScoredTexts(found) if isinstance(found, L) else found

    def _new(self, items, *args, **kwargs):
        "What `map` and others return: items of any type, so no `ScoredTexts`."
        return L(items, *args, **kwargs)

    def _repr_html_(self) -> str:
        rows = [(str(k), as_text(text.shaded(_max_chars)), escaped(_bits(text))) for k, text in enumerate(self.items)]
        more = len(rows) - _max_shown
        caption = f"{len(rows):,} texts" + (f", the first {_max_shown} of them" if more > 0 else "")
        return as_table(["", "text", "bits per char"], rows[:_max_shown], caption, left=(1,))


def _bits(text):
    return f"{text.bits_per_char:.2f}" if text.new else ""
