"""Split several documents into training and validation: `split_documents`, and the windows inside documents.

The validation documents come last, so one position of the text, the cut, divides the two parts. A window starts at a
multiple of the stride from the beginning of its document and never crosses a border. This module needs NumPy only.
"""

from dataclasses import dataclass

import numpy as np

from .._utils import warn_caller
from ..errors import CharRnnWarning, DataError
from .permutation import MANY, Starts
from .splits import Split, check_valid_pct

__all__ = ["DocumentStarts", "DocumentSplit", "split_documents"]


class DocumentStarts(Starts):
    "The windows that are, with their targets, inside one document each. Takes 16 bytes for each document."

    def __init__(
        self,
        edges: np.ndarray,  # (n_documents+1,) int64: document i is at edges[i] to edges[i+1]
        seq_len: int,  # characters in a window, without its target
        stride: int,  # characters from one window's start to the next
    ):
        counts = np.maximum((np.diff(edges) - seq_len - 1) // stride + 1, 0)
        fits = counts > 0
        self.begins = edges[:-1][fits]
        self.n_before = np.concatenate([[0], np.cumsum(counts[fits])])
        super().__init__(int(self.n_before[-1]), stride)

    def holds(self, starts: np.ndarray) -> np.ndarray:
        "Whether a window of this part starts at these positions."
        if not len(self.begins):
            return np.zeros(starts.shape, bool)
        doc = np.maximum(np.searchsorted(self.begins, starts, "right") - 1, 0)
        number, between = np.divmod(starts - self.begins[doc], self.stride)
        return (number >= 0) & (between == 0) & (number < self.n_before[doc + 1] - self.n_before[doc])

    def _at(self, positions):
        doc = np.searchsorted(self.n_before, positions, "right") - 1
        return self.begins[doc] + (positions - self.n_before[doc]) * self.stride


@dataclass(frozen=True)
class DocumentSplit:
    "The documents that train, then those that validate. A document that is cut counts as one of each."

    edges: np.ndarray  # (n_documents+1,) int64: document i is at edges[i] to edges[i+1]
    n_train: int  # the number of documents that train
    is_cut: bool = False  # whether the cut is inside a document
    how: str = ""  # how documents were chosen, if not from the end

    @property
    def cut(self) -> int:
        "The position of the first character that validates."
        return int(self.edges[self.n_train])

    @property
    def n_valid(self) -> int:
        "The number of documents that validate."
        return len(self.edges) - 1 - self.n_train

    @property
    def spans(self) -> tuple:  # (training, validation) spans of (begin, end)
        "The two parts of the text."
        return ((0, self.cut),), ((self.cut, int(self.edges[-1])),)

    @property
    def stream_spans(self) -> tuple:  # (training, validation) spans of targets
        "The parts as streams. The first character after a border is no target, because those before do not lead to it."
        begin = self.cut if self.is_cut else self.cut + 1
        return ((0, self.cut),), ((begin, int(self.edges[-1])),)

    @property
    def chunk_spans(self) -> np.ndarray:  # (n, 2) int64: begin and end of targets
        "The targets of each validation document: all but its first character, or all behind a cut inside it."
        begins = self.edges[self.n_train : -1] + 1
        begins[:1] -= self.is_cut
        spans = np.stack([begins, self.edges[self.n_train + 1 :]], 1)
        return spans[spans[:, 0] < spans[:, 1]]

    def windows(
        self,
        seq_len: int,  # characters in a window, without its target
        stride: int,  # characters from one window's start to the next
    ) -> Split:
        """The windows of both parts. Warns how many documents are too short for one window.

        Raises `DataError` if no training or no validation document is long enough."""
        train, valid = (DocumentStarts(edges, seq_len, stride) for edges in self._edges_of_parts())
        self._check_lengths(seq_len, len(train), len(valid))
        if len(train) + len(valid) <= MANY:
            return Split(train.to_numpy(), valid.to_numpy(), self.spans)
        return Split(train, valid, self.spans)

    def train_windows(
        self,
        seq_len: int,  # characters in a window, without its target
        stride: int,  # characters from one window's start to the next
    ) -> np.ndarray | Starts:
        """The windows that train, for data that validates in chunks (`chunk_spans`). Warns and raises as `windows`.

        A validation document needs two characters."""
        edges, _ = self._edges_of_parts()
        train = DocumentStarts(edges, seq_len, stride)
        self._check_lengths(seq_len, len(train), len(self.chunk_spans), min_valid=2)
        return train.to_numpy() if len(train) <= MANY else train

    def _edges_of_parts(self):
        return self.edges[: self.n_train + 1], self.edges[self.n_train :]

    def _check_lengths(self, seq_len, n_train, n_valid, min_valid=None):
        "Raise `DataError` if a part has nothing to read, and warn of documents that are too short."
        needed = seq_len + 1
        n_short = 0
        way_out = "pass a smaller seq_len, or stateful=True, which reads all documents as one stream"
        parts = (("training", n_train, needed), ("validation", n_valid, min_valid or needed))
        for edges, (part, n_read, n_needed) in zip(self._edges_of_parts(), parts):
            lengths = np.diff(edges)
            # a validation document of one character has nothing to predict, which needs no warning
            n_short += int((lengths < needed).sum()) if n_needed == needed else 0
            if not n_read:
                longest = int(lengths.max(initial=0))
                need = _need(n_needed, seq_len)
                raise DataError(f"no {part} document has {need}; the longest has {longest:,}: {way_out}")
        if n_short:
            n_documents = len(self.edges) - 1
            need = _need(needed, seq_len)
            message = f"{n_short:,} of {n_documents:,} documents have fewer than {need}, and are left out; {way_out}"
            warn_caller(message, CharRnnWarning)

    def describe(
        self,
        valid_pct: float,  # as given to `split_documents`
    ) -> str:  # a few words
        "Describe the split, for `dls` and model files."
        n_documents = len(self.edges) - 1 - self.is_cut
        if self.how:
            return f"{self.n_valid:,} of {n_documents:,} documents, {self.how}"
        if self.is_cut:
            return f"the last {valid_pct:.0%} of {n_documents:,} documents, cut inside a document"
        return f"the last {self.n_valid:,} of {n_documents:,} documents"


def _need(n_needed, seq_len):
    if n_needed <= 2:
        return f"{n_needed} characters, one and its target"
    return f"{n_needed} characters, one window of seq_len={seq_len} and its target"


def split_documents(
    edges: np.ndarray,  # (n_documents+1,) int64: document i is at edges[i] to edges[i+1]
    valid_pct: float = 0.1,  # the part of the text that validates, if `n_valid` is None
    n_valid: int | None = None,  # how many of the last documents validate; None: by `valid_pct`
    how: str = "",  # how these documents were chosen
) -> DocumentSplit:
    """Split documents at a border.

    Without `n_valid`, the border nearest to `valid_pct` is taken if the part that validates is then between half and
    double of it. Otherwise a document is cut. Raises `DataError` for a `valid_pct` outside (0, 1)."""
    n_documents = len(edges) - 1
    if n_valid is not None:
        return DocumentSplit(edges, n_documents - n_valid, how=how)
    check_valid_pct(valid_pct)
    n_chars = int(edges[-1])
    cut = int(n_chars * (1 - valid_pct))
    nearest = int(np.abs(edges - cut).argmin())
    share = 1 - int(edges[nearest]) / max(n_chars, 1)
    if valid_pct / 2 <= share <= min(2 * valid_pct, 1 - 1 / max(n_chars, 1)):
        return DocumentSplit(edges, nearest)
    at = int(np.searchsorted(edges, cut, "right"))
    return DocumentSplit(np.insert(edges, at, cut), at, is_cut=True)
