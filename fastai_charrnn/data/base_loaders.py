"""Loaders over texts in memory, their split and their description: the part of `CharDataLoaders` that reads no files.

A window is its start in the text, and a batch is gathered at once, so no Python runs for each item.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from fastai.basics import DataLoaders, default_device
from torch import Tensor

from .._checks import check_count, check_path, shown
from .._html import as_table, escaped
from .._printable import printable
from .._utils import renamed
from ..errors import DataError
from .datasets import DatasetBuilder
from .encoded import EncodedFile
from .reading import default_val_bs, mode_of
from .splits import SplitAudit, audit
from .streams import CharStreams
from .text_source import encode_source
from .vocab import CharVocab
from .window_dl import WindowDL
from .windows import CharWindows

__all__ = ["BaseLoaders"]

_max_shown = 200  # characters of a vocabulary in a notebook
T = TypeVar("T", bound="BaseLoaders")


class BaseLoaders(DataLoaders):
    "Training and validation loaders over one text or several."

    if TYPE_CHECKING:
        # what fastai finds in the loaders and their datasets
        vocab: CharVocab
        seq_len: int
        target: str
        stateful: bool
        train: WindowDL
        valid: WindowDL

        def one_batch(self) -> tuple[Tensor, Tensor]: ...

    @classmethod
    @renamed(n="seq_len")
    def from_text(
        cls: type[T],
        text: str | Sequence[str] | EncodedFile,  # a text, several documents, or the result of `encode_file`
        seq_len: int = 8,  # characters in a window
        stride: int | None = None,  # characters from one window's start to the next; None: 1, see below
        bs: int = 512,  # windows in a training batch
        valid: str | Sequence[int] = "tail",  # "tail", "random", "blocks", "last" or numbers, see `split_windows`
        valid_pct: float = 0.1,  # the part that validates
        seed: int = 42,  # of the split "random"
        vocab: CharVocab | None = None,  # None: the characters of `text`
        unk: str = "error",  # characters outside `vocab`: "error", "skip", or the known character to use for them
        val_bs: int | None = None,  # windows in a validation batch; None: see below
        device: str | torch.device | None = None,  # where the text is kept; None: fastai's default
        path: str | Path = ".",  # where the learner saves
        target: str = "next",  # predict the character after a window ("next"), or after each character ("every")
        stateful: bool = False,  # whether to read `bs` streams in parallel, `seq_len` characters a batch
        shift: bool = False,  # whether streams start at another offset every epoch
        valid_text: str | Sequence[str] | None = None,  # a text or documents to validate on; then all of `text` trains
        sep: str | None = "\n",  # one character that ends each of several documents; None: nothing is added
    ) -> T:  # the loaders, a `CharDataLoaders`
        """Make loaders over windows of `seq_len` characters, each with the character that follows it.

        With `stateful=True` they read streams and the model keeps its state from batch to batch, see `CharStreams`.
        The default `stride` is 1 for `target="next"` and `seq_len` for `target="every"`. Training windows are shuffled
        in each epoch and all used, so the last batch may be smaller. The order is set by fastai's `set_seed` or by
        `char_learner(seed=)`. With `target="every"` and the split "tail" or "blocks", validation reads chunks, which
        contain each character once: see `CharChunks`.

        Except for streams, the validation loss does not depend on `val_bs`. By default a batch has 2,048 rows, or `bs`
        if these are more, but at most 2**24 log-probabilities, 64 MB in float32. Streams validate in `bs` rows.

        Several documents, a list or a column of a table, are never joined: no window crosses a border, and documents
        too short for one window are left out with a warning. `valid="tail"` then validates on the last documents,
        "random" on documents drawn at random, and document numbers on these. Streams read all training documents one
        after the other as one text, and the validation documents as another. Each ends with `sep`.

        Raises `DataError` if the text is too short for `seq_len`, `bs` or the split, `VocabError` if it contains '\\0'
        or unknown characters. Warns if it has more than 1,000 distinct characters, usually due to a wrong encoding."""
        source = encode_source(text, valid_text, valid, valid_pct, seed, vocab, unk, sep)
        if shift and not stateful:
            raise DataError("shift=True moves the start of streams, so it requires stateful=True")
        builder = DatasetBuilder(
            ids=source.ids,
            vocab=source.vocab,
            seq_len=seq_len,
            stride=stride,
            bs=bs,
            val_bs=val_bs,
            valid=valid,
            valid_pct=valid_pct,
            seed=seed,
            target=target,
            shift=shift,
            documents=source.documents,
        )
        train, valid_ds = builder.streams() if stateful else builder.windows()
        return cls.from_datasets(train, valid_ds, bs=builder.bs, val_bs=builder.val_bs, device=device, path=path)

    @classmethod
    def from_datasets(
        cls: type[T],
        train: CharWindows | CharStreams,  # training dataset
        valid: CharWindows | CharStreams,  # validation dataset
        bs: int = 512,  # rows in a training batch
        val_bs: int | None = None,  # rows in a validation batch; None: as `from_text`
        device: str | torch.device | None = None,  # where the text is kept; None: fastai's default
        path: str | Path = ".",  # where the learner saves
    ) -> T:  # the loaders, a `CharDataLoaders`
        "Make loaders over two datasets. Training windows are shuffled. Raises `DataError` for an unusable device."
        path = check_path("path", path)
        bs = check_count("bs", bs)
        device = usable_device(default_device() if device is None else device)
        if val_bs is None:
            val_bs = bs if valid.stateful else default_val_bs(bs, valid.targets_per_row, valid.c)
        train_dl = WindowDL(train, bs=bs, shuffle=True, device=device)
        valid_dl = WindowDL(valid, bs=val_bs, device=device)
        return cls(train_dl, valid_dl, path=path, device=device)

    @property
    def mode(self) -> str:  # "windows", "chunks" or "streams"
        "How a model trained on this data reads: the default of `CharLearner.evaluate(by=)`."
        return mode_of(self.target, self.stateful)

    def audit(self) -> SplitAudit:  # counts; prints as a sentence
        """Count the validation windows that share characters with training windows.

        The more there are, the less the validation loss says about new text."""
        return audit(_starts(self.train_ds), _starts(self.valid_ds), self.seq_len)

    def __repr__(self) -> str:
        (_, text), *rows = self._description()
        lines = [f"  {name:<8} {value}" for name, value in rows]
        return "\n".join([f"CharDataLoaders: {text}, vocabulary of {len(self.vocab)}", *lines])

    def _repr_html_(self) -> str:
        text, *rows = self._description()
        chars = "".join(c for c in self.vocab.itos[1:])
        vocab = ("vocabulary", f"{len(self.vocab)}: {printable(repr(chars), max_len=_max_shown)}")
        rows = [(escaped(name), escaped(value)) for name, value in (text, vocab, *rows)]
        return as_table([], rows, "CharDataLoaders", left=(0, 1))

    def _description(self):
        "What the loaders contain: (name, value) of each line."
        info = self.train_ds.info
        n_documents = sum(info["documents"].values()) if "documents" in info else 0
        documents = f"{n_documents:,} documents, " if n_documents else ""
        return [
            ("text", f"{documents}{info.get('n_chars', 0):,} characters"),
            self._describe_batches(info.get("stride", 1)),
            ("train", _describe_loader(self.train)),
            ("valid", f"{_describe_loader(self.valid)} ({printable(info.get('split', 'no text'))})"),
            ("device", str(self.device)),
        ]

    def _describe_batches(self, stride):
        if self.stateful:
            return "streams", f"{self.seq_len} characters at a time, the state continues"
        targets = "those after each" if self.target == "every" else "the next"
        return "windows", f"{self.seq_len} characters and {targets}, at every {_ordinal(stride)}position"


def _describe_loader(dl):
    if isinstance(dl.dataset, CharStreams):
        contents = f"{dl.dataset.n_targets:,} characters"
    else:
        contents = f"{len(dl.dataset):,} windows"
    return f"{contents}, {len(dl):,} batches of {dl.bs}"


def _ordinal(stride):
    '"3rd " for 3, and nothing for 1.'
    if stride == 1:
        return ""
    is_teen = 10 <= stride % 100 < 20
    suffix = "th" if is_teen else {1: "st", 2: "nd", 3: "rd"}.get(stride % 10, "th")
    return f"{stride}{suffix} "


def _starts(ds):
    "The starts of a dataset's windows, not as a tensor."
    return ds.starts.cpu().numpy() if isinstance(ds.starts, Tensor) else ds.starts


def usable_device(device):
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as e:
        is_unknown = isinstance(e, TypeError) or "Expected one of" in str(e)
        reason = "no such device" if is_unknown else str(e).splitlines()[0]
        name = shown(str(device) if isinstance(device, torch.device) else device)
        way_out = 'pass device="cpu", or None for the best available'
        raise DataError(f"device={name} cannot be used here ({reason}); {way_out}") from None
