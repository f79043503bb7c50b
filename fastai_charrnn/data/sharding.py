"""Divide the rows of batches among the processes of a distributed training, and gather what they predict."""

from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from fastai.basics import TfmdDL, apply, to_cpu
from torch import Tensor

from ..errors import DistribError

__all__ = ["shard_indices", "sync_indices", "gather_batch", "from_rank_0"]


def shard_indices(
    idxs: Tensor,  # (m,) rows of whole batches of world·bs, the last maybe smaller
    bs: int,  # rows of a batch on each rank
    rank: int,  # which rank
    world: int,  # of how many
    drop_last: bool = False,  # whether a smaller batch is left out
    own: bool = False,  # whether rows of a smaller batch stay with the rank that had those of the same number before: of streams, whose state goes on
) -> tuple[
    Tensor, list[tuple[int, int]]
]:  # (k,) this rank's rows, batch after batch; and of each batch how many are its own, and how many are everyone's
    "Rows rank·bs to (rank+1)·bs of every batch; of a smaller one as even a part as there is, or those `own`. Where that is none, a row stands in that does not count."
    n = len(idxs) // (bs * world)
    rows = idxs[: n * bs * world].view(n, world, bs)[:, rank].reshape(-1)
    rest = idxs[n * bs * world :]
    counts = [(bs, bs * world)] * n
    if not len(rest) or drop_last:
        return rows, counts
    lo, hi = (
        min(k * bs, len(rest)) if own else -(-len(rest) * k // world) for k in (rank, rank + 1)
    )  # the first ranks have one more
    return torch.cat([rows, rest[lo:hi] if lo < hi else rest[:1]]), [*counts, (hi - lo, len(rest))]


def sync_indices(
    dl: TfmdDL,  # a loader that knows its `part`
    samps: Sequence | Iterator,  # what its `get_idxs` gave
) -> Sequence | Iterator:  # what to use
    "The numbers an epoch runs through, alike on all ranks: ours come of a seed they share; those of a loader with a `get_idxs` of its own, from rank 0."
    if dl.part[1] == 1 or getattr(getattr(dl.get_idxs, "__func__", None), "__module__", "").startswith(
        "fastai_charrnn."
    ):
        return samps
    if not hasattr(samps, "__len__"):
        raise DistribError(
            f"{type(dl).__name__} gives numbers without end, which cannot be divided among {dl.part[1]} processes; train it in one"
        )
    return from_rank_0(samps)


def gather_batch(
    b: object,  # a tensor, or what holds some
    part: tuple[int, int],  # rank and world
    counted: bool = True,  # whether this rank's rows count
    cpu: bool = True,  # whether to bring them to the CPU
) -> object:  # of the same form
    "What the ranks hold of a batch, in the order of one process; single numbers stay each rank's own, and are summed at the end."

    def one(x):
        if not isinstance(x, Tensor):
            return x
        x = x.detach()
        return _rows_of_all(x if counted else x[:0], part[1]) if x.ndim and part[1] > 1 else x

    b = apply(one, b)
    return to_cpu(b) if cpu else b


def _rows_of_all(x, world):
    sizes = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(world)]
    dist.all_gather(sizes, torch.tensor([len(x)], device=x.device))
    ns = [int(o) for o in sizes]
    mine = x.new_zeros(max(ns), *x.shape[1:])
    mine[: len(x)] = x
    parts = [torch.empty_like(mine) for _ in ns]
    dist.all_gather(parts, mine)
    return torch.cat([o[:n] for o, n in zip(parts, ns)])


def from_rank_0(o):
    box = [o]
    dist.broadcast_object_list(box, 0)
    return box[0]
