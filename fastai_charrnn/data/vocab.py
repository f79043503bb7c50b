"""Characters to indices and back, at array speed: `CharVocab`.

Index 0 is the padding character '\\0'; the other characters follow in code-point order. Text is encoded and decoded
through NumPy tables, at hundreds of megabytes a second. This module does not import torch.
"""

import json
from collections.abc import Iterable, Iterator

import numpy as np

from .._checks import shown
from ..errors import UnknownCharError, VocabError
from .char_checks import PAD, as_list, check_chars, check_str, padding_in_text
from .char_messages import nearest_char

__all__ = ["CharVocab", "PAD"]

_n_code_points = 0x110000
_n_listed = 8  # unknown characters that an error message lists


def check_vocab(
    vocab: object,  # what a user passed
):
    "Raise `VocabError` unless it is a `CharVocab` or None."
    if not (vocab is None or isinstance(vocab, CharVocab)):
        raise VocabError(
            f"vocab={shown(vocab)} is not a CharVocab; make one with CharVocab.from_text, "
            "or pass None for the characters of the text"
        )


def _code_points(text):
    "The code points of `text`, a uint32 array."
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class CharVocab:
    """The characters of a model: `encode` converts text to indices, `decode` converts indices to text.

    `itos` lists the characters by index and `o2i` maps characters to indices, as in fastai."""

    def __init__(
        self,
        chars: Iterable[str],  # the characters by index; the first must be the padding character '\0'
    ):
        """Raises `VocabError` unless `chars` are distinct single characters with '\\0' first."""
        self.itos = as_list(chars)
        check_chars(self.itos)
        self.o2i = {c: i for i, c in enumerate(self.itos)}
        self._points = _code_points("".join(self.itos))
        self.dtype = np.min_scalar_type(len(self) - 1)
        # the last entry stands for all code points beyond the table
        self._table = np.zeros(int(self._points.max()) + 2, self.dtype)
        self._table[self._points] = np.arange(len(self), dtype=self.dtype)
        self._to_byte = None
        self._from_byte = None
        if len(self._table) <= 257:
            # only Latin-1 characters: `bytes.translate` is several times faster than a NumPy look-up
            self._to_byte = self._table[:-1].tobytes().ljust(256, b"\0")
            self._from_byte = self._points.astype(np.uint8).tobytes().ljust(256, b"\0")

    @classmethod
    def from_text(
        cls,
        text: str,  # a text that is not empty
    ) -> "CharVocab":  # the padding character, then the distinct characters of `text` in code-point order
        """Make the vocabulary of `text`. Raises `VocabError` if it is empty or contains the padding character '\\0'."""
        check_str(text)
        return cls.from_pieces((text,))

    @classmethod
    def from_pieces(
        cls,
        pieces: Iterable[str],  # a text in pieces, such as a `TextFile`
    ) -> "CharVocab":  # the same as `from_text` of the whole text
        """Make the vocabulary of a text that comes in pieces. Raises `VocabError` as `from_text` does."""
        seen = np.zeros(_n_code_points, bool)
        seen_latin = b""
        n_chars = 0
        if not isinstance(pieces, Iterable):
            raise VocabError(f"pieces={shown(pieces)} are not several texts; use CharVocab.from_text for one")
        for text in pieces:
            check_str(text)
            try:
                # only new characters are left after `translate`, so most pieces need no look-up for each character
                seen_latin += bytes(set(text.encode("latin-1").translate(None, seen_latin)))
            except UnicodeEncodeError:
                seen[_code_points(text)] = True
            if seen[0] or 0 in seen_latin:
                raise padding_in_text(n_chars + text.index(PAD))
            n_chars += len(text)
        if not n_chars:
            raise VocabError("the text is empty, so it has no characters for a vocabulary")
        seen[list(seen_latin)] = True
        points = np.flatnonzero(seen).astype(np.uint32)
        return cls(PAD + points.tobytes().decode("utf-32-le", "surrogatepass"))

    def extended(
        self,
        text: str,  # a text whose characters are added
    ) -> "CharVocab":  # a new vocabulary; known characters keep their index
        """Add the characters of `text` in code-point order. Raises `VocabError` as `from_text` does."""
        new = [c for c in CharVocab.from_text(text).itos if c not in self.o2i]
        return CharVocab([*self.itos, *new])

    def encode(
        self,
        text: str,  # the text to encode
        unk: str = "error",  # unknown characters: "error", "skip", or the known character to use for them
        at: int = 0,  # the position of `text` in a longer text, added to the positions in errors
    ) -> np.ndarray:  # (len(text),) in the smallest unsigned dtype that fits; shorter if characters are skipped
        """Return the indices of `text`.

        Raises `UnknownCharError`, which names the unknown characters, their positions and the nearest known ones."""
        check_str(text)
        self.check_unk(unk)
        ids = self._look_up(text)
        known = ids != 0  # text never contains the padding character
        if known.all():
            return ids
        if unk == "skip":
            return ids[known]
        if unk == "error":
            raise self._unknown_chars(text, np.flatnonzero(~known), at)
        ids[~known] = self.o2i[unk]
        return ids

    def check_unk(self, unk: str):
        "Raise `VocabError` unless `encode` accepts this `unk`."
        valid = isinstance(unk, str) and (unk in ("error", "skip") or unk != PAD and unk in self.o2i)
        if not valid:
            raise VocabError(f"unk={unk!r} is neither 'error', 'skip' nor a character of this vocabulary")

    def _look_up(self, text):
        "The index of each character of `text`, 0 for unknown ones."
        if self._to_byte:
            try:
                return np.frombuffer(bytearray(text.encode("latin-1").translate(self._to_byte)), np.uint8)
            except UnicodeEncodeError:
                pass  # a character beyond Latin-1, which is unknown: the table gives it index 0
        return self._table[np.minimum(_code_points(text), len(self._table) - 1)]

    def decode(
        self,
        ids: Iterable[int],  # an array, tensor or list of any integer dtype and shape; it is flattened
    ) -> str:  # one character for each index
        """Return the text of `ids`: the inverse of `encode`. Raises `VocabError` for an index out of range."""
        try:
            ids = np.asarray(ids.cpu() if hasattr(ids, "cpu") else ids).reshape(-1)
        except ValueError:
            raise VocabError(f"ids={shown(ids)} has rows of different lengths; decode each of them") from None
        if not ids.size:
            return ""
        if ids.dtype.kind not in "iu":
            raise VocabError(f"indices are integers, not {ids.dtype}")
        self._check_range(ids.min())
        self._check_range(ids.max())
        return self._spell(ids)

    def _spell(self, ids):
        "The characters of an array of valid indices."
        if self._from_byte:
            return ids.astype(np.uint8).tobytes().translate(self._from_byte).decode("latin-1")
        return self._points[ids].tobytes().decode("utf-32-le", "surrogatepass")

    def _check_range(self, i):
        if not 0 <= i < len(self):
            raise VocabError(f"index {i} is outside this vocabulary of {len(self)} characters")

    def nearest(
        self,
        char: str,  # a character, known or not
    ) -> str:  # the known character most like it
        "Return the known character nearest to `char`: plain form, look-alike, other case or a close code point."
        if not isinstance(char, str) or len(char) != 1:
            raise VocabError(f"char={shown(char)} is not a single character")
        return nearest_char(char, self.itos[1:] or [PAD])

    def _unknown_chars(self, text, positions, offset):
        "The error for the characters at these positions. It carries all of them and its message lists the first."
        found = {}
        for i in positions.tolist():
            found.setdefault(text[i], offset + i)
        listed = [self._unknown_char(c, i) for c, i in list(found.items())[:_n_listed]]
        if len(found) > _n_listed:
            listed.append(f"and {len(found) - _n_listed} more")
        message = (
            f'{"; ".join(listed)}. Pass unk="skip" to leave such characters out, or unk=" " or another known character '
            f"to replace them; the vocabulary has {len(self)} characters"
        )
        return UnknownCharError(message, tuple(found), tuple(found.values()))

    def _unknown_char(self, c, position):
        hint = "it is the padding character" if c == PAD else f"nearest: {self.nearest(c)!r}"
        return f"{c!r} (U+{ord(c):04X}) at position {position} is not in the vocabulary ({hint})"

    def to_json(self) -> str:  # JSON, ASCII only
        "Return the vocabulary as JSON text, for model files."
        return json.dumps(self.itos)

    @classmethod
    def from_json(cls, s: str) -> "CharVocab":  # the vocabulary that `to_json` wrote
        "Read the vocabulary of a model file. Raises `VocabError` if it is not valid."
        try:
            return cls(json.loads(s))
        except (TypeError, ValueError, RecursionError) as e:
            if isinstance(e, VocabError):
                raise
            message = f"s={shown(s)} is not a vocabulary in JSON ({type(e).__name__}); CharVocab.to_json writes one"
            raise VocabError(message) from None

    def __len__(self) -> int:
        return len(self.itos)

    def __getitem__(self, i: int) -> str:
        return self.itos[i]

    def __iter__(self) -> Iterator[str]:
        return iter(self.itos)

    def __contains__(self, c: object) -> bool:
        return c in self.o2i

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharVocab) and self.itos == other.itos

    def __hash__(self) -> int:
        return hash(tuple(self.itos))

    def __reduce__(self):
        return type(self), (self.itos,)

    def __repr__(self) -> str:
        shown = "".join(self.itos[1:61])
        return f"CharVocab of {len(self)}: padding and {shown!r}{'…' if len(self) > 61 else ''}"
