"""Text as fastai data: `CharDataLoaders`, whose batches are windows of characters gathered whole from one resident array.

    dls = CharDataLoaders.from_text(text, n=8, bs=512)
    x,y = dls.one_batch()      # x (bs, n) int64: windows; y (bs,) int64: the character after each

A window is an offset into the text (`splits`), a batch one gather (`CharWindows.batch`); no Python runs per item.
"""
import random,warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.basics import DataLoaders,TensorBase,TfmdDL,chunked,default_device,dispatch,show_batch,show_results,to_cpu
from fastai.interpret import plot_top_losses
from fastcore.imports import IN_NOTEBOOK
from torch import Tensor

from .corpus import read_text
from .errors import CharRnnWarning,DataError
from .metrics import CharNLLLoss
from .splits import Audit,audit,describe_split,is_count,split_windows
from .vocab import CharVocab

__all__ = ["CharDataLoaders", "WindowDL", "CharWindows", "CharPrompts", "TensorChars"]


class TensorChars(TensorBase):
    "Indices of characters on their way to being shown; batches are plain tensors."


class CharIds:
    "The encoded text, one 1-D tensor in as few bytes as fit, shared by all loaders over it so that it moves once."

    def __init__(self,
        data:Tensor # (n_chars,) uint8, int16 or int32
    ): self.data = data

    @classmethod
    def from_array(cls, a:np.ndarray) -> "CharIds":
        "Take an encoded text as `CharVocab.encode` gives it; torch indexes signed types only beyond a byte."
        wide = a if a.dtype == np.uint8 else a.astype(np.int16 if a.size == 0 or a.max() < 2**15 else np.int32)
        return cls(torch.from_numpy(np.ascontiguousarray(wide)))

    def to(self, device):
        if self.data.device != torch.device(device): self.data = self.data.to(device)

    def windows(self, k:int) -> Tensor: # (n_chars-k+1, k), a view
        "All windows of `k` characters, without a copy."
        return self.data.unfold(0, k, 1)

    def __len__(self): return len(self.data)


class CharWindows:
    "A dataset of windows: where each starts in the text, how long it is, and the vocabulary to read it by."
    n_inp = 1

    def __init__(self,
        ids:CharIds, # the encoded text
        vocab:CharVocab, # what its indices mean
        starts:Tensor, # (n_windows,) int64: where each window starts
        window:int, # characters in a window
        info:dict|None=None # how the data was made: n_chars, stride, split, spans; goes into model files
    ):
        self.ids,self.vocab,self.starts,self.window,self.info = ids,vocab,starts,window,info or {}
        self.loss_func,self.c = CharNLLLoss(),len(vocab)

    def batch(self,
        idxs:Tensor # (bs,) int64: numbers of windows
    ) -> tuple[Tensor,Tensor]: # x (bs, window), y (bs,), both int64
        "A whole minibatch by one gather."
        w = self.ids.windows(self.window+1)[self.starts[idxs]].long()
        return w[:, :-1],w[:, -1]

    def decode(self, b, full=True) -> tuple[str,...]:
        "One sample of indices as strings."
        return tuple(self.vocab.decode(o) for o in b)

    def at(self,
        items:Sequence # texts, or starts of windows
    ) -> "CharWindows|CharPrompts":
        "The dataset of other items, as `test_dl` and `predict` ask for."
        items = [items] if isinstance(items, str) else items
        if len(items) and isinstance(next(iter(items)), str): return CharPrompts.from_texts(items, self.vocab, self.window)
        starts = torch.tensor(np.asarray(items), dtype=torch.int64)
        if len(starts) and not 0 <= starts.min() <= starts.max() < len(self.ids)-self.window:
            raise DataError(f"no window starts at {int(starts.max())}: starts run from 0 to {len(self.ids)-self.window-1:,}")
        return CharWindows(self.ids, self.vocab, starts.to(self.starts.device), self.window, self.info)

    @property
    def items(self) -> pd.Series: # n_windows of int64
        "The starts of the windows, as what fastai's `Interpretation` can index."
        return pd.Series(self.starts.cpu().numpy(), name="start")

    def new_empty(self) -> "CharWindows":
        "The same without any text, for `export`."
        return CharWindows(CharIds(self.ids.data[:0].clone()), self.vocab, self.starts[:0].clone(), self.window, self.info)

    def to(self, device):
        "Move text and starts; other loaders over the same text follow."
        self.ids.to(device)
        self.starts = self.starts.to(device)

    def __len__(self): return len(self.starts)
    def __getitem__(self, i): return tuple(o[0] for o in self.batch(torch.tensor([i], device=self.starts.device)))


class CharPrompts:
    "A dataset of texts whose next character is asked for: each is one window, its last `window` characters."
    n_inp = 1

    def __init__(self,
        rows:Tensor, # (n_texts, window)
        vocab:CharVocab # what its indices mean
    ):
        self.rows,self.vocab,self.window,self.c,self.loss_func = rows,vocab,rows.shape[1],len(vocab),CharNLLLoss()
        self.items = pd.DataFrame(rows.cpu().numpy())

    @classmethod
    def from_texts(cls, texts:Sequence[str], vocab:CharVocab, window:int, unk:str="error") -> "CharPrompts":
        "Longer texts give their tail, shorter ones are padded on the left with index 0. Raises `UnknownCharError`."
        rows = torch.zeros(len(texts), window, dtype=torch.int64)
        for row,text in zip(rows, texts):
            ids = vocab.encode(text, unk=unk)[-window:]
            if len(ids): row[-len(ids):] = torch.from_numpy(ids.astype(np.int64))
        return cls(rows, vocab)

    def batch(self, idxs:Tensor) -> tuple[Tensor]: return (self.rows[idxs],)
    decode,at = CharWindows.decode,CharWindows.at
    def to(self, device): self.rows = self.rows.to(device)
    def __len__(self): return len(self.rows)
    def __getitem__(self, i): return (self.rows[i],)


class WindowDL(TfmdDL):
    """A fastai `DataLoader` over `CharWindows` or `CharPrompts` that takes whole batches from its dataset.

    Indices stay tensors, workers are not used (the text is resident), `after_batch` transforms apply as ever;
    there are no items, so `after_item` and `before_batch` do not."""

    def __init__(self, dataset=None, bs:int=64, shuffle:bool=False, num_workers:int=0, **kwargs):
        super().__init__(dataset, bs=bs, shuffle=shuffle, num_workers=0, **kwargs)
        if self.device is not None: self.dataset.to(self.device)

    def seed(self, s:int) -> "WindowDL":
        "Fix the order of this and all later epochs."
        self.rng = random.Random(s)
        return self

    def get_idxs(self) -> Tensor:
        idxs = torch.arange(self.n)
        return self.shuffle_fn(idxs) if self.shuffle else idxs

    def shuffle_fn(self, idxs):
        g = torch.Generator().manual_seed(self.rng.getrandbits(63))
        return idxs[torch.randperm(len(idxs), generator=g)]

    def sample(self): return self._DataLoader__idxs # what `get_idxs` gave at the start of this iteration, as it is

    def create_batches(self, samps):
        "Batches of the indices given: a tensor as our own `get_idxs` gives, or any iterable, endless ones included."
        if isinstance(samps, Tensor): parts = samps.to(self._resident).split(self.bs) if len(samps) else ()
        else: parts = (torch.as_tensor(o, device=self._resident) for o in chunked(samps, self.bs, drop_last=self.drop_last))
        for part in parts:
            if len(part) == self.bs or not self.drop_last: yield self.dataset.batch(part)

    @property
    def _resident(self): return getattr(self.dataset, "starts", getattr(self.dataset, "rows", None)).device

    def _one_pass(self): self._n_inp,self._types = 1,None

    def new(self, dataset=None, cls=None, **kwargs):
        "A copy with other arguments; `dataset` may be texts or starts of windows."
        raw = dataset is not None and not isinstance(dataset, (CharWindows, CharPrompts))
        return super().new(self.dataset.at(dataset) if raw else dataset, cls, **kwargs)

    def to(self, device):
        super().to(device)
        if device is not None: self.dataset.to(device)

    def decode(self, b): return to_cpu(self.after_batch.decode(b))

    def _pre_show_batch(self, b, max_n=9):
        x,y,its = super()._pre_show_batch(b, max_n=max_n)
        return TensorChars(x),y,its


def _table(samples, columns, **more):
    "Show strings as a table, spelled as Python does so that spaces and line ends are seen."
    df = pd.DataFrame([[repr(s) for s in row] for row in samples], columns=columns).assign(**more)
    if IN_NOTEBOOK:
        from IPython.display import HTML,display
        display(HTML(df.to_html(index=False).replace("<td>", '<td style="white-space:pre; font-family:monospace; text-align:left">')))
    else: print(df.to_string(index=False))


@dispatch
def show_batch(x:TensorChars, y, samples, ctxs=None, max_n=9, **kwargs): # noqa: F811 (extends fastai's)
    _table(samples[:max_n], ["text", "next"][:len(samples[0])])


@dispatch
def show_results(x:TensorChars, y, samples, outs, ctxs=None, max_n=9, **kwargs): # noqa: F811 (extends fastai's)
    _table([(*s, *o) for s,o in zip(samples[:max_n], outs)], ["text", "next", "predicted"])


@dispatch
def plot_top_losses(x:TensorChars, y, samples, outs, raws, losses, **kwargs): # noqa: F811 (extends fastai's)
    probs = [f"{float(r[int(t)]):.4f}" for r,t in zip(raws, y)]
    _table([(*s, *o) for s,o in zip(samples, outs)], ["text", "next", "predicted"], probability=probs, loss=[f"{float(o):.2f}" for o in losses])


class CharDataLoaders(DataLoaders):
    "Training and validation windows over one text; made by `from_text` or `from_file`."

    @classmethod
    def from_text(cls,
        text:str, # the text to learn
        n:int=8, # characters in a window
        stride:int=1, # a window starts at every `stride`-th character
        bs:int=512, # windows in a training batch
        valid:str|Sequence[int]="random", # "random" (the reference's), "tail", "blocks", "last", or window numbers; see `split_windows`
        valid_pct:float=.2, # the part that validates
        seed:int=42, # what "random" draws with; the order of training comes from fastai's `set_seed` or `char_learner(seed=)`
        vocab:CharVocab|None=None, # None: the characters of `text`; else the vocabulary of a trained model, say
        unk:str="error", # characters outside `vocab`: "error", "skip", or a known character to put in their place
        val_bs:int|None=None, # windows in a validation batch; None: as `bs`
        device:str|torch.device|None=None, # where the text lives; None: fastai's default, the GPU if there is one
        path:str|Path="." # where the learner saves
    ) -> "CharDataLoaders":
        """Windows of `n` characters of `text`, each with the character that follows it.

        Training windows are shuffled anew each epoch and all used (the last batch may be smaller).
        Raises `DataError` if the text is too short for `n`, `bs` or the split, `VocabError` if it holds '\\0' or unknown
        characters; warns if it has more than 1,000 distinct characters, usually a wrong encoding."""
        vocab = CharVocab.from_text(text) if vocab is None else vocab
        if len(vocab) > 1001: _warn_large(text, vocab)
        ids = CharIds.from_array(vocab.encode(text, unk=unk))
        split = split_windows(len(ids), n, stride, valid, valid_pct, seed)
        _check_bs(len(split.train), len(ids), n, bs, val_bs)
        info = dict(n_chars=len(ids), stride=stride, split=describe_split(valid, valid_pct, seed), spans=split.spans)
        dss = [CharWindows(ids, vocab, torch.from_numpy(s), n, info) for s in (split.train, split.valid)]
        return cls.from_datasets(*dss, bs=bs, val_bs=val_bs, device=device, path=path)

    @classmethod
    def from_file(cls,
        fname:str|Path, # a text file
        encoding:str="utf-8", # how its bytes spell characters
        **kwargs # as `from_text`
    ) -> "CharDataLoaders":
        "`from_text` of the file's text, read by `read_text`. Raises `CorpusError` if it cannot be read."
        return cls.from_text(read_text(fname, encoding), **kwargs)

    @classmethod
    def from_datasets(cls, train:CharWindows, valid:CharWindows, bs:int=512, val_bs:int|None=None, device=None, path=".") -> "CharDataLoaders":
        "Loaders over two datasets, the first shuffled."
        device = _usable(default_device() if device is None else device)
        dls = WindowDL(train, bs=bs, shuffle=True, device=device),WindowDL(valid, bs=val_bs or bs, device=device)
        return cls(*dls, path=path, device=device)

    def audit(self) -> Audit: # counts, and a sentence when printed
        "How many validation windows share characters with training ones; the more, the less the validation loss says."
        return audit(*(ds.items.to_numpy() for ds in (self.train_ds, self.valid_ds)), self.window)

    def __repr__(self) -> str:
        info = self.train_ds.info
        def loader(dl): return f"{len(dl.dataset):,} windows, {len(dl):,} batches of {dl.bs}"
        return (f"CharDataLoaders: {info.get('n_chars', 0):,} characters, vocabulary of {len(self.vocab)}\n"
                f"  windows  {self.window} characters and the next, at every {_nth(info.get('stride', 1))}position\n"
                f"  train    {loader(self.train)}\n  valid    {loader(self.valid)} ({info.get('split', 'no text')})\n  device   {self.device}")


def _nth(stride): return "" if stride == 1 else f"{stride}{ {2: 'nd', 3: 'rd'}.get(stride, 'th')} "


def _check_bs(n_train, n_chars, n, bs, val_bs):
    for name,v in (("bs", bs), ("val_bs", val_bs)):
        if not (name == "val_bs" and v is None) and not is_count(v): raise DataError(f"{name}={v} is not a whole number from 1 up")
    if n_train < bs: raise DataError(f"{n_chars:,} characters and n={n} give {n_train:,} training windows, less than one batch of bs={bs}; "
                                     f"pass bs<={n_train} or a longer text")


def _usable(device):
    try: return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as e:
        raise DataError(f"device={str(device)!r} cannot be used here ({str(e).splitlines()[0]}); pass device=\"cpu\", or None for the best there is") from None


def _warn_large(text, vocab):
    counts = np.bincount(vocab.encode(text, unk="skip"), minlength=len(vocab))
    rare = [vocab[i] for i in np.argsort(counts[1:], kind="stable")[:10]+1]
    warnings.warn(f"{len(vocab)-1:,} distinct characters, the rarest {' '.join(map(repr, rare))}: often a sign of a wrong encoding; "
                  "pass the file's encoding=… if these are not yours", CharRnnWarning, stacklevel=3)
