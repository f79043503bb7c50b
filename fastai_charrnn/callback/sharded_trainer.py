"""`ShardedTrainer`, the callback that makes several processes train as one.

Batch k of two ranks with `bs` rows each equals batch k of one process with 2·`bs` rows, because all ranks draw the
same order from the same seed. Each batch needs one collective operation: the sum of the gradients and the loss.
A loader must have `shard(rank, world)`, `to_detach` and the `counts` of its current batch, as `data.loaders.WindowDL`.
"""

import warnings

import torch
from fastai.basics import Callback, apply, find_bs, noop, num_distrib, rank_distrib
from fastai.callback.progress import CSVLogger, ShowGraphCallback
from fastai.callback.training import GradientAccumulation
from fastai.metrics import AccumMetric
from torch import Tensor, nn

from ..data.collectives import all_gather_object, all_reduce_, barrier, broadcast_, broadcast_object
from ..data.sharding import check_can_shard
from ..errors import CharRnnWarning, DistribError
from .trackers import let_trackers_print, silence_trackers

__all__ = ["ShardedTrainer"]


# fastai's `DistributedTrainer` repeats rows until every rank has equally many, which changes losses and metrics, splits
# each epoch into one long stretch a rank, which breaks streams, and needs accelerate.
class ShardedTrainer(Callback):
    """Shard the loaders, average the gradients, and sum losses and metrics over all ranks.

    `distrib_ctx` adds it under the name of fastai's `DistributedTrainer`. It wraps neither model nor loaders."""

    order = 11  # after mixed precision, before all callbacks that report
    name = "distributed_trainer"

    def __init__(
        self,
        sync_bn: bool = True,  # on CUDA, whether batch norm uses the statistics of all ranks
    ):
        self.sync_bn = sync_bn
        self.sharded_dls = []
        self.sharded = False  # whether the current loader is
        self.local_loss = None  # this rank's part of the loss of the current batch, until it is summed
        self.before_dummy = []  # metrics before the row that does not count
        self.before_lr_find = None
        self.removed_progress = False

    def attach(self):
        "Shard the loaders of the learner. Raises `DistribError` if the ranks do not fit each other."
        self.old_logger = self.learn.logger
        for dl in self.learn.dls:
            check_can_shard(dl)
        self._synchronize()
        for dl in self.learn.dls:
            self._shard(dl)

    def detach(self):
        "Undo `attach`."
        for dl in self.sharded_dls:
            dl.shard(0, 1)
        self.sharded_dls = []
        self.learn.logger = self.old_logger

    def _synchronize(self):
        "Check that all ranks have equal data and models, then take rank 0's order of training and its weights."
        dls = list(self.learn.dls)
        weights = self.learn.model.state_dict()
        _check_equal("windows and batch sizes", [(len(dl.dataset), dl.bs) for dl in dls])
        _check_equal("weights", {name: tuple(w.shape) for name, w in weights.items()})
        states = broadcast_object([dl.rng.getstate() for dl in dls])
        for dl, state in zip(dls, states):
            dl.rng.setstate(state)
        for w in weights.values():
            broadcast_(w)

    def _shard(self, dl):
        self.sharded = hasattr(dl, "shard")
        if self.sharded:
            dl.shard(rank_distrib(), num_distrib())
            self.sharded_dls.append(dl)
        else:
            check_can_shard(dl)

    def before_fit(self):
        if self.sync_bn and self.learn.dls.device.type == "cuda":
            self.learn.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        self._synchronize()
        if rank_distrib():
            self._silence()
            if hasattr(self.learn, "lr_finder"):
                # rank 0 restores its own from a file
                self.before_lr_find = _copied(self.model.state_dict()), _copied(self.opt.state_dict())

    def _silence(self):
        "Only rank 0 prints and writes. Trackers run on all ranks, because they decide about training."
        self.learn.logger = noop
        for cb in self.learn.cbs:
            if isinstance(cb, (CSVLogger, ShowGraphCallback)):
                cb.run = False
        silence_trackers(self.learn)

    def before_train(self):
        self._shard(self.learn.dl)

    def before_validate(self):
        self._shard(self.learn.dl)

    def _weight(self) -> float:
        """The weight of this rank's loss in that of the whole batch, which is Σ_r weight_r · loss_r.

        It is rows_r / rows for a loss that is a mean over rows. For a sum it is 1, or 0 on a rank without rows."""
        own_rows, rows = self.dl.counts
        if getattr(self.learn.loss_func, "reduction", "mean") == "sum":
            return float(own_rows > 0)
        return own_rows / rows

    def _scale_for_accumulation(self, callbacks) -> float:
        """The factor of `loss_grad` when gradients are accumulated.

        `GradientAccumulation` has multiplied it by rows_r / n_acc, so (1 / world) · Σ_r rows_r · loss_r / n_acc is
        left to compute: the factor is 1, or 0 on a rank without rows. Its count of rows becomes the mean over ranks, so
        all ranks step at the same batch."""
        own_rows, rows = self.dl.counts
        for cb in callbacks:
            # the callback itself adds the batch size of this rank
            cb.count += rows / num_distrib() - find_bs(self.learn.yb)
        return float(own_rows > 0)

    def after_loss(self):
        """Scale this rank's loss so that the mean of the gradients over ranks is the gradient of the whole batch.

        Without accumulation: loss_grad_r = world · weight_r · loss_r. A mean, and not a sum, leaves gradients
        that were added up before as they are."""
        if not self.training or not self.sharded:
            return
        weight = self._weight()
        self.local_loss = self.learn.loss.detach() * weight
        accumulation = self.learn._grab_cbs(GradientAccumulation)
        scale = self._scale_for_accumulation(accumulation) if accumulation else weight * num_distrib()
        self.learn.loss_grad = self.loss_grad * scale

    def after_backward(self):
        "Average the gradients and sum the loss, in one collective operation."
        if self.local_loss is None:
            return
        with torch.no_grad():
            # the same parameters on all ranks
            grads = [p.grad for p in self.model.parameters() if p.grad is not None]
            flat = torch.cat([*(g.reshape(-1) for g in grads), self.local_loss.reshape(1)])
            all_reduce_(flat)
            flat[:-1] /= num_distrib()
            *means, loss = flat.split([*(g.numel() for g in grads), 1])
            for g, mean in zip(grads, means):
                g.copy_(mean.view_as(g))
            self.learn.loss = loss[0].to(self.local_loss.dtype)
            self.local_loss = None

    def _sum_loss(self):
        "Sum the loss of a batch that has no `after_backward`."
        if self.local_loss is not None:
            self.learn.loss = all_reduce_(self.local_loss)
            self.local_loss = None

    def after_cancel_batch(self):
        self._sum_loss()

    def after_batch(self):
        self._sum_loss()
        if self.sharded and not self.dl.counts[0]:
            # `Recorder` adds the dummy row next, and `_sum_metrics` takes it back
            self.before_dummy = [(m, _totals(m)) for m in self._metrics() if _is_average(m)]

    def after_train(self):
        self._sum_metrics()

    def after_validate(self):
        self._sum_metrics()

    def after_fit(self):
        let_trackers_print(self.learn)
        if self.before_lr_find is None:
            return
        weights, opt_state = self.before_lr_find
        self.model.load_state_dict(weights)
        self.opt.load_state_dict(opt_state)
        self.before_lr_find = None
        # rank 0 waits twice in `load`
        barrier()
        barrier()

    def after_error(self):
        let_trackers_print(self.learn)

    def _metrics(self):
        recorder = getattr(self.learn, "recorder", None)
        if recorder is None:
            return []
        return list(recorder._train_mets[1:] if self.training else recorder._valid_mets)

    def _sum_metrics(self):
        "Sum totals and counts over all ranks, before `Recorder` divides them."
        for metric, totals in self.before_dummy:
            vars(metric).update(totals)
        self.before_dummy = []
        if self.sharded:
            _warn_of_local_metrics(self._metrics())
            _sum_averages([m for m in self._metrics() if _is_average(m)], self.learn.dls.device)


def _check_equal(what, mine):
    "Raise `DistribError` on all ranks if one has another value than rank 0."
    first, *others = all_gather_object(mine)
    for rank, other in enumerate(others, 1):
        if other != first:
            raise DistribError(
                f"rank {rank} has other {what} than rank 0: {other}, not {first}; "
                "give every process the same text and arguments"
            )


def _copied(o):
    return apply(lambda x: x.clone() if isinstance(x, Tensor) else x, o)


def _is_average(metric):
    return hasattr(metric, "total") and hasattr(metric, "count")


def _totals(metric):
    "A copy of what a metric has added up."
    return _copied({"total": metric.total, "count": metric.count})


def _warn_of_local_metrics(metrics):
    "`AccumMetric` gathers predictions itself; what other metrics do is not known."
    local = [m.name for m in metrics if not _is_average(m) and not isinstance(m, AccumMetric)]
    if local:
        warnings.warn(
            f"{', '.join(local)}: a metric without total and count is computed on rank 0's rows only",
            CharRnnWarning,
            stacklevel=3,
        )


def _sum_averages(metrics, device):
    "Sum the totals and counts of metrics over all ranks, in one collective operation."
    mine = [[float(m.total), float(m.count)] for m in metrics]
    sums = all_reduce_(torch.tensor(mine, dtype=torch.float64, device=device))
    for metric, (total, count) in zip(metrics, sums.tolist()):
        metric.total = total
        metric.count = int(count) if isinstance(metric.count, int) else count
