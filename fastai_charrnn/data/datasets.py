"""Build the training and validation datasets of a text from checked options: `DatasetBuilder`.

`CharDataLoaders.from_text` makes loaders of them. Errors name the value, the limit and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .._checks import check_count, check_memory
from ..errors import DataError
from .chunks import CharChunks
from .document_splits import DocumentSplit
from .ids import CharIds, MappedIds
from .reading import default_val_bs
from .splits import describe_split, split_streams, split_windows
from .streams import CharStreams
from .vocab import CharVocab
from .windows import CharWindows

_max_count = 10**12  # characters or rows: more than any text has
# columns of a validation batch of shifted streams, which train on few columns
_valid_columns = 128


@dataclass(frozen=True, kw_only=True)
class DatasetBuilder:
    "The options of `CharDataLoaders.from_text` that concern datasets. `windows()` and `streams()` build them."

    ids: CharIds | MappedIds
    vocab: CharVocab
    seq_len: int
    stride: int | None
    bs: int
    val_bs: int | None
    valid: str | Sequence[int]
    valid_pct: float
    seed: int
    target: str
    shift: bool = False
    documents: DocumentSplit | None = None

    def __post_init__(self):
        "Check the numbers, and turn NumPy's into Python's, which model files can hold."
        for name in ("seq_len", "stride", "bs", "val_bs"):
            value = getattr(self, name)
            if value is not None or name in ("seq_len", "bs"):
                object.__setattr__(self, name, check_count(name, value, high=_max_count))

    def windows(self) -> list:  # training and validation dataset
        """Build shuffled training windows, and validation windows.

        If every character is a target and stretches of text or documents validate, they do so in chunks, which contain
        each of their characters once."""
        if not isinstance(self.target, str) or self.target not in ("next", "every"):
            raise DataError(
                f'target={self.target!r} must be "next", the character after a window, or "every", '
                "the character after each of its characters"
            )
        stride = self._window_stride()
        if self.documents:
            return self._document_windows(stride)
        split = split_windows(len(self.ids), self.seq_len, stride, self.valid, self.valid_pct, self.seed)
        self._check_bs(len(split.train))
        info = self._info(stride, describe_split(self.valid, self.valid_pct, self.seed), split.spans)
        train = self._windows(split.train, info)
        if self.target == "every" and split.spans:
            return [train, self._chunks(split.spans[1], info)]
        return [train, self._windows(split.valid, info)]

    def _document_windows(self, stride):
        "Windows inside documents. If every character is a target, each validation document is read in chunks."
        info = self._info(stride, self.documents.describe(self.valid_pct), self.documents.spans)
        if self.target == "every":
            starts = self.documents.train_windows(self.seq_len, stride)
            self._check_bs(len(starts))
            return [self._windows(starts, info), self._chunks(self.documents.chunk_spans, info)]
        split = self.documents.windows(self.seq_len, stride)
        self._check_bs(len(split.train))
        return [self._windows(split.train, info), self._windows(split.valid, info)]

    def streams(self) -> list:  # training and validation dataset
        "Build streams for models that keep their state from batch to batch."
        if self.target != "every":
            raise DataError(
                "stateful=True reads streams, in which every character is a target: "
                f'pass target="every", not {self.target!r}'
            )
        if self.stride not in (None, self.seq_len):
            raise DataError(f"stateful=True reads a text without gaps or overlaps: leave out stride={self.stride!r}")
        if self.documents:
            spans = self.documents.spans
            train_spans, valid_spans = self.documents.stream_spans
            how = self.documents.describe(self.valid_pct)
        else:
            spans = split_streams(len(self.ids), self.seq_len, self.valid, self.valid_pct)
            train_spans, valid_spans = spans
            how = describe_split("tail", self.valid_pct, self.seed)
        self._check_bs(train_spans[0][1] - 1)
        info = self._info(self.seq_len, how, spans)
        train = self._streams(train_spans, self.bs, info, stateful=True, remainder=False, shift=self.shift)
        # losses do not depend on the columns of a batch, and batches of few columns are slow
        seq_len = max(self.seq_len, _valid_columns) if self.shift else self.seq_len
        return [train, self._streams(valid_spans, self.val_bs or self.bs, info, seq_len, stateful=True)]

    def _window_stride(self):
        if self.stride is not None:
            return self.stride
        return self.seq_len if self.target == "every" else 1

    def _windows(self, starts, info):
        starts = torch.from_numpy(starts) if isinstance(starts, np.ndarray) else starts
        return CharWindows(self.ids, self.vocab, starts, self.seq_len, info, self.target)

    def _chunks(self, spans, info):
        bs = self.val_bs or default_val_bs(self.bs, self.seq_len, len(self.vocab))
        return CharChunks(self.ids, self.vocab, spans, bs, self.seq_len, info)

    def _streams(self, spans, bs, info, seq_len=None, **kwargs):
        return CharStreams(self.ids, self.vocab, spans, bs, seq_len or self.seq_len, info=info, **kwargs)

    def _info(self, stride, split, spans):
        "How the data was made, for model files. The digest identifies the text; texts on disk have none."
        info = dict(n_chars=len(self.ids), stride=stride, split=split, spans=spans)
        if self.documents:
            info["documents"] = dict(train=self.documents.n_train, valid=self.documents.n_valid)
        if isinstance(self.ids, CharIds):
            info["digest"] = self.ids.digest
        return info

    def _check_bs(self, n_train):
        "Raise `DataError` for batches that are larger than the `n_train` training windows, or than all memory."
        if n_train < self.bs:
            raise DataError(
                f"{len(self.ids):,} characters and seq_len={self.seq_len} give {n_train:,} training windows, "
                f"less than one batch of bs={self.bs}; pass bs<={n_train} or a longer text"
            )
        # indices, and for each target the scores of all characters with their gradients
        n_targets = self.bs * (self.seq_len if self.target == "every" else 1)
        n_bytes = 8 * self.bs * self.seq_len + 12 * n_targets * len(self.vocab)
        what = f"a batch of bs={self.bs:,} windows of seq_len={self.seq_len:,} and {len(self.vocab):,} characters"
        check_memory(n_bytes, what, "pass a smaller bs or seq_len")
