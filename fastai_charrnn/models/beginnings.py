"""Equal beginnings of the windows of a batch, whose states are computed once (`find_beginnings`).

Many windows of a batch begin with the same characters: 512 windows of a novel have about 40 different first characters,
225 different first pairs and 400 different first triples. A state that starts with zeros depends on the beginning only,
in every layer. So recurrences compute with *packed rows*: one row for each different beginning, shorter ones first.
A `Level` is the beginnings of one length. Once almost all beginnings differ, a level is the batch itself.

    beginnings = find_beginnings(x, vocab_sz)           # x (n, bs)
    inp = table_lookup(table, beginnings.chars)         # (rows, k): packed rows, the input of a recurrence
    for level, rows in zip(beginnings.levels, beginnings.split(inp)):
        ...                                             # the state before: rows `level.parent` of the level before
    beginnings.expand(outs)                             # (n, bs, k): what belongs to each character of each window

On a GPU, finding equal beginnings would make the host wait. There the first level has a row for every character of the
vocabulary, and the other levels are the batch.
"""

from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Beginnings", "find_beginnings"]

# With more different beginnings than this part of the batch, sharing costs more than it saves.
_max_unique_frac = 0.9


class Level(NamedTuple):
    "The different beginnings of one length among a batch's windows."

    size: int  # rows
    # (rows,) int64: the row of the level before that each beginning continues; None: the row with its own number
    parent: Tensor | None


class Beginnings(NamedTuple):
    "The different beginnings of a batch's windows, of all lengths."

    # (rows of all levels,) int64: the last character of each beginning; None if nobody needs it
    chars: Tensor | None
    levels: list[Level]  # one for each length, the shortest first
    # for each level (bs,) int64: the row of each window in it; None: the row with its own number
    row_of: list[Tensor | None]

    def split(self, rows: Tensor) -> tuple[Tensor, ...]:
        "Return the rows of each level, as views."
        return rows.split([level.size for level in self.levels])

    def last(self, rows: Tensor) -> Tensor:  # rows of the last level -> (bs, …)
        "Return the row of each whole window."
        index = self.row_of[-1]
        return rows if index is None else _Select.apply(rows, index)

    def expand(self, rows: Tensor) -> Tensor:  # (rows of all levels, k) -> (n, bs, k)
        "Return the row for each character of each window, time first."
        shared = [index for index in self.row_of if index is not None]
        if not shared:
            return rows.view(len(self.levels), -1, rows.shape[-1])
        starts = [0, *accumulate(level.size for level in self.levels)]
        index = torch.cat([index + start for index, start in zip(shared, starts)])
        outs = _Expand.apply(rows, index, starts[len(shared)])
        return outs.view(len(self.levels), -1, rows.shape[-1])


def find_beginnings(
    x: Tensor,  # (n, bs) int64 characters, time first
    vocab_sz: int,  # characters in the vocabulary
) -> Beginnings:
    "Return the different beginnings of the windows `x`."
    share = not x.is_cuda
    if share:
        chars, index = x[0].unique(return_inverse=True)
    else:
        chars, index = torch.arange(vocab_sz, device=x.device), x[0]
    all_chars = [chars]
    levels = [Level(len(chars), None)]
    row_of = [index]
    for chars in x[1:]:
        level, index = Level(len(chars), index), None
        if share:
            # one number for each pair of beginning and next character
            pairs, inverse = (level.parent * vocab_sz + chars).unique(return_inverse=True)
            share = len(pairs) <= _max_unique_frac * len(chars)
            if share:
                level, index = Level(len(pairs), pairs // vocab_sz), inverse
                chars = pairs % vocab_sz
        all_chars.append(chars)
        levels.append(level)
        row_of.append(index)
    return Beginnings(torch.cat(all_chars), levels, row_of)


def every_row(
    n: int,  # characters
    bs: int,  # rows of the batch
    chars: Tensor | None = None,  # (n * bs,) int64, time first
) -> Beginnings:
    "Return beginnings that are not shared: each level is the batch."
    return Beginnings(chars, [Level(bs, None)] * n, [None] * n)


def from_parent(
    rows: Tensor,  # (rows of the level before, k)
    parent: Tensor | None,  # (rows,) int64, or None: the rows with their own numbers
) -> Tensor:  # (rows, k)
    "Return what each beginning continues."
    return rows if parent is None else rows.index_select(0, parent)


def sum_to_parent(
    grad: Tensor,  # (rows, k)
    parent: Tensor | None,  # (rows,) int64, or None: the rows with their own numbers
    n_parents: int,  # rows of the level before
) -> Tensor:  # (n_parents, k), of the dtype of `grad`
    "Sum the rows that continue the same beginning: the gradient of `from_parent`. Sums 16 bits in 32."
    if parent is None:
        return grad
    # in 16 bits small terms would be lost
    wide = torch.promote_types(grad.dtype, torch.float32)
    zeros = grad.new_zeros(n_parents, *grad.shape[1:], dtype=wide)
    return add_rows_(zeros, parent, grad).to(grad.dtype)


def add_rows_(
    out: Tensor,  # (rows, k), changed in place
    index: Tensor,  # (m,) int64: the row of `out` for each of `rows`
    rows: Tensor,  # (m, k)
) -> Tensor:  # `out`
    """Add each of `rows` to the row of `out` that `index` names, in a fixed order.

    On a GPU this is a product, because `index_add_` adds in any order there."""
    rows = rows.to(out.dtype)
    if not rows.is_cuda:
        return out.index_add_(0, index, rows)
    one_hot = index == torch.arange(len(out), device=rows.device)[:, None]
    return out.addmm_(one_hot.to(rows.dtype), rows)


class _Select(torch.autograd.Function):
    "`rows[index]`"

    @staticmethod
    def forward(ctx, rows, index):
        ctx.save_for_backward(index)
        ctx.n_rows = len(rows)
        return rows.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (index,) = ctx.saved_tensors
        return sum_to_parent(grad, index, ctx.n_rows), None


class _Expand(torch.autograd.Function):
    "The first `n_shared` rows by `index`, then the others as they are."

    @staticmethod
    def forward(ctx, rows, index, n_shared):
        ctx.save_for_backward(index)
        ctx.n_shared = n_shared
        return torch.cat([rows.index_select(0, index), rows[n_shared:]])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (index,) = ctx.saved_tensors
        shared = sum_to_parent(grad[: len(index)], index, ctx.n_shared)
        return torch.cat([shared, grad[len(index) :]]), None, None
