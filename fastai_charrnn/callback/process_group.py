"""The process group of a distributed training: join it, leave it, and report a lost rank.

`callback.distributed` uses these functions. The processes themselves are started by torchrun or accelerate launch.
"""

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from fastai.basics import Learner, num_distrib, rank_distrib

from ..data.collectives import LostRankError
from ..errors import DistribError

default_timeout = 300.0  # seconds


def timeout_seconds(
    timeout: float | None,  # seconds; None: CHARRNN_TIMEOUT, else `default_timeout`
) -> float:
    "How many seconds a rank waits for the others. Raises `DistribError` for a value that is no number above 0."
    value = os.environ.get("CHARRNN_TIMEOUT", default_timeout) if timeout is None else timeout
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0
    if not 0 < seconds < 1e6:
        raise DistribError(
            f"timeout must be a number of seconds above 0, got {value!r}; "
            "pass distrib_ctx(timeout=60) or set CHARRNN_TIMEOUT=60"
        )
    return seconds


def join(
    learn: Learner,  # its device decides: nccl on CUDA, else gloo
    seconds: float,  # how long to wait for the other processes
):
    "Join the process group, unless this process is in one already. On CUDA, move `learn` to this process's own GPU."
    on_cuda = learn.dls.device.type == "cuda"
    if on_cuda:
        _use_own_gpu(learn)
    if dist.is_initialized():
        return
    dist.init_process_group("nccl" if on_cuda else "gloo", timeout=timedelta(seconds=seconds))
    atexit.register(leave)


def _use_own_gpu(learn):
    n_processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    n_gpus = torch.cuda.device_count()
    if n_processes > n_gpus and not dist.is_initialized():
        raise DistribError(
            f"nccl needs one GPU per process, and this host has {n_processes} processes and {n_gpus} GPUs; "
            f'start fewer processes (--nproc-per-node {n_gpus}), or train on the CPU (device="cpu")'
        )
    local_rank = int(os.environ.get("LOCAL_RANK", rank_distrib()))
    device = torch.device("cuda", local_rank % n_gpus)
    torch.cuda.set_device(device)
    learn.dls.to(device)
    learn.model.to(device)


def leave():
    "Leave the process group. At exit this must run before Python ends: the group's threads may hold tensors."
    # unreachable tensors first: after the group is gone they cannot be freed
    gc.collect()
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def explaining_lost_ranks(
    seconds: float,  # the timeout of the group
) -> Iterator[None]:
    """Turn the loss of another rank into a `DistribError` that says what to do.

    PyTorch raises a `DistError` for its store, its network and nccl. For gloo see `data.collectives`."""
    try:
        yield
    except (LostRankError, dist.DistError) as e:
        raise DistribError(
            f"rank {rank_distrib()} of {num_distrib()} lost contact with another rank ({_first_line(e)}): "
            "that process ended, hangs or cannot be reached. Its own error, if it has printed one, is the cause. "
            "Fix the failing rank and restart all processes. If a rank is only slow, and needs longer than "
            f"timeout={seconds:g} seconds, pass distrib_ctx(timeout=…) or set CHARRNN_TIMEOUT"
        ) from e


def _first_line(error):
    "What PyTorch reports. fastai changes the message of an error that passes through a callback, but not of its cause."
    message = str(error.__cause__ or error)
    return message.strip().partition("\n")[0]
