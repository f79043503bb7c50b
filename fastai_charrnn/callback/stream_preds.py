"""Collect predictions of streams: `FlattenStreams` makes every character a row, for `Learner.get_preds`."""

from fastai.basics import Callback

__all__ = ["FlattenStreams"]


class FlattenStreams(Callback):
    """Flatten batches of (rows, columns) to (rows · columns) after their loss is computed.

    Batches of streams differ in width, and fastai concatenates only batches of equal width."""

    def after_loss(self):
        self.learn.pred = self.pred.flatten(0, 1)
        self.learn.yb = tuple(y.flatten() for y in self.yb)
        gather = self.learn.gather_preds
        if gather.with_input:
            # fastai stored it before the model read it
            gather.inputs[-1] = tuple(x.flatten() for x in gather.inputs[-1])
