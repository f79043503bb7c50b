"""What fastai's `RNNCallback` and `RNNRegularizer` need of our models: `RNNOutputs`, which a `CharLearner` adds.

    learn = char_learner(dls, "lstm", cbs=rnn_cbs(alpha=2.0, beta=1.0))

adds 2 times the mean square of the outputs after dropout to the training loss, and the mean square of the differences
between the outputs of consecutive steps, before dropout (Merity, McCann & Socher 2017, *Revisiting Activation
Regularization for Language RNNs*).
"""

from fastai.basics import Callback, Learner, torch
from fastai.callback.rnn import RNNCallback

from .._utils import unwrap_model
from ..errors import ArchError
from .arguments import check_callbacks

__all__ = ["RNNOutputs", "add_cb"]


def add_cb(
    self: Learner,  # a `CharLearner`
    cb: Callback | type[Callback],  # a callback or its class
) -> Learner:  # itself
    """Add a callback, as fastai does. With the first `RNNCallback` comes a callback that hands it the outputs.

    Raises `DataError` for what is no callback."""
    check_callbacks(cb)
    Learner.add_cb(self, cb)
    if _has(self, RNNCallback) and not _has(self, RNNOutputs):
        Learner.add_cb(self, RNNOutputs())
    return self


def _has(learn, kind):
    return any(isinstance(cb, kind) for cb in learn.cbs)


class RNNOutputs(Callback):
    """Make `learn.pred` the tuple that `RNNCallback` takes apart: log-probabilities, outputs before and after dropout.

    Both outputs are those of the last recurrent layer at every step, (bs, n, n_hid), also of models that predict only
    the character after a window. Does nothing for models that return such a tuple themselves. Raises `ArchError` for
    other models that are no `CharModel`."""

    order = RNNCallback.order - 1

    def before_batch(self):
        self.models = [m for m in unwrap_model(self.model).modules() if hasattr(m, "kept")]
        for model in self.models if _has(self.learn, RNNCallback) else ():
            model.kept = {}

    def after_pred(self):
        if not _has(self.learn, RNNCallback):
            return
        kept = [model.kept for model in self.models]
        self.after_error()
        if kept:
            self.learn.pred = (self.pred, *_outputs(kept))
        elif not isinstance(self.pred, tuple):
            raise ArchError(
                f"{type(self.model).__name__} returns no outputs before and after dropout, which RNNCallback needs; "
                "derive it from CharModel, or return the tuple (prediction, raw_out, out)"
            )

    def after_cancel_batch(self):
        self.after_error()

    def after_error(self):
        "Have models keep nothing, also after a batch that ended before its prediction."
        for model in vars(self).get("models", ()):
            model.kept = None


def _outputs(kept):
    "The outputs before and after dropout. Those of the members of an ensemble are side by side."
    raw = kept[0].get("raw")
    dropped = [outputs["dropped"] for outputs in kept if "dropped" in outputs]
    if raw is None:
        return None, None
    return raw.transpose(0, 1), torch.cat(dropped, -1).transpose(0, 1)
