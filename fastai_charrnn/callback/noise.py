"""Random numbers of a fit: with a seed, dropout draws the same numbers in every run, whatever module draws them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from fastai.basics import Learner, rank_distrib

__all__ = ["seeded_noise", "noise_seed"]

# the first seeds of two fits differ by this much
_fit_stride = 1_000_003


@contextmanager
def seeded_noise(
    learn: Learner,  # a `CharLearner` with `seed` and `n_fits`
) -> Iterator[None]:
    """Draw from random numbers that depend on the learner's seed, the number of the fit and the rank.

    PyTorch's global generators are seeded within the block, so your own modules, cuDNN and compiled models draw from
    them too. At the end they are as they were before. Without a seed nothing changes. Counts the fit in `n_fits`."""
    number = learn.n_fits
    learn.n_fits += 1
    if learn.seed is None:
        yield
        return
    on_gpu = getattr(learn.dls.device, "type", "cpu") == "cuda"
    gpus = list(range(torch.cuda.device_count())) if on_gpu else []
    seed = noise_seed(learn.seed, number, rank_distrib())
    with torch.random.fork_rng(gpus):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            torch.cuda.manual_seed_all(seed)
        yield


def noise_seed(
    seed: int,  # of the learner
    number: int,  # fits of the learner before this one
    rank: int = 0,  # of the process in a distributed training
) -> int:  # from 0 to 2**32-1
    "Return the seed of one fit on one rank."
    return (int(seed) + rank + _fit_stride * number) % 2**32
