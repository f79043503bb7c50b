"""What `char_learner` needs of any fastai `DataLoaders`: `as_char_dls` checks loaders and adds what they lack.

    batches     (x, y): x (bs, n) int64 indices; y (bs,) the character after each row, or (bs, n) after each character
    vocab       the characters by index: a `CharVocab`, a list, or what fastai's text loaders have; required
    seq_len     optional: characters in a row; otherwise the width of the first batch
    target      optional: "next" or "every"; otherwise by the shape of y in the first batch
    stateful    optional: whether each batch continues the rows of the one before; otherwise true of `LMDataLoader`

Set what is missing on the loaders: `dls.vocab = chars`.
"""

import random

import torch
from fastai.basics import DataLoaders, default_device
from fastai.text.data import LMDataLoader
from torch import Tensor

from .._checks import shown
from .._utils import is_count
from ..errors import DataError, VocabError
from .reading import mode_of
from .token_vocab import as_vocab
from .vocab import CharVocab
from .window_dl import WindowDL

__all__ = ["as_char_dls"]

_fields = ("vocab", "seq_len", "target", "stateful", "mode")


def as_char_dls(
    dls: DataLoaders,  # any loaders of characters
    like: DataLoaders | None = None,  # loaders whose description holds if `dls` have no data, as `new_empty` makes them
) -> DataLoaders:  # the same object
    """Check that loaders follow the protocol of this module, and set `vocab`, `seq_len`, `target`, `stateful`, `mode`.

    The first training batch of other loaders than `WindowDL` is read once. Raises `DataError` for missing attributes
    and other batches, `VocabError` for no vocabulary, words, and indices outside it."""
    if not hasattr(dls, "train"):
        raise DataError(f"dls={shown(dls)} are not DataLoaders; make them with CharDataLoaders.from_text(text)")
    if isinstance(dls.train, WindowDL):
        if not hasattr(dls, "mode"):
            dls.mode = mode_of(dls.target, dls.stateful)
    elif vars(dls).get("checked_loader") is not dls.train:
        is_empty = like is not None and not len(dls.train)
        _set_fields(dls, {k: getattr(like, k) for k in _fields} if is_empty else _described(dls))
    else:
        dls.mode = mode_of(dls.target, dls.stateful)
    return dls


def _set_fields(dls, fields):
    try:
        for name, value in fields.items():
            setattr(dls, name, value)
        # a `str` for some loaders; loaders of PyTorch have none, and their batches are moved by the learner
        dls._device = torch.device(getattr(dls, "device", None) or default_device())
        dls.checked_loader = dls.train
    except AttributeError:
        raise DataError(
            f"{type(dls).__name__}.{name} cannot be set to {value!r:.80}; make it an attribute, not a property"
        ) from None


def _described(dls):
    "The fields of loaders of other classes, by their attributes and first batch."
    vocab = _vocab(dls)
    x, y = _first_batch(dls)
    _check_indices(x, y, vocab)
    seq_len = getattr(dls, "seq_len", None)
    stateful = getattr(dls, "stateful", None)
    if not isinstance(stateful, bool):
        stateful = isinstance(dls.train, LMDataLoader)
    target = _target(dls, x, y)
    if stateful and target != "every":
        raise DataError("stateful loaders have a target for every character: y (bs, n); set dls.stateful = False")
    seq_len = int(seq_len) if is_count(seq_len) else x.shape[1]
    return dict(vocab=vocab, seq_len=seq_len, target=target, stateful=stateful, mode=mode_of(target, stateful))


def _vocab(dls):
    vocab = getattr(dls, "vocab", None)
    if vocab is None:
        raise VocabError("these dls have no vocab; set dls.vocab to the list of characters, by index")
    return as_vocab(vocab)


def _first_batch(dls):
    "The first training batch as plain tensors. Raises `DataError` for anything but indices."
    batch = next(iter(dls.train), None)
    if batch is None:
        raise DataError("these dls have no training batch; pass a smaller bs, or drop_last=False")
    is_pair = isinstance(batch, (tuple, list)) and len(batch) == 2 and all(isinstance(b, Tensor) for b in batch)
    if not is_pair:
        parts = [type(b).__name__ for b in batch] if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise DataError(f"a batch must be (x, y), two tensors of indices, got {parts}")
    return tuple(b.as_subclass(Tensor) for b in batch)


def _check_indices(x, y, vocab: CharVocab):
    for name, b in (("x", x), ("y", y)):
        if b.dtype != torch.int64:
            hint = "for one-hot rows pass x.argmax(-1)" if b.is_floating_point() else f"pass {name}.long()"
            raise DataError(f"{name} must be int64 indices of characters, got {b.dtype} {tuple(b.shape)}; {hint}")
        if b.numel() and not 0 <= int(b.min()) <= int(b.max()) < len(vocab):
            raise VocabError(
                f"{name} has indices from {int(b.min())} to {int(b.max())} and vocab has {len(vocab)} entries, "
                f"numbered from 0; set dls.vocab to all characters, by index"
            )
    if x.dim() != 2:
        raise DataError(f"x must have the shape (bs, n), indices of n characters, got {tuple(x.shape)}")


def _target(dls, x, y):
    "Whether y has the character after each row or after each character."
    found = {x.shape[:1]: "next", x.shape: "every"}.get(y.shape)
    if found is None:
        raise DataError(
            f"y must have the shape (bs,), the character after each row, or that of x, {tuple(x.shape)}, "
            f"the character after each character; got {tuple(y.shape)}"
        )
    declared = getattr(dls, "target", None)
    if declared in ("next", "every") and declared != found:
        raise DataError(f"dls.target is {declared!r}, and y has the shape {tuple(y.shape)} of target={found!r}")
    return found


def data_info(
    dls: DataLoaders,  # those of a learner
) -> dict:  # as `CharWindows.info`; empty for other datasets
    "How the training data was made."
    info = getattr(getattr(dls.train, "dataset", None), "info", None)
    return info if isinstance(info, dict) else {}


def batch_size(
    dl: object,  # a loader of fastai or PyTorch
) -> int | None:  # rows in a batch
    "The batch size of a loader."
    return getattr(dl, "bs", None) or getattr(dl, "batch_size", None)


def n_targets(
    dls: DataLoaders,  # those of a learner
) -> int:
    "The number of characters predicted in an epoch; for datasets that do not say, by rows and `seq_len`."
    dl = dls.train
    known = getattr(dl.dataset, "n_targets", None)
    if is_count(known):
        return known
    n_rows = getattr(dl, "n", None) or len(dl.dataset)
    return n_rows * (dls.seq_len if dls.target == "every" else 1)


def seed_order(
    dl: object,  # a loader of fastai or PyTorch
    seed: int,
):
    "Fix the order of training."
    if hasattr(dl, "rng"):
        dl.rng = random.Random(seed)
        return
    generator = torch.Generator().manual_seed(seed)
    for holder in (dl, getattr(dl, "sampler", None)):
        if hasattr(holder, "generator"):
            holder.generator = generator
