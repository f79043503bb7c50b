"""Distributed training: `learn.distrib_ctx` trains with the processes that torchrun has started.

    with learn.distrib_ctx():     # in a script that torchrun --nproc-per-node 2 starts
        learn.fit_one_cycle(4, 5e-3)

The callback in `callback.sharded_trainer` divides the batches; `callback.process_group` joins the processes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist
from fastai.basics import Learner, num_distrib, rank_distrib
from fastai.callback.progress import ProgressCallback

from .process_group import explaining_lost_ranks, join, leave, timeout_seconds
from .sharded_trainer import ShardedTrainer

__all__ = ["distrib_ctx", "to_distributed", "detach_distributed", "ShardedTrainer"]


def to_distributed(
    self,
    sync_bn: bool = True,  # on CUDA, whether batch norm uses the statistics of all ranks
    timeout: float | None = None,  # seconds a rank waits for the others; None: CHARRNN_TIMEOUT, else 300
):
    "Join the other processes and train with them until `detach_distributed`. Raises `DistribError`."
    if num_distrib() <= 1 or _trainer(self):
        return self
    join(self, timeout_seconds(timeout))
    trainer = ShardedTrainer(sync_bn)
    self.add_cb(trainer)
    trainer.removed_progress = rank_distrib() > 0 and hasattr(self, "progress")
    if trainer.removed_progress:
        self.remove_cb(ProgressCallback)
    trainer.attach()
    return self


def detach_distributed(self):
    "Train without the other processes again."
    trainer = _trainer(self)
    if trainer is None:
        return self
    trainer.detach()
    self.remove_cb(trainer)
    if trainer.removed_progress and not hasattr(self, "progress"):
        self.add_cb(ProgressCallback())
    return self


@contextmanager
def distrib_ctx(
    self,
    sync_bn: bool = True,  # on CUDA, whether batch norm uses the statistics of all ranks
    in_notebook: bool = False,  # whether a notebook launched the processes: then they leave the group at the end
    timeout: float | None = None,  # seconds a rank waits for the others; None: CHARRNN_TIMEOUT, else 300
) -> Iterator[Learner]:
    """Train with the processes that torchrun or accelerate launch has started. In a single process it changes nothing.

    Works as fastai's `distrib_ctx`, on CUDA (nccl) and on CPUs (gloo), without accelerate. `bs` is the number of rows
    on each rank. Only rank 0 prints and writes files. Raises `DistribError` if the ranks have different data or models,
    and if a rank is lost: at once if its connections close, else after `timeout` seconds."""
    seconds = timeout_seconds(timeout)
    joins_here = not dist.is_initialized()
    try:
        with explaining_lost_ranks(seconds):
            if in_notebook and not rank_distrib():
                print("Training Learner...")
            self.to_distributed(sync_bn, seconds)
            yield self
    finally:
        self.detach_distributed()
        if in_notebook and joins_here:
            leave()


def _trainer(learn):
    return getattr(learn, ShardedTrainer.name, None)
