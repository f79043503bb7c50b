"""Collective operations: what all processes of a distributed training call together, in the same order.

If one process ends or hangs, the operation fails in all others. Gloo then raises a plain `RuntimeError` and nccl a
`DistBackendError`. The functions here raise `LostRankError` instead, so nobody has to read PyTorch's messages.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import DistribError


class LostRankError(DistribError):
    "Another process has ended, hangs or cannot be reached. `__cause__` is PyTorch's own error."


@contextmanager
def _raising_lost_rank() -> Iterator[None]:
    "Turn a `RuntimeError` of one collective operation into a `LostRankError`."
    try:
        yield
    except RuntimeError as e:
        raise LostRankError(f"contact with another rank was lost: {e}") from e


def all_reduce_(
    x: Tensor,  # of one shape and dtype on all ranks
) -> Tensor:  # `x`
    "Replace `x` by its sum over all ranks."
    with _raising_lost_rank():
        dist.all_reduce(x)
    return x


def broadcast_(
    x: Tensor,  # of one shape and dtype on all ranks
) -> Tensor:  # `x`
    "Replace `x` by rank 0's."
    with _raising_lost_rank():
        dist.broadcast(x, 0)
    return x


def broadcast_object(
    o: object,  # anything that pickles; only rank 0's is used
) -> object:  # rank 0's
    "Return rank 0's object on every rank."
    box = [o]
    with _raising_lost_rank():
        dist.broadcast_object_list(box, 0)
    return box[0]


def all_gather(
    x: Tensor,  # of one shape and dtype on all ranks
) -> list[Tensor]:  # by rank
    "Return the tensors of all ranks."
    parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    with _raising_lost_rank():
        dist.all_gather(parts, x)
    return parts


def all_gather_object(
    o: object,  # anything that pickles
) -> list:  # by rank
    "Return the objects of all ranks."
    objects = [None] * dist.get_world_size()
    with _raising_lost_rank():
        dist.all_gather_object(objects, o)
    return objects


def barrier():
    "Wait until every rank has reached this call."
    with _raising_lost_rank():
        dist.barrier()
