"""Training in several processes: every rank takes its rows of each batch, and all take the same steps.

    with learn.distrib_ctx(): learn.fit_one_cycle(4, 5e-3)     # torchrun --nproc-per-node 2 train.py

Batch k of two ranks with `bs` rows each is batch k of one process with 2·`bs`: both draw the same order from the same seed, so that
nothing is sent but gradients, in one sum a batch. A last, smaller batch is divided as evenly as it can be, and each rank's loss
counts by its part of the batch. What is reported are sums over all ranks. A loader takes part that has `shard(rank, world)`, the
`counts` of the batch at hand, and `to_detach`: `data.WindowDL` shows how. The model is left as it is: no wrapper.
"""

import atexit
import gc
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from fastai.basics import Callback, apply, find_bs, noop, num_distrib, rank_distrib
from fastai.callback.progress import CSVLogger, ProgressCallback, ShowGraphCallback
from fastai.callback.training import GradientAccumulation
from fastai.data.load import DataLoader
from fastai.metrics import AccumMetric
from torch import Tensor, nn

from ..data.sharding import from_rank_0
from ..errors import CharRnnWarning, DistribError

__all__ = ["distrib_ctx", "to_distributed", "detach_distributed", "ShardedTrainer"]

_timeout = 300.0  # seconds
_lost = re.compile(
    r"gloo|nccl|connection (closed|reset|refused)|timed? ?out|broken pipe|process ?group|dist(network|store|backend)error",
    re.I,
)


class ShardedTrainer(Callback):
    "Divide loaders among ranks, average gradients, sum what is reported. Added by `distrib_ctx`; fastai's `DistributedTrainer` in its place and under its name."

    order, name = 11, "distributed_trainer"  # after mixed precision, before all that report

    def __init__(
        self,
        sync_bn: bool = True,  # on CUDA, whether batch norm takes its statistics from all ranks
    ):
        self.sync_bn = sync_bn
        self.divided = []
        self.kept = []
        self.local = None
        self.sharded = False
        self.state = None
        self.bar = False

    def attach(self):
        "Loaders divided from now on."
        self.old_logger = self.learn.logger
        self._agree()
        for dl in self.learn.dls:
            self._divide(dl)

    def detach(self):
        "Everything as it was."
        for dl in self.divided:
            dl.shard(0, 1)
        self.learn.logger = self.old_logger
        self.divided = []

    def _agree(self):
        "Raise on all ranks if one has other data or another model; then all take rank 0's order of training and its weights."
        dls = list(self.learn.dls)
        weights = self.learn.model.state_dict()
        mine = [[(len(dl.dataset), dl.bs) for dl in dls], {k: tuple(v.shape) for k, v in weights.items()}]
        all_of = [None] * num_distrib()
        dist.all_gather_object(all_of, mine)
        for r, o in enumerate(all_of):
            if o != all_of[0]:
                if o[0] != all_of[0][0]:
                    what = "windows and batch sizes"
                    a = all_of[0][0]
                    b = o[0]
                else:
                    what = "weights"
                    a = all_of[0][1]
                    b = o[1]
                raise DistribError(
                    f"rank {r} has other {what} than rank 0: {b}, not {a}; give every process the same text and arguments"
                )
        for dl, state in zip(dls, from_rank_0([dl.rng.getstate() for dl in dls])):
            dl.rng.setstate(state)
        for v in weights.values():
            dist.broadcast(v, 0)

    def _divide(self, dl):
        self.sharded = hasattr(dl, "shard")
        if self.sharded:
            dl.shard(rank_distrib(), num_distrib())
            self.divided.append(dl)
        elif isinstance(dl, (DataLoader, torch.utils.data.DataLoader)):
            raise DistribError(
                f"{type(dl).__name__} cannot be divided among {num_distrib()} processes, for it has no shard(rank, world); use loaders made by CharDataLoaders"
            )

    def before_fit(self):
        if self.sync_bn and self.learn.dls.device.type == "cuda":
            self.learn.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        self._agree()
        if not rank_distrib():
            return
        self.learn.logger = noop
        for cb in self.learn.cbs:  # rank 0 alone writes
            if isinstance(cb, (CSVLogger, ShowGraphCallback)):
                cb.run = False
        if hasattr(self.learn, "lr_finder"):
            self.state = _copied(self.model.state_dict()), _copied(self.opt.state_dict())  # rank 0's go through a file

    def before_train(self):
        self._divide(self.learn.dl)

    def before_validate(self):
        self._divide(self.learn.dl)

    def after_loss(self):
        "Count this rank's loss by its part of the batch, so that the sum over ranks is that of one process."
        if not self.training or not self.sharded:
            return
        (mine, whole), world = self.dl.counts, num_distrib()
        weight = float(mine > 0) if getattr(self.learn.loss_func, "reduction", "mean") == "sum" else mine / whole
        self.local = self.learn.loss.detach() * weight
        accumulating = self.learn._grab_cbs(GradientAccumulation)
        if accumulating:
            weight = (mine > 0) / world  # which has multiplied by this rank's rows already
        self.learn.loss_grad = self.loss_grad * (
            weight * world
        )  # gradients are averaged, so that those added up before stay what they are
        for cb in accumulating:
            cb.count += whole / world - find_bs(self.learn.yb)  # all ranks step at the same batch

    def after_backward(self):
        "Gradients of the whole batch, and its loss, by one sum over all ranks."
        if self.local is None:
            return
        with torch.no_grad():
            grads = [p.grad for p in self.model.parameters() if p.grad is not None]  # the same on all ranks
            flat = torch.cat([*(g.reshape(-1) for g in grads), self.local.reshape(1)])
            dist.all_reduce(flat)
            flat[:-1] /= num_distrib()
            for g, new in zip(grads, flat.split([*(g.numel() for g in grads), 1])):
                g.copy_(new.view_as(g))
            self.learn.loss = flat[-1].to(self.local.dtype)
            self.local = None

    def _whole_loss(self):
        "Of a batch whose gradients are left to a later one."
        if self.local is None:
            return
        dist.all_reduce(self.local)
        self.learn.loss = self.local
        self.local = None

    def after_cancel_batch(self):
        self._whole_loss()

    def after_batch(self):
        self._whole_loss()
        if (
            self.sharded and not self.dl.counts[0]
        ):  # what metrics make of the row that does not count is forgotten again
            self.kept = [
                (m, {k: v.clone() if isinstance(v := getattr(m, k), Tensor) else v for k in ("total", "count")})
                for m in self._metrics()
                if _counted(m)
            ]

    def after_train(self):
        self._add_up()

    def after_validate(self):
        self._add_up()

    def after_fit(self):
        if self.state is None:
            return
        self.model.load_state_dict(self.state[0])
        self.opt.load_state_dict(self.state[1])
        self.state = None
        dist.barrier()  # that of rank 0's `learn.load`

    def _metrics(self):
        rec = getattr(self.learn, "recorder", None)
        return [] if rec is None else list(rec._train_mets[1:] if self.training else rec._valid_mets)

    def _add_up(self):
        "Totals and counts over all ranks, before fastai's `Recorder` takes their quotients."
        for m, was in self.kept:
            vars(m).update(was)
        self.kept = []
        if not self.sharded:
            return
        mets = [m for m in self._metrics() if _counted(m)]
        if odd := [m.name for m in self._metrics() if m not in mets and not isinstance(m, AccumMetric)]:
            warnings.warn(
                f"{', '.join(odd)}: a metric without total and count is that of rank 0's part alone",
                CharRnnWarning,
                stacklevel=2,
            )
        sums = torch.tensor(
            [float(v) for m in mets for v in (m.total, m.count)], dtype=torch.float64, device=self.learn.dls.device
        )
        dist.all_reduce(sums)
        for m, (total, count) in zip(mets, sums.view(-1, 2).tolist()):
            m.total = total
            m.count = int(count) if isinstance(m.count, int) else count


def _counted(m):
    return hasattr(m, "total") and hasattr(m, "count")


def _copied(o):
    return apply(lambda x: x.clone() if isinstance(x, Tensor) else x, o)


def to_distributed(
    self,
    sync_bn: bool = True,  # on CUDA, whether batch norm takes its statistics from all ranks
    timeout: float | None = None,  # seconds a rank waits for the others; None: CHARRNN_TIMEOUT, else 300
):
    "Join the other processes and train with them from now on, until `detach_distributed`. Raises `DistribError`."
    if num_distrib() <= 1 or hasattr(self, ShardedTrainer.name):
        return self
    _join(self, _seconds(timeout))
    self.add_cb(cb := ShardedTrainer(sync_bn))
    cb.bar = rank_distrib() > 0 and hasattr(self, "progress")
    if cb.bar:
        self.remove_cb(ProgressCallback)
    cb.attach()
    return self


def detach_distributed(self):
    "Train alone again."
    cb = getattr(self, ShardedTrainer.name, None)
    if cb is None:
        return self
    cb.detach()
    self.remove_cb(cb)
    if cb.bar and not hasattr(self, "progress"):
        self.add_cb(ProgressCallback())
    return self


@contextmanager
def distrib_ctx(
    self,
    sync_bn: bool = True,  # on CUDA, whether batch norm takes its statistics from all ranks
    in_notebook: bool = False,  # whether a notebook launched the processes: then they part at the end
    timeout: float | None = None,  # seconds a rank waits for the others; None: CHARRNN_TIMEOUT, else 300
) -> Iterator:
    """Train with the processes that torchrun, or accelerate launch, has started; in a plain process, as ever.

    As fastai's, on CUDA (nccl) and on CPUs (gloo), without accelerate. `bs` is each rank's. Rank 0 alone prints and writes. Raises `DistribError`
    where ranks do not fit each other, and when one is lost: at once where its connections close, else after `timeout`."""
    seconds, joined = _seconds(timeout), not dist.is_initialized()
    try:
        with _named(seconds):
            if in_notebook and not rank_distrib():
                print("Training Learner...")
            self.to_distributed(sync_bn, seconds)
            yield self
    finally:
        self.detach_distributed()
        if in_notebook and joined:
            _leave()


def _seconds(timeout):
    said = os.environ.get("CHARRNN_TIMEOUT", _timeout) if timeout is None else timeout
    try:
        seconds = float(said)
    except (TypeError, ValueError):
        seconds = 0
    if not 0 < seconds < 1e6:
        raise DistribError(
            f"timeout={said!r} is not a number of seconds above 0; pass distrib_ctx(timeout=60), or set CHARRNN_TIMEOUT=60"
        )
    return seconds


def _join(learn, seconds):
    "Form the group, on a GPU of this process's own where the data live on one."
    if learn.dls.device.type == "cuda":
        here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        gpus = torch.cuda.device_count()
        if here > gpus and not dist.is_initialized():
            raise DistribError(
                f"{here} processes were started here, where there is a GPU for {gpus}: "
                f'start so many (--nproc-per-node {gpus}), or leave the data on the CPU (device="cpu")'
            )
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", rank_distrib())) % gpus)
        torch.cuda.set_device(device)
        learn.dls.to(device)
        learn.model.to(device)
    if dist.is_initialized():
        return
    dist.init_process_group("nccl" if learn.dls.device.type == "cuda" else "gloo", timeout=timedelta(seconds=seconds))
    atexit.register(_leave)


def _leave():
    "While Python still runs: the group's threads may hold tensors, which they cannot give back later. (`DistributedDataParallel` would keep them alive.)"
    gc.collect()
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def _named(seconds):
    "What PyTorch says of a rank that is gone, for people."
    try:
        yield
    except RuntimeError as e:
        if not _lost.search(f"{type(e).__name__} {e}"):
            raise
        # fastai's line names the callback
        line = next(
            (o.strip() for o in str(e).splitlines() if o.strip() and not o.startswith("Exception occured in")),
            type(e).__name__,
        )
        # without the place in PyTorch's source
        said = re.sub(r"^\[\S*\]\s*", "", line).split(". ")[0][:200]
        raise DistribError(
            f"rank {rank_distrib()} of {num_distrib()} lost contact with another ({said}): "
            "that process ended, hangs or cannot be reached. Its own error, if it had one, "
            "is the cause; mend that and start all again. "
            f"Where a rank is rightly busy for longer than timeout={seconds:g} seconds, "
            "pass distrib_ctx(timeout=…) or set CHARRNN_TIMEOUT"
        ) from e
