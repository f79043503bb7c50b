"""The parts of fastai's training loop that can begin in the middle: `ResumableFit`, a base class of `CharLearner`."""

from fastai.basics import CancelEpochException, L

from ..state.loaders import batches_from
from .saved_fit import SavedFit

__all__ = ["ResumableFit"]


class ResumableFit:
    "Continues a fit at the position of `resuming`, after the events `before_fit`, `before_epoch` and `before_train`."

    fits: list[dict] = []  # a record of each fit; `lr_find` does not count
    saved_fit: SavedFit | None = None  # what `resume` has read, until its training continues
    resuming: SavedFit | None = None  # the checkpoint of a fit that is about to continue
    in_saved_epoch: bool = False  # from the end of `resume` until an epoch with batches has ended
    restored_iter: int = 0  # batches that the fit had trained when its state was restored
    found_rates: list[dict] = []  # what `lr_find` has suggested
    random_before: dict = {}  # PyTorch's random states before the fit

    def _do_fit(self):
        first = 0 if self.resuming is None else self._begin_in_the_middle()
        for epoch in range(first, self.n_epoch):
            self.epoch = epoch
            self._with_events(self._do_epoch, "epoch", CancelEpochException)
            # an epoch that was resumed after its last batch has not used the optimizer
            self.in_saved_epoch &= self.train_iter == self.restored_iter

    def _begin_in_the_middle(self):
        "Show what was shown before the checkpoint, and return the epoch that continues."
        if mbar := getattr(getattr(self, "progress", None), "mbar", None):
            # fastprogress starts its clock at 0
            mbar.update(0)
        # the table and the files of loggers get the rows of the epochs before
        for row in self.resuming.progress()["rows"]:
            self.logger(L(row))
        position = self.resuming.position
        if position.stage == "between epochs":
            self._restore()
        return position.epoch

    def _do_epoch_train(self):
        if self.resuming is not None and self.resuming.position.stage == "before validation":
            self._restore()
        else:
            super()._do_epoch_train()

    def all_batches(self):
        if self.resuming is None or not self.training:
            super().all_batches()
            return
        self.n_iter = len(self.dl)
        for i, batch in self._remaining_batches():
            self.one_batch(i, batch)

    def _do_one_batch(self):
        graph = vars(self).get("cuda_graph")
        # a `CudaGraph` does whole steps, if it can
        if graph is None or not graph.did_step():
            super()._do_one_batch()

    def _remaining_batches(self):
        "Yield the numbers and batches of a pass that was interrupted. The state is restored after the pass has begun."
        n_done = self.resuming.position.batch
        batches = batches_from(self.dl, self.resuming.progress()["epoch_start"], n_done)
        # beginning a pass draws random numbers
        first = next(batches, None)
        self._restore()
        if first is not None:
            yield n_done, first
            yield from enumerate(batches, n_done + 1)

    def _restore(self):
        saved, self.resuming = self.resuming, None
        saved.restore(self)
        self.restored_iter = self.train_iter
