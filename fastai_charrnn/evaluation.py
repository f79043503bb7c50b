"""Evaluate a learner on a text, in any way of reading it: `evaluate`, which `CharLearner` has as a method."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

from fastai.basics import Recorder, TrainEvalCallback

from ._checks import check_count
from ._utils import unwrap_model
from .callback.fit_context import check_thread
from .data.ids import CharIds
from .data.reading import check_mode, dataset_for, default_bs, model_args
from .data.window_dl import WindowDL
from .errors import ArchError, DataError

if TYPE_CHECKING:
    from fastai.basics import Learner

__all__ = ["evaluate"]


def evaluate(
    self: "Learner",  # a `CharLearner`
    text: str,  # at least one window and a character, or two characters
    bs: int | None = None,  # rows in a batch; None: 4,096 windows, 512 chunks, or up to 64 streams
    unk: str = "error",  # characters outside the vocabulary: "error", "skip", or a known character to replace them
    by: str | None = None,  # how to read: "windows", "chunks" or "streams"; None: as in training
) -> dict[str, float]:  # loss in nats, then the metrics, by name; with `by`, names such as "streams_loss"
    """Return the loss and metrics on `text`. They depend on how the text is read:

    windows    every character after the first seq_len, each from the seq_len before it and a state of zeros
    chunks     every character after the first, from a state of zeros at each seq_len-th
    streams    every character after the first, from all before it in its row

    Windows and chunks give the same numbers for any `bs`. By default a batch has at most 2**24 log-probabilities, 64 MB
    in float32. Streams have `bs` rows, and the first characters of a row do not see those before it.

    Raises `UnknownCharError`, `DataError` for a short text or an unknown `by`, `ArchError` for a `by` the model
    cannot read."""
    check_thread(self)
    ids = CharIds.from_array(self.dls.vocab.encode(text, unk=unk))
    mode = self.dls.mode if by is None else by
    check_mode(mode)
    vocab = self.dls.vocab
    seq_len = self.dls.seq_len
    bs = default_bs(mode, len(ids), seq_len, len(vocab)) if bs is None else _checked_bs(bs, mode, len(ids))
    ds = dataset_for(mode, ids, vocab, seq_len, bs)
    with _reading(self, mode), self.no_bar(), self.no_logging():
        values = self.validate(dl=_loader(self.dls, ds, bs), cbs=_missing_cbs(self))
    prefix = "" if by is None else f"{by}_"
    names = ["loss", *self.metrics.attrgot("name")]
    return {prefix + name: value for name, value in zip(names, values)}


def _checked_bs(bs, mode, n_chars):
    "The rows of a batch. More windows than the text has are no error, as the batch is only smaller."
    bs = check_count("bs", bs)
    if mode != "streams":
        return min(bs, max(n_chars, 1))
    if bs >= n_chars:
        raise DataError(f"bs={bs:,} streams need more than {n_chars:,} characters; pass a smaller bs")
    return bs


def _loader(dls, ds, bs):
    "A loader of a dataset, with the transforms of `dls` if these are ours."
    valid = dls[-1]
    return valid.new(ds, bs=bs) if isinstance(valid, WindowDL) else WindowDL(ds, bs=bs, device=dls.device)


def _missing_cbs(self):
    "What a validation needs and a learner made with `default_cbs=False` does not have."
    return [cb() for cb in (TrainEvalCallback, Recorder) if not self._grab_cbs(cb)]


def _reading(self, mode):
    "A context in which the model reads in this mode."
    if mode == self.dls.mode:
        return nullcontext()
    model = unwrap_model(self.model)
    if not hasattr(model, "reading"):
        raise ArchError(
            f"{type(model).__name__} can read only {self.dls.mode}; derive it from CharModel to evaluate by {mode}"
        )
    return model.reading(**model_args(mode, self.dls.seq_len))
