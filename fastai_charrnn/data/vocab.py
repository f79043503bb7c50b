"""Characters to indices and back, at array speed: `CharVocab`.

Index 0 is the padding character '\\0'; the others follow in code-point order. Encoding and decoding are look-ups in
NumPy tables, so a text is converted at hundreds of megabytes a second. No torch here.
"""

import json
import unicodedata
import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from ..errors import CharRnnWarning, UnknownCharError, VocabError

__all__ = ["CharVocab", "PAD"]

PAD = "\0"
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


def _check_str(text):
    if not isinstance(text, str):
        raise VocabError(
            f"a text is a str, not {type(text).__name__}"
            + ("; decode it, as in text.decode('utf-8')" if isinstance(text, bytes) else "")
        )


def _codes(text):
    "The code points of `text` as a uint32 array, without a copy of a copy."
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class CharVocab:
    "The characters a model knows: `encode` text to indices, `decode` indices to text, `o2i` and `itos` as fastai has them."

    def __init__(
        self,
        chars: Iterable[str],  # the characters, index 0 first, which must be the padding character '\0'
    ):
        """Raises `VocabError` if `chars` is not a sequence of distinct single characters with '\\0' first."""
        self.itos = list(chars)
        if not self.itos or self.itos[0] != PAD:
            raise VocabError(
                f"a vocabulary starts with the padding character '\\0', not {self.itos[:1]}; use CharVocab.from_text"
            )
        for c in self.itos:
            if not isinstance(c, str) or len(c) != 1:
                raise VocabError(f"{c!r} is not a single character; a vocabulary holds single characters")
        self.o2i = {c: i for i, c in enumerate(self.itos)}
        if len(self.o2i) != len(self.itos):
            twice = next(c for i, c in enumerate(self.itos) if self.o2i[c] != i)
            raise VocabError(f"{twice!r} stands twice in the vocabulary; each character has one index")
        self._points = _codes("".join(self.itos))
        self.dtype = np.min_scalar_type(len(self.itos) - 1)
        self._table = np.zeros(
            int(self._points.max()) + 2, self.dtype
        )  # the last entry catches code points beyond the table
        self._table[self._points] = np.arange(len(self.itos), dtype=self.dtype)
        self._to_byte = self._from_byte = None
        if len(self._table) <= 257:  # Latin-1 alone: `bytes.translate` is several times faster than a NumPy look-up
            self._to_byte = self._table[:-1].tobytes().ljust(256, b"\0")
            self._from_byte = self._points.astype(np.uint8).tobytes().ljust(256, b"\0")

    @classmethod
    def from_text(
        cls,
        text: str,  # the text whose characters to take
    ) -> "CharVocab":  # its distinct characters in code-point order, after the padding character
        """The vocabulary of `text`. Raises `VocabError` if it is empty or contains the padding character '\\0'."""
        _check_str(text)
        return cls.from_pieces((text,))

    @classmethod
    def from_pieces(
        cls,
        pieces: Iterable[str],  # a text in pieces, as `TextFile` gives it
    ) -> "CharVocab":  # as `from_text` of the whole
        """The vocabulary of a text that comes in pieces. Raises `VocabError` as `from_text` does."""
        seen = np.zeros(0x110000, bool)
        latin = b""
        at = 0
        for text in pieces:
            try:
                latin += bytes(
                    set(text.encode("latin-1").translate(None, latin))
                )  # what is left are new ones: no look-up a character
            except UnicodeEncodeError:
                seen[_codes(text)] = True
            if seen[0] or 0 in latin:
                raise VocabError(
                    f"the text contains the padding character '\\0' at position {at + text.index(PAD):,}; "
                    "remove it with text.replace('\\0', ''): it often means a binary file or the wrong encoding"
                )
            at += len(text)
        if not at:
            raise VocabError("the text is empty, so it has no characters to make a vocabulary of")
        seen[list(latin)] = True
        points = np.flatnonzero(seen).astype(np.uint32)
        return cls(PAD + points.tobytes().decode("utf-32-le", "surrogatepass"))

    def extended(
        self,
        text: str,  # a text whose characters are to be known too
    ) -> "CharVocab":  # a new one; what is known keeps its index
        """This vocabulary and, after it, the other characters of `text` in code-point order. Raises `VocabError` as `from_text` does."""
        return CharVocab([*self.itos, *(c for c in CharVocab.from_text(text).itos if c not in self.o2i)])

    def encode(
        self,
        text: str,  # what to encode
        unk: str = "error",  # unknown characters: "error", "skip", or a known character to put in their place
        at: int = 0,  # where `text` stands in a longer one, for the positions in errors
    ) -> np.ndarray:  # (len(text),) in the smallest unsigned dtype that fits; shorter if characters are skipped
        """The indices of `text`. Raises `UnknownCharError` naming unknown characters, positions and nearest known ones."""
        _check_str(text)
        self.check_unk(unk)
        ids = self._look_up(text)
        if (ok := ids != 0).all():
            return ids  # index 0 is padding, which text never holds: here it means unknown
        if unk == "skip":
            return ids[ok]
        if unk != "error":
            ids[~ok] = self.o2i[unk]
            return ids
        raise self._unknown(text, np.flatnonzero(~ok), at)

    def check_unk(self, unk: str):
        "Raise `VocabError` if `unk` is none that `encode` takes."
        if not isinstance(unk, str) or unk not in ("error", "skip") and (unk == PAD or unk not in self.o2i):
            raise VocabError(f"unk={unk!r} is neither 'error', 'skip' nor a character of this vocabulary")

    def _look_up(self, text):
        "The index of each character of `text`, 0 for the unknown."
        if self._to_byte:
            try:
                return np.frombuffer(bytearray(text.encode("latin-1").translate(self._to_byte)), np.uint8)
            except UnicodeEncodeError:
                pass  # a character beyond Latin-1: unknown, and the look-up below says where
        return self._table[np.minimum(_codes(text), len(self._table) - 1)]

    def decode(
        self,
        ids: Iterable[int],  # indices: array, tensor or list of any integer dtype, flattened
    ) -> str:  # one character an index; the exact inverse of `encode`
        """The text of `ids`. Raises `VocabError` for an index outside the vocabulary."""
        ids = np.asarray(ids.cpu() if hasattr(ids, "cpu") else ids).reshape(-1)
        if not ids.size:
            return ""
        if ids.dtype.kind not in "iu":
            raise VocabError(f"indices are integers, not {ids.dtype}")
        if ids.min() < 0 or ids.max() >= len(self):
            raise VocabError(
                f"index {ids.min() if ids.min() < 0 else ids.max()} is outside this vocabulary of {len(self)} characters"
            )
        if self._from_byte:
            return ids.astype(np.uint8).tobytes().translate(self._from_byte).decode("latin-1")
        return self._points[ids].tobytes().decode("utf-32-le", "surrogatepass")

    def nearest(
        self,
        char: str,  # a character, known or not
    ) -> str:  # the known character most like it
        "The known character nearest to `char`: its plain form, its other case, its look-alike, else the next code point of its kind."
        plain = [c for form in ("NFKC", "NFKD") for c in unicodedata.normalize(form, char)]
        for c in (char, *plain, _look_alikes.get(char, ""), *(d for p in plain for d in p.swapcase())):
            if c in self.o2i and c != PAD:
                return c
        kind = unicodedata.category(char)[0]
        return min(self.itos[1:] or [PAD], key=lambda c: (unicodedata.category(c)[0] != kind, abs(ord(c) - ord(char))))

    def _unknown(self, text, where, at):
        "The error that names every unknown character of `text` once (eight at most in words)."
        first = {}
        for i in where:
            first.setdefault(text[i], at + int(i))

        def name(c):
            return f"{c!r} (U+{ord(c):04X})"

        said = [
            f"{name(c)} at position {i} is not in the vocabulary"
            + (" (it is the padding character)" if c == PAD else f" (nearest: {self.nearest(c)!r})")
            for c, i in list(first.items())[:8]
        ]
        if len(first) > 8:
            said.append(f"and {len(first) - 8} more")
        return UnknownCharError(
            f'{"; ".join(said)}. Pass unk="skip" to leave such characters out, or unk=" " or another known character to '
            f"replace them; the vocabulary has {len(self)} characters",
            tuple(first),
            tuple(first.values()),
        )

    def to_json(self) -> str:  # JSON, ASCII only
        "The vocabulary as JSON text, for model files."
        return json.dumps(self.itos)

    @classmethod
    def from_json(cls, s: str) -> "CharVocab":  # the vocabulary that `to_json` wrote
        "The vocabulary of a model file. Raises `VocabError` if it is none."
        return cls(json.loads(s))

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


def warn_large(
    vocab: CharVocab,  # of more characters than a text in most scripts has
    counts: np.ndarray,  # (len(vocab),) how often each stands in the text
    stacklevel: int = 4,  # whose line the warning names
):
    "Warn with the rarest characters of a large vocabulary."
    rare = [vocab[i] for i in np.argsort(counts[1:], kind="stable")[:10] + 1]
    warnings.warn(
        f"{len(vocab) - 1:,} distinct characters, the rarest {' '.join(map(repr, rare))}: often a sign of a wrong encoding; "
        "pass the file's encoding=… if these are not yours",
        CharRnnWarning,
        stacklevel=stacklevel,
    )
