"""Build the training and validation datasets of a text from checked options: `DatasetBuilder`.

`CharDataLoaders.from_text` makes loaders of them. Errors name the value, the limit and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .._utils import is_count
from ..errors import DataError
from .document_splits import DocumentSplit
from .ids import CharIds, MappedIds
from .splits import check_window_options, describe_split, split_streams, split_windows
from .streams import CharStreams
from .vocab import CharVocab
from .windows import CharWindows

MIN_VAL_BS = 2048  # windows in a validation batch by default, if training batches are not larger


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

    def windows(self) -> list:  # training and validation dataset
        """Build shuffled training windows, and validation windows.

        If every character is a target and a stretch of text validates, it does so as streams, which contain each of
        its characters once."""
        if self.target not in ("next", "every"):
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
            val_bs = self.val_bs or max(self.bs, MIN_VAL_BS)
            return [train, self._streams(split.spans[1], val_bs, info, stateful=False)]
        return [train, self._windows(split.valid, info)]

    def _document_windows(self, stride):
        """Windows inside documents. If every character is a target, those that validate do not overlap.

        Streams would cut each of many short documents into rows of a few characters."""
        check_window_options(self.seq_len, stride)
        valid_stride = self.seq_len if self.target == "every" else stride
        split = self.documents.windows(self.seq_len, stride, valid_stride)
        self._check_bs(len(split.train))
        info = self._info(stride, self.documents.describe(self.valid_pct), split.spans)
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
            check_window_options(self.seq_len, self.seq_len)
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
        return [train, self._streams(valid_spans, self.val_bs or self.bs, info, stateful=True)]

    def _window_stride(self):
        if self.stride is not None:
            return self.stride
        # an invalid seq_len is reported by `split_windows`
        return self.seq_len if self.target == "every" and is_count(self.seq_len) else 1

    def _windows(self, starts, info):
        starts = torch.from_numpy(starts) if isinstance(starts, np.ndarray) else starts
        return CharWindows(self.ids, self.vocab, starts, self.seq_len, info, self.target)

    def _streams(self, spans, bs, info, **kwargs):
        return CharStreams(self.ids, self.vocab, spans, bs, self.seq_len, info=info, **kwargs)

    def _info(self, stride, split, spans):
        "How the data was made, for model files. The digest identifies the text; texts on disk have none."
        info = dict(n_chars=len(self.ids), stride=stride, split=split, spans=spans)
        if self.documents:
            info["documents"] = dict(train=self.documents.n_train, valid=self.documents.n_valid)
        if isinstance(self.ids, CharIds):
            info["digest"] = self.ids.digest
        return info

    def _check_bs(self, n_train):
        "Raise `DataError` for batch sizes that are invalid or too large for `n_train` training windows."
        if not is_count(self.bs):
            raise DataError(f"bs={self.bs} is not a whole number, at least 1")
        if self.val_bs is not None and not is_count(self.val_bs):
            raise DataError(f"val_bs={self.val_bs} is not a whole number, at least 1")
        if n_train < self.bs:
            raise DataError(
                f"{len(self.ids):,} characters and seq_len={self.seq_len} give {n_train:,} training windows, "
                f"less than one batch of bs={self.bs}; pass bs<={n_train} or a longer text"
            )
