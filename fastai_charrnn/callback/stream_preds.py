"""Collect predictions of streams: `FlattenStreams` makes every character a row, for `Learner.get_preds`."""

from fastai.basics import Callback, GatherPredsCallback, Tensor, nested_reorder, torch

from ..data.streams import CharStreams

__all__ = ["FlattenStreams"]


class FlattenStreams(Callback):
    """Flatten batches of (rows, columns) to (rows · columns) after their loss is computed, and keep the picked ones.

    Batches of streams differ in width, and fastai concatenates only batches of equal width."""

    order = GatherPredsCallback.order + 1

    def __init__(
        self,
        streams: CharStreams,  # the dataset that is read
    ):
        self.streams = streams

    def before_validate(self):
        self.positions = []

    def after_loss(self):
        self.learn.pred = self.pred.flatten(0, 1)
        self.learn.yb = tuple(y.flatten() for y in self.yb)
        if self.loss.dim():
            # `GatherPredsCallback` keeps one loss for each row
            self.learn.loss = self.loss.flatten()
        gather = self.learn.gather_preds
        if gather.with_input:
            # fastai stored it before the model read it
            gather.inputs[-1] = tuple(x.flatten() for x in gather.inputs[-1])

    def after_batch(self):
        "Keep the positions of the batch, and of what `GatherPredsCallback` has just stored the picked rows."
        positions = self.streams.positions_at(self.iter)
        picked = self.streams.picked
        if picked is None:
            self.positions.append(positions)
            return
        kept = torch.isin(positions, picked).nonzero()[:, 0]
        self.positions.append(positions[kept])
        for name in ("inputs", "preds", "targets", "losses"):
            stored = getattr(self.learn.gather_preds, name, None)
            if stored:
                stored[-1] = nested_reorder(stored[-1], kept)

    def order_of_items(self) -> Tensor:  # (n,) int64
        "Return the rows in the order of the text, or in that of the picked positions."
        positions = torch.cat(self.positions)
        order = positions.argsort()
        if self.streams.picked is None:
            return order
        return order[torch.searchsorted(positions[order], self.streams.picked)]
