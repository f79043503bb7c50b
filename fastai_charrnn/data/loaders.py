"""Text as fastai data: `CharDataLoaders`, whose batches are windows of characters gathered whole from one encoded text.

    dls = CharDataLoaders.from_text(text, seq_len=8, bs=512)
    x,y = dls.one_batch()      # x (bs, seq_len) int64: windows; y (bs,) int64: the character after each

A window is an offset into the text (`splits`), a batch one gather (`windows`); no Python runs per item.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.basics import (
    DataLoaders,
    TensorBase,
    TfmdDL,
    chunked,
    default_device,
    dispatch,
    show_batch,
    show_results,
    to_cpu,
)
from fastai.interpret import plot_top_losses
from fastcore.imports import IN_NOTEBOOK
from torch import Tensor

from .._utils import is_count, renamed
from ..errors import DataError
from .corpus import read_text
from .encoded import EncodedFile, encode_file
from .permutation import MANY, Shuffle
from .reading import mode_of
from .sharding import gather_batch, shard_indices, sync_indices
from .splits import SplitAudit, audit, describe_split, split_streams, split_windows
from .streams import CharStreams
from .vocab import CharVocab, warn_large
from .windows import CharIds, CharPrompts, CharWindows, MappedIds

__all__ = ["CharDataLoaders", "WindowDL", "TensorChars"]

_mapped_from = 2**26  # bytes: from this size on a file's text stays on disk


class TensorChars(TensorBase):
    "Indices of characters on their way to being shown; batches are plain tensors."


class WindowDL(TfmdDL):
    """A fastai `DataLoader` over `CharWindows` or `CharPrompts` that takes whole batches from its dataset.

    Indices stay tensors, workers are not used (the text is resident), `after_batch` transforms apply as ever;
    there are no items, so `after_item` and `before_batch` do not."""

    # rank and world; of the batch at hand, how many rows are ours and everyone's: `distrib`
    part = (0, 1)
    counts = (0, 0)

    def __init__(self, dataset=None, bs: int = 64, shuffle: bool = False, num_workers: int = 0, **kwargs):
        if isinstance(dataset, CharStreams):
            shuffle = False  # their order is the text's
            if dataset.bs != bs:
                dataset = dataset.cut(bs)
        super().__init__(dataset, bs=bs, shuffle=shuffle, num_workers=0, **kwargs)
        if self.device is not None:
            self.dataset.to(self.device)

    def seed(self, s: int) -> "WindowDL":
        "Fix the order of this and all later epochs."
        self.rng = random.Random(s)
        return self

    def shard(self, rank: int, world: int) -> "WindowDL":
        "From now on, this rank's rows of every batch of world·bs; `shard(0, 1)`: all. The order of training goes on where it was."
        self.part = rank, world
        if isinstance(self.dataset, CharStreams):
            self.dataset = self.dataset.cut(self.bs * world)
            self.n = len(self.dataset)
        return self

    def to_detach(self, b, cpu: bool = True, gather: bool = True):
        "What fastai's metrics keep of a batch, from all ranks."
        return gather_batch(b, self.part if gather else (0, 1), self.counts[0] > 0, cpu)

    def __len__(self):
        whole = self.bs * self.part[1]
        return self.n // whole + (not self.drop_last and self.n % whole > 0)

    def get_idxs(self) -> Tensor | Shuffle | range:
        "The order of an epoch; of more than 2**20 windows no list is made."
        if isinstance(self.dataset, CharStreams):
            self.dataset.begin(self.rng)
        if self.n > MANY:
            return Shuffle(self.n, self.rng.getrandbits(63)) if self.shuffle else range(self.n)
        idxs = torch.arange(self.n)
        return self.shuffle_fn(idxs) if self.shuffle else idxs

    def shuffle_fn(self, idxs):
        g = torch.Generator().manual_seed(self.rng.getrandbits(63))
        return idxs[torch.randperm(len(idxs), generator=g)]

    def sample(self):
        return self._DataLoader__idxs  # what `get_idxs` gave at the start of this iteration, as it is

    def create_batches(self, samps):
        "Batches of the windows numbered so: what our own `get_idxs` gives, or any iterable, endless ones included."
        for block in self._blocks(sync_indices(self, samps)):
            rows, counts = shard_indices(
                block, self.bs, *self.part, self.drop_last, isinstance(self.dataset, CharStreams)
            )
            for b, count in zip(self.dataset.batches(rows.to(self.dataset.home, non_blocking=True), self.bs), counts):
                self.counts = count
                yield b

    def _blocks(self, samps) -> Iterator[Tensor]:
        "The numbers, some whole batches at a time: one at first, so that it comes soon, then eight times as many each time up to what pays."
        whole = self.bs * self.part[1]
        if not hasattr(samps, "__len__"):
            yield from (torch.as_tensor(o) for o in chunked(samps, whole))
            return
        lo, size = 0, whole
        while lo < len(samps):
            part = samps[lo : lo + size]
            yield part if isinstance(part, Tensor) else torch.as_tensor(np.asarray(part))
            lo = lo + size
            size = min(8 * size, max(self.dataset.ahead // whole, 1) * whole)

    def _one_pass(self):
        self._n_inp = 1
        self._types = None

    def new(self, dataset=None, cls=None, **kwargs):
        "A copy with other arguments; `dataset` may be texts or starts of windows."
        raw = dataset is not None and not isinstance(dataset, (CharWindows, CharPrompts, CharStreams))
        return super().new(self.dataset.at(dataset) if raw else dataset, cls, **kwargs)

    def to(self, device):
        super().to(device)
        if device is not None:
            self.dataset.to(device)

    def decode(self, b):
        return to_cpu(self.after_batch.decode(b))

    def _pre_show_batch(self, b, max_n=9):
        x, y, its = super()._pre_show_batch(b, max_n=max_n)
        return TensorChars(x), y, its


def _table(samples, columns, **more):
    "Show strings as a table, spelled as Python does so that spaces and line ends are seen."
    df = pd.DataFrame([[repr(s) for s in row] for row in samples], columns=columns).assign(**more)
    if IN_NOTEBOOK:
        from IPython.display import HTML, display

        display(
            HTML(
                df.to_html(index=False).replace(
                    "<td>", '<td style="white-space:pre; font-family:monospace; text-align:left">'
                )
            )
        )
    else:
        print(df.to_string(index=False))


@dispatch
def show_batch(x: TensorChars, y, samples, ctxs=None, max_n=9, **kwargs):  # noqa: F811 (extends fastai's)
    _table(samples[:max_n], ["text", "next"][: len(samples[0])])


@dispatch
def show_results(x: TensorChars, y, samples, outs, ctxs=None, max_n=9, **kwargs):  # noqa: F811 (extends fastai's)
    _table([(*s, *o) for s, o in zip(samples[:max_n], outs)], ["text", "next", "predicted"])


@dispatch
def plot_top_losses(x: TensorChars, y, samples, outs, raws, losses, **kwargs):  # noqa: F811 (extends fastai's)
    probs = [f"{float(r[int(t)]):.4f}" for r, t in zip(raws, y)]
    _table(
        [(*s, *o) for s, o in zip(samples, outs)],
        ["text", "next", "predicted"],
        probability=probs,
        loss=[f"{float(o):.2f}" for o in losses],
    )


class CharDataLoaders(DataLoaders):
    "Training and validation windows over one text; made by `from_text` or `from_file`."

    @classmethod
    @renamed(n="seq_len")
    def from_text(
        cls,
        text: str | EncodedFile,  # the text to learn, or what `encode_file` made of it, with its vocabulary
        seq_len: int = 8,  # characters in a window
        stride: int
        | None = None,  # a window starts at every `stride`-th character; None: at every one, for `target="every"` at every seq_len-th
        bs: int = 512,  # windows in a training batch
        valid: str
        | Sequence[
            int
        ] = "tail",  # the end of the text ("tail"), "random" (lesson 6's), "blocks", "last", or window numbers, see `split_windows`
        valid_pct: float = 0.1,  # the part that validates
        seed: int = 42,  # what "random" draws with; the order of training comes from fastai's `set_seed` or `char_learner(seed=)`
        vocab: CharVocab | None = None,  # None: the characters of `text`; else the vocabulary of a trained model, say
        unk: str = "error",  # characters outside `vocab`: "error", "skip", or a known character to put in their place
        val_bs: int
        | None = None,  # windows in a validation batch; None: 2,048, or `bs` if that is more, and for streams `bs`
        device: str
        | torch.device
        | None = None,  # where the text lives; None: fastai's default, the GPU if there is one
        path: str | Path = ".",  # where the learner saves
        target: str = "next",  # what a window is to predict: the character after it, or, with "every", the one after each of its characters
        stateful: bool = False,  # whether the text is cut into `bs` streams that are read side by side, n characters a batch, the model's state going on from batch to batch
        shift: bool = False,  # whether streams begin at another character every epoch, so that they are cut elsewhere each time
    ) -> "CharDataLoaders":
        """Windows of `seq_len` characters of `text`, each with the character that follows it; or streams, see `CharStreams`.

        Training windows are shuffled anew each epoch and all used (the last batch may be smaller). Where every character is a
        target and a stretch of the text validates ("tail", "blocks"), it does so as streams, which hold each of its characters once.
        Raises `DataError` if the text is too short for `seq_len`, `bs` or the split, `VocabError` if it holds '\\0' or unknown
        characters; warns if it has more than 1,000 distinct characters, usually a wrong encoding."""
        if isinstance(text, EncodedFile):
            if vocab not in (None, text.vocab):
                raise DataError("an encoded text comes with its vocabulary; give vocab=… to encode_file instead")
            ids, vocab = MappedIds(text.path), text.vocab
        else:
            vocab = CharVocab.from_text(text) if vocab is None else vocab
            a = vocab.encode(text, unk=unk)
            if len(vocab) > 1001:
                warn_large(vocab, np.bincount(a, minlength=len(vocab)), stacklevel=4)
            ids = CharIds.from_array(a)
        if shift and not stateful:
            raise DataError("shift=True moves the cuts of streams: it goes with stateful=True")
        how = (ids, vocab, seq_len, stride, bs, valid, valid_pct, seed, val_bs, target)
        dss = _streams(*how, shift) if stateful else _windows(*how)
        return cls.from_datasets(*dss, bs=bs, val_bs=val_bs, device=device, path=path)

    @classmethod
    @renamed(n="seq_len")
    def from_file(
        cls,
        fname: str | Path,  # a text file
        encoding: str = "utf-8",  # how its bytes spell characters
        mmap: bool | None = None,  # whether the text stays on disk, encoded; None: from 64 MB on
        cache: str | Path | None = None,  # then, the folder to keep it in; None: the text's own
        vocab: CharVocab | None = None,  # as `from_text`
        unk: str = "error",  # likewise
        **kwargs,  # likewise
    ) -> "CharDataLoaders":
        """`from_text` of the file's text, read by `read_text` or, where it stays on disk, encoded by `encode_file`.

        Raises `CorpusError` if it cannot be read, or cannot be encoded to `cache`."""
        if mmap is None:
            mmap = Path(fname).is_file() and Path(fname).stat().st_size >= _mapped_from
        if not mmap:
            return cls.from_text(read_text(fname, encoding), vocab=vocab, unk=unk, **kwargs)
        return cls.from_text(encode_file(fname, encoding, vocab, unk, cache), **kwargs)

    @classmethod
    def from_datasets(
        cls, train: CharWindows, valid: CharWindows, bs: int = 512, val_bs: int | None = None, device=None, path="."
    ) -> "CharDataLoaders":
        "Loaders over two datasets, the first shuffled."
        device = _usable(default_device() if device is None else device)
        val_bs = val_bs or (bs if getattr(valid, "stateful", False) else max(bs, 2048))
        dls = WindowDL(train, bs=bs, shuffle=True, device=device), WindowDL(valid, bs=val_bs, device=device)
        return cls(*dls, path=path, device=device)

    @property
    def mode(self) -> str:  # "windows", "chunks" or "streams"
        "How a model trained on these data reads: the default of `CharLearner.evaluate(by=)`."
        return mode_of(self.target, self.stateful)

    def audit(self) -> SplitAudit:  # counts, and a sentence when printed
        "How many validation windows share characters with training ones; the more, the less the validation loss says."
        return audit(
            *(
                ds.starts.cpu().numpy() if isinstance(ds.starts, Tensor) else ds.starts
                for ds in (self.train_ds, self.valid_ds)
            ),
            self.seq_len,
        )

    def __repr__(self) -> str:
        info = self.train_ds.info

        def loader(dl):
            if isinstance(dl.dataset, CharStreams):
                what = f"{dl.dataset.n_targets:,} characters"
            else:
                what = f"{len(dl.dataset):,} windows"
            return f"{what}, {len(dl):,} batches of {dl.bs}"

        if self.stateful:
            kind = f"streams  {self.seq_len} characters at a time, the state goes on"
        else:
            kind = f"windows  {self.seq_len} characters and {'those after each' if self.target == 'every' else 'the next'}, at every {_nth(info.get('stride', 1))}position"
        return (
            f"CharDataLoaders: {info.get('n_chars', 0):,} characters, vocabulary of {len(self.vocab)}\n"
            f"  {kind}\n"
            f"  train    {loader(self.train)}\n  valid    {loader(self.valid)} ({info.get('split', 'no text')})\n  device   {self.device}"
        )


def _windows(ids, vocab, seq_len, stride, bs, valid, valid_pct, seed, val_bs, target):
    "Training and validation windows."
    if target not in ("next", "every"):
        raise DataError(
            f'target={target!r} is neither "next", the character after a window, nor "every", the one after each of its characters'
        )
    if stride is None:
        stride = 1 if target == "next" or not is_count(seq_len) else seq_len
    else:
        stride = stride
    split = split_windows(len(ids), seq_len, stride, valid, valid_pct, seed)
    _check_bs(len(split.train), len(ids), seq_len, bs, val_bs)
    info = _info(ids, stride, describe_split(valid, valid_pct, seed), split.spans)
    train, part = (
        CharWindows(ids, vocab, torch.from_numpy(s) if isinstance(s, np.ndarray) else s, seq_len, info, target)
        for s in (split.train, split.valid)
    )
    if target == "every" and split.spans:
        part = CharStreams(ids, vocab, split.spans[1], val_bs or max(bs, 2048), seq_len, stateful=False, info=info)
    return train, part


def _streams(ids, vocab, seq_len, stride, bs, valid, valid_pct, seed, val_bs, target, shift):
    "Training and validation streams."
    if target != "every":
        raise DataError(
            f'stateful=True reads streams, whose every character is a target: pass target="every", not {target!r}'
        )
    if stride not in (None, seq_len):
        raise DataError(f"stateful=True reads streams from one end to the other: leave out stride={stride!r}")
    spans = split_streams(len(ids), seq_len, valid, valid_pct)
    _check_bs(spans[0][0][1] - 1, len(ids), seq_len, bs, val_bs)
    info = _info(ids, seq_len, describe_split("tail", valid_pct, seed), spans)
    return [
        CharStreams(ids, vocab, part, rows, seq_len, stateful=True, rest=not train, info=info, shift=shift and train)
        for part, rows, train in zip(spans, (bs, val_bs or bs), (True, False))
    ]


def _info(ids, stride, split, spans):
    "How the data was made, for model files. The digest tells later whether a text is this one; on disk there is none."
    info = dict(n_chars=len(ids), stride=stride, split=split, spans=spans)
    return info | dict(digest=ids.digest) if isinstance(ids, CharIds) else info


def _nth(stride):
    '"3rd " for 3, and nothing for 1.'
    if stride == 1:
        return ""
    teens = 10 <= stride % 100 < 20
    ending = "th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(stride % 10, "th")
    return f"{stride}{ending} "


def _check_bs(n_train, n_chars, seq_len, bs, val_bs, what="windows"):
    for name, v in (("bs", bs), ("val_bs", val_bs)):
        if not (name == "val_bs" and v is None) and not is_count(v):
            raise DataError(f"{name}={v} is not a whole number from 1 up")
    if n_train < bs:
        raise DataError(
            f"{n_chars:,} characters and seq_len={seq_len} give {n_train:,} training windows, less than one batch of bs={bs}; "
            f"pass bs<={n_train} or a longer text"
        )


def _usable(device):
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as e:
        why = "no such device" if "Expected one of" in str(e) else str(e).splitlines()[0]
        raise DataError(
            f'device={str(device)!r} cannot be used here ({why}); pass device="cpu", or None for the best there is'
        ) from None
