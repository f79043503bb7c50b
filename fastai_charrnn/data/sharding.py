"""Divide the rows of batches among the processes of a distributed training, and gather their predictions.

A loader takes part through `part`, its rank and the number of ranks: see `WindowDL.shard`.
"""

from collections.abc import Iterator, Sequence

import torch
from fastai.basics import TfmdDL, apply, num_distrib, to_cpu
from fastai.data.load import DataLoader
from torch import Tensor

from ..errors import DistribError
from .collectives import all_gather, broadcast_object

__all__ = ["shard_indices", "sync_indices", "gather_batch", "check_can_shard"]


def shard_indices(
    idxs: Tensor,  # (m,) items of whole batches of world·bs rows; the last batch may be smaller
    bs: int,  # rows of a batch on each rank
    rank: int,  # which rank
    world: int,  # the number of ranks
    drop_last: bool = False,  # whether to leave out a smaller batch
    keep_rows: bool = False,  # whether each row of a smaller batch stays on its rank, as the state of streams needs
) -> tuple[Tensor, list[tuple[int, int]]]:  # (k,) items of this rank; for each batch (rows of this rank, rows of all)
    """Select the rows of one rank: rows rank·bs to (rank+1)·bs - 1 of every full batch.

    A smaller batch is divided evenly, or with `keep_rows` by row number. A rank without a row of it gets one dummy row,
    which counts as 0 rows."""
    n_full = len(idxs) // (bs * world)
    n_divided = n_full * bs * world
    rows = idxs[:n_divided].view(n_full, world, bs)[:, rank].reshape(-1)
    counts = [(bs, bs * world)] * n_full
    remainder = idxs[n_divided:]
    if not len(remainder) or drop_last:
        return rows, counts
    begin, end = (_first_row(len(remainder), bs, r, world, keep_rows) for r in (rank, rank + 1))
    mine = remainder[begin:end] if begin < end else remainder[:1]
    return torch.cat([rows, mine]), [*counts, (end - begin, len(remainder))]


def _first_row(n_rows, bs, rank, world, keep_rows):
    "The first row of a smaller batch that belongs to this rank or a later one."
    if keep_rows:
        return min(rank * bs, n_rows)
    return -(-n_rows * rank // world)  # rounded up, so the first ranks have one row more


def sync_indices(
    dl: TfmdDL,  # a loader with `part`, and `seeded_idxs` if it draws its order from a seed that all ranks share
    idxs: Sequence | Iterator,  # the items of an epoch, as its `get_idxs` returned them
) -> Sequence | Iterator:  # the items to use on this rank
    """Make the items of an epoch equal on all ranks.

    An order from a shared seed (`dl.seeded_idxs`) is equal already. Any other order is taken from rank 0.
    Raises `DistribError` for an iterator without a length."""
    _, world = dl.part
    if world == 1 or idxs is dl.seeded_idxs:
        return idxs
    if not hasattr(idxs, "__len__"):
        raise DistribError(
            f"{type(dl).__name__} yields items without end, which cannot be divided among {world} processes; "
            "train it in one process"
        )
    return broadcast_object(idxs)


def gather_batch(
    b: object,  # a tensor, or a nested structure of tensors
    part: tuple[int, int],  # rank and number of ranks
    counted: bool = True,  # whether the rows of this rank count; False for a dummy row
    cpu: bool = True,  # whether to move the result to the CPU
) -> object:  # the same structure
    """Concatenate the rows of all ranks, in the order of a single process.

    Tensors without dimensions, such as a loss, stay those of this rank; they are summed at the end of the epoch."""
    _, world = part

    def gather(x):
        if not isinstance(x, Tensor):
            return x
        x = x.detach()
        if world == 1 or x.ndim == 0:
            return x
        return _concatenate_ranks(x if counted else x[:0])

    b = apply(gather, b)
    return to_cpu(b) if cpu else b


def _concatenate_ranks(x):
    "The rows of all ranks, whose numbers may differ. `all_gather` needs equal shapes, so rows are padded and cut."
    n_rows = [int(n) for n in all_gather(torch.tensor([len(x)], device=x.device))]
    padded = x.new_zeros(max(n_rows), *x.shape[1:])
    padded[: len(x)] = x
    return torch.cat([part[:n] for part, n in zip(all_gather(padded), n_rows)])


def check_can_shard(
    dl: object,  # a loader, or a list of batches as `get_preds` passes
):
    "Raise `DistribError` for a loader that has no method `shard`. Lists are not divided."
    if isinstance(dl, (DataLoader, torch.utils.data.DataLoader)) and not hasattr(dl, "shard"):
        raise DistribError(
            f"{type(dl).__name__} cannot be divided among {num_distrib()} processes: it has no method "
            "shard(rank, world); use the loaders of CharDataLoaders"
        )
