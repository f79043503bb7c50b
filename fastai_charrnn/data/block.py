"""Texts in fastai's data block API: `CharBlock`, whose loaders are those of `CharDataLoaders`.

    block = DataBlock(blocks=CharBlock(seq_len=64), get_x=ColReader("text"), splitter=RandomSplitter(seed=42))
    dls = block.dataloaders(df)

An item is a document: a str, or the path of a text file, which is read. No window crosses the border of a document.
"""

from pathlib import Path

from fastai.basics import Datasets, TfmdLists, Transform, torch
from fastai.data.block import TransformBlock

from ..errors import DataError
from .datasets import DatasetBuilder
from .ids import CharIds
from .reading import MIN_VAL_BS, bounded_bs
from .streams import CharStreams
from .text_file import read_text
from .text_source import encode_source
from .vocab import CharVocab
from .window_dl import WindowDL
from .windows import CharWindows

__all__ = ["CharBlock"]


class ReadText(Transform):
    "Read the file of a path. Other items stay as they are."

    def __init__(
        self,
        encoding: str = "utf-8",  # the encoding of files
    ):
        super().__init__()
        self.encoding = encoding

    def encodes(self, o: Path):
        return read_text(o, self.encoding)


class DocumentsDL(WindowDL):
    """A `WindowDL` that the data block API makes, first of the training items, then with `new` of the validation items.

    Both parts are encoded together when the validation items are known. Until then there are no windows."""

    texts = None  # the training items, until `new` gets those that validate

    def __init__(
        self,
        dataset: Datasets | CharWindows | CharStreams,  # documents, or what they become
        bs: int = 512,  # windows in a batch
        shuffle: bool = False,  # whether windows are shuffled; streams are not
        num_workers: int = 0,  # no effect, as the text is in memory
        seq_len: int = 8,  # this and the arguments below: as in `CharBlock`
        stride: int | None = None,
        target: str = "next",
        stateful: bool = False,
        shift: bool = False,
        vocab: CharVocab | None = None,
        unk: str = "error",
        sep: str | None = "\n",
        **kwargs,  # fastai's: device, drop_last, after_batch …
    ):
        if isinstance(dataset, (Datasets, TfmdLists)):
            if shift and not stateful:
                raise DataError("shift=True moves the start of streams, so it requires stateful=True")
            self.texts = _documents(dataset)
            self.text_options = dict(vocab=vocab, unk=unk, sep=sep)
            self.window_options = dict(seq_len=seq_len, stride=stride, target=target, shift=shift)
            self.stateful = stateful
            dataset = CharWindows(CharIds(torch.zeros(0, dtype=torch.uint8)), CharVocab("\0"), torch.arange(0), seq_len)
        super().__init__(dataset, bs=bs, shuffle=shuffle, **kwargs)

    def new(self, dataset=None, cls=None, **kwargs):
        "Return a copy with other arguments. Of documents, a loader that validates on them."
        if not isinstance(dataset, (Datasets, TfmdLists)):
            return super().new(dataset, cls, **kwargs)
        for name in (*self.text_options, *self.window_options, "stateful"):
            kwargs.pop(name, None)
        train, valid = self._datasets(_documents(dataset), kwargs.get("bs", self.bs))
        if not self.stateful:
            kwargs["bs"] = bounded_bs(kwargs.get("bs", self.bs), valid.targets_per_row, valid.c)
        if not len(self.dataset):
            self._use(train)
        return super().new(valid, WindowDL, **kwargs)

    def _datasets(self, valid_texts, val_bs):
        if not valid_texts:
            raise DataError("the splitter leaves no document to validate on; pass more documents, or another splitter")
        source = encode_source(self.texts, valid_texts, **self.text_options)
        builder = DatasetBuilder(
            ids=source.ids,
            vocab=source.vocab,
            documents=source.documents,
            bs=self.bs,
            val_bs=val_bs,
            valid="tail",
            valid_pct=0.1,
            seed=42,
            **self.window_options,
        )
        return builder.streams() if self.stateful else builder.windows()

    def _use(self, train):
        "Train on these windows or streams."
        self.dataset = train
        self.shuffle = self.shuffle and not self.stateful
        self.n = len(train)
        if self.device is not None:
            self.dataset.to(self.device)


def _documents(dataset):
    "The texts of some items."
    items = [item if isinstance(item, tuple) else (item,) for item in dataset]
    if any(len(item) > 1 for item in items):
        raise DataError(
            "CharBlock must be the only block: the targets are the characters that follow; leave out others"
        )
    texts = [item[0] for item in items]
    wrong = [text for text in texts if not isinstance(text, str)]
    if wrong:
        raise DataError(
            f"{len(wrong):,} of {len(texts):,} items are not texts, such as {wrong[0]!r:.60} "
            f"({type(wrong[0]).__name__}); pass get_x=…, a function from an item to a str or a Path"
        )
    return texts


def CharBlock(
    vocab: CharVocab | None = None,  # None: the characters of all items
    seq_len: int = 8,  # characters in a window
    stride: int | None = None,  # characters between the starts of windows; None: as in `CharDataLoaders.from_text`
    target: str = "next",  # predict the character after a window ("next"), or after each character ("every")
    stateful: bool = False,  # whether to read `bs` streams in parallel, `seq_len` characters a batch
    shift: bool = False,  # whether streams start at another offset every epoch
    unk: str = "error",  # characters outside `vocab`: "error", "skip", or the known character to use for them
    sep: str | None = "\n",  # one character that ends each document; None: nothing is added
    encoding: str = "utf-8",  # of files, for items that are paths
    bs: int = 512,  # rows in a training batch, unless `dataloaders` gets another
) -> TransformBlock:
    """Make a block whose items are documents: `DataBlock(blocks=CharBlock(seq_len=64), …).dataloaders(source)`.

    The loaders contain the windows that `CharDataLoaders.from_text(texts, valid_text=…)` makes. As everywhere in the
    data block API, `dataloaders` leaves out the last, smaller batch of an epoch; pass `drop_last=False` to train on it.
    Except for streams, validation batches have `val_bs` rows, by default at least 2,048, but at most 2**24
    log-probabilities, 64 MB in float32.

    `dataloaders` raises `DataError` for items that are not texts, for invalid options, and if no document validates or
    all are too short; `UnknownCharError` or `VocabError` for characters outside `vocab`."""
    options = dict(seq_len=seq_len, stride=stride, target=target, stateful=stateful, shift=shift)
    options |= dict(vocab=vocab, unk=unk, sep=sep, bs=bs)
    if not stateful:
        options["val_bs"] = max(bs, MIN_VAL_BS)
    return TransformBlock(type_tfms=[ReadText(encoding)], dl_type=DocumentsDL, dls_kwargs=options)
