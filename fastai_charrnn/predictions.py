"""Predict loaders of windows, streams and texts: `get_preds`, which `CharLearner` has as a method."""

from contextlib import contextmanager, nullcontext

from fastai.basics import Callback, DataLoader, L, Learner, Tensor, nested_reorder, nn, torch

from ._checks import MAX_COUNT, check_count
from ._utils import unwrap_model
from .callback.arguments import check_what_to_predict
from .callback.mid_fit import record_kept, validating_in_fit
from .callback.stream_preds import FlattenStreams
from .data.show import TEXT_COLUMNS, show_table
from .data.streams import CharStreams
from .data.window_dl import WindowDL
from .data.windows import CharPrompts
from .generation.decoders import is_stateful, next_log_probs
from .generation.outputs import read_windows

__all__ = ["get_preds", "show_results"]


def get_preds(
    self: Learner,  # a `CharLearner`
    ds_idx: int = 1,  # which of `dls`, if `dl` is None
    dl: DataLoader | list | None = None,  # what to predict; of texts, `dls.test_dl(texts)`
    cbs: Callback | list | None = None,  # callbacks for this only
    inner: bool = False,  # whether the caller has begun an epoch, as fastai's
    **kwargs,  # fastai's: act, with_input, with_decoded, with_loss, reorder, save_preds …
) -> tuple:  # as fastai's
    """Return predictions and targets, as fastai does.

    Of streams, a row is a character, in the order of the text. Of texts, a row has the probabilities of the next
    character, those of `next_probs`. The record of the last fit is kept, and predictions in a fit do not change it."""
    ds_idx = check_what_to_predict(self, ds_idx, dl, cbs)
    if dl is None and not hasattr(self.dls[ds_idx], "new"):
        # loaders of PyTorch cannot be copied with another order
        dl = self.dls[ds_idx]
    ds = getattr(self.dls[ds_idx] if dl is None else dl, "dataset", None)
    in_fit = self.training_now and not inner
    with validating_in_fit(self) if in_fit else record_kept(self):
        if isinstance(ds, CharStreams):
            return _stream_preds(self, ds_idx, dl, cbs, inner, kwargs)
        with _next_only(self) if isinstance(ds, CharPrompts) else nullcontext():
            return Learner.get_preds(self, ds_idx, dl, cbs=cbs, inner=inner, **kwargs)


def _stream_preds(learn, ds_idx, dl, cbs, inner, kwargs):
    "Predictions of streams, one row for each target or for each picked one."
    dl = learn.dls[ds_idx].new(shuffle=False, drop_last=False) if dl is None else dl
    streams = dl.dataset
    flatten = FlattenStreams(streams)
    options = kwargs | dict(reorder=False, inner=inner)
    found = list(Learner.get_preds(learn, dl=dl, cbs=[*L(cbs), flatten], **options))
    # picked targets are in the order of their items in any case
    if streams.picked is not None or kwargs.get("reorder", True):
        found = nested_reorder(found, flatten.order_of_items())
    if streams.picked is not None and kwargs.get("with_input"):
        # what was read before a target, not only the last character of it
        found[0] = streams.contexts(streams.picked)
    return tuple(found)


@contextmanager
def _next_only(learn):
    "In the block, the model predicts the character after each text. One that carries its state reads no padding."
    model = learn.model
    learn.model = _NextOfTexts(model)
    try:
        yield
    finally:
        learn.model = model


class _NextOfTexts(nn.Module):
    "A model that returns the log-probabilities of the character after each row, padded with index 0 on the left."

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:  # (bs, n) -> (bs, V)
        model = unwrap_model(self.model)
        if is_stateful(model):
            return next_log_probs(model, x)
        return read_windows(self.model, x, torch.float32)


def show_results(
    self: Learner,  # a `CharLearner`
    ds_idx: int = 1,  # which of `dls`, if `dl` is None
    dl: DataLoader | None = None,  # what to predict
    max_n: int = 9,  # rows to show
    shuffle: bool = True,  # whether to take them at random
    **kwargs,  # fastai's
):
    """Show texts, targets and predictions of a batch as a table, as fastai does.

    Loaders of other classes cannot show indices of characters. Their first rows are decoded by `dls.vocab`."""
    ds_idx = check_what_to_predict(self, ds_idx, dl, None)
    max_n = check_count("max_n", max_n, 1, MAX_COUNT)
    source = self.dls[ds_idx] if dl is None else dl
    if isinstance(source, WindowDL):
        return Learner.show_results(self, ds_idx, dl, max_n, shuffle, **kwargs)
    batch = tuple(b[:max_n].as_subclass(Tensor) for b in next(iter(source)))
    with self.no_bar():
        _, _, decoded = self.get_preds(dl=[batch], with_decoded=True)
    decode = self.dls.vocab.decode
    show_table([[decode(ids) for ids in row] for row in zip(*batch, decoded)], TEXT_COLUMNS)
