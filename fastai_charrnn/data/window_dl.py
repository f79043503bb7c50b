"""The fastai `DataLoader` of this package: `WindowDL` takes whole minibatches from `CharWindows` and `CharStreams`.

It also divides batches among the processes of a distributed training: `shard`.
"""

import random
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from fastai.basics import TfmdDL, chunked, to_cpu
from torch import Tensor

from .._checks import MAX_COUNT, check_count
from .chunks import CharChunks
from .permutation import MANY, Shuffle
from .sharding import gather_batch, shard_indices, sync_indices
from .show import TensorChars
from .streams import CharStreams
from .windows import CharPrompts, CharWindows

__all__ = ["WindowDL"]


class WindowDL(TfmdDL):
    """A fastai `DataLoader` that takes whole batches from a `CharWindows`, `CharStreams` or `CharPrompts` dataset.

    Indices stay tensors and there are no worker processes, because the text is in memory. `after_batch` transforms
    apply. There are no single items, so `after_item` and `before_batch` transforms do not."""

    part = (0, 1)  # rank and number of ranks
    counts = (0, 0)  # rows of the current batch: on this rank, and on all ranks
    seeded_idxs = None  # the last order that `get_idxs` drew from the seed, which all ranks share
    n_done = 0  # batches of the current pass that were returned, or passed over by `load_state_dict`
    next_start = 0  # batches that the next pass leaves out
    pass_rng = None  # state of the generator at the start of the current pass; None before and after it

    def __init__(self, dataset=None, bs: int = 64, shuffle: bool = False, num_workers: int = 0, **kwargs):
        bs = check_count("bs", bs)
        if isinstance(dataset, CharStreams):
            shuffle = False  # streams keep the order of the text
            if dataset.bs != bs:
                dataset = dataset.with_bs(bs)
        super().__init__(dataset, bs=bs, shuffle=shuffle, num_workers=0, **kwargs)
        if self.device is not None:
            self.dataset.to(self.device)

    def seed(self, s: int) -> "WindowDL":
        "Fix the order of this and all later epochs."
        self.rng = random.Random(s)
        return self

    def state_dict(self) -> dict:
        "Return where the loader is: the generator's state at the start of the pass, and the batches returned since."
        if self.pass_rng is None:
            return {"rng": self.rng.getstate(), "n_done": self.next_start}
        return {"rng": self.pass_rng, "n_done": self.n_done}

    def load_state_dict(self, state: dict):
        "Begin the next pass where `state` was. The batches before are not gathered."
        self.rng.setstate(state["rng"])
        self.next_start = state["n_done"]
        self.pass_rng = None

    def randomize(self):
        "Begin a pass, as fastai does, and note its start for `state_dict`."
        self.pass_rng = self.rng.getstate()
        self.n_done = self.next_start
        super().randomize()

    def after_iter(self):
        "End a pass."
        self.pass_rng = None

    def shard(self, rank: int, world: int) -> "WindowDL":
        """From now on return only the rows of one rank, of batches of world·bs rows. `shard(0, 1)` undoes it.

        The random state does not change, so training continues in the order it would have had."""
        self.part = rank, world
        if isinstance(self.dataset, CharStreams):
            self.dataset = self.dataset.with_bs(self.bs * world)
            self.n = len(self.dataset)
        return self

    def to_detach(self, b, cpu: bool = True, gather: bool = True):
        "Return the part of a batch that metrics keep, from all ranks."
        part = self.part if gather else (0, 1)
        return gather_batch(b, part, counted=self.counts[0] > 0, cpu=cpu)

    def _global_bs(self):
        "Rows of a batch on all ranks."
        _, world = self.part
        return self.bs * world

    def __len__(self):
        sizes = self.dataset.group_sizes if isinstance(self.dataset, CharChunks) else [self.n]
        return sum(map(self._n_batches, sizes))

    def _n_batches(self, n):
        "The number of batches of n items."
        n_full, n_left = divmod(n, self._global_bs())
        return n_full + (n_left > 0 and not self.drop_last)

    def get_idxs(self) -> Tensor | Shuffle | range:
        "Return the order of an epoch. For more than 2**20 windows it is computed on demand, without a list."
        if isinstance(self.dataset, CharStreams):
            self.dataset.begin_epoch(self.rng)
        self.seeded_idxs = self._draw_idxs()
        return self.seeded_idxs

    def _draw_idxs(self):
        if self.n > MANY:
            return Shuffle(self.n, self.rng.getrandbits(63)) if self.shuffle else range(self.n)
        idxs = torch.arange(self.n)
        return self.shuffle_fn(idxs) if self.shuffle else idxs

    def shuffle_fn(self, idxs):
        "Return the indices in random order."
        generator = torch.Generator().manual_seed(self.rng.getrandbits(63))
        return idxs[torch.randperm(len(idxs), generator=generator)]

    def sample(self):
        "Return what `get_idxs` returned for this epoch, whichever class defines it."
        # fastai keeps it only under this private name, and its own `sample` turns it into single numbers,
        # which takes 1.5 s instead of 1.5 ms an epoch of 540,000 windows
        return self._DataLoader__idxs

    def create_batches(self, samps):
        "Yield the batches of these items: the order of an epoch, or any iterable, which may be endless."
        is_streams = isinstance(self.dataset, CharStreams)
        idxs = sync_indices(self, samps)
        groups = self.dataset.by_width(idxs) if isinstance(self.dataset, CharChunks) else [idxs]
        for block in self._blocks(groups):
            rows, counts = shard_indices(block, self.bs, *self.part, self.drop_last, keep_rows=is_streams)
            rows = rows.to(self.dataset.index_device, non_blocking=True)
            for batch, batch_counts in zip(self.dataset.batches(rows, self.bs), counts):
                self.counts = batch_counts
                self.n_done += 1
                yield batch

    def _blocks(self, groups) -> Iterator[Tensor]:
        """Yield the items of several whole batches at a time, without the batches that `load_state_dict` passes over.

        The first block is one batch, so it comes soon. Blocks grow eightfold up to the dataset's `block_size`."""
        bs = self._global_bs()
        self.n_done = n_left_out = self.next_start
        self.next_start = 0
        for idxs in groups:
            if not hasattr(idxs, "__len__"):
                yield from (torch.as_tensor(block) for block in chunked(islice(idxs, n_left_out * bs, None), bs))
                return
            n = min(n_left_out, len(idxs) // bs if self.drop_last else -(-len(idxs) // bs))
            n_left_out -= n
            yield from self._growing_blocks(idxs, n * bs)

    def _growing_blocks(self, idxs, begin):
        bs = self._global_bs()
        max_size = max(self.dataset.block_size // bs, 1) * bs
        size = bs
        while begin < len(idxs):
            block = idxs[begin : begin + size]
            yield block if isinstance(block, Tensor) else torch.as_tensor(np.asarray(block))
            begin += size
            size = min(8 * size, max_size)

    def _one_pass(self):
        # fastai reads a first item to find this out, and there are no items
        self._n_inp = 1
        self._types = None

    def new(self, dataset=None, cls=None, **kwargs):
        "Return a copy with other arguments. `dataset` may be texts or starts of windows."
        is_dataset = isinstance(dataset, (CharWindows, CharPrompts, CharStreams))
        if dataset is not None and not is_dataset:
            dataset = self.dataset.at(dataset)
        if isinstance(dataset, CharStreams) and dataset.picked is not None:
            # with other rows the characters before a target would be others
            kwargs["bs"] = dataset.bs
        return super().new(dataset, cls, **kwargs)

    def to(self, device):
        "Move loader and text to a device."
        super().to(device)
        if device is not None:
            self.dataset.to(device)

    def decode(self, b):
        return to_cpu(self.after_batch.decode(b))

    def _pre_show_batch(self, b, max_n=9):
        max_n = check_count("max_n", max_n, 1, MAX_COUNT)
        x, y, its = super()._pre_show_batch(b, max_n=max_n)
        return TensorChars(x), y, its
