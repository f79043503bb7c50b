"""Inputs, products and gradients of a gated recurrence over packed rows (see `beginnings`).

Rows are read and written while they are in the cache: the inputs of a step are looked up just before its product, and
the gradients of some steps are added to those of the weights and of the table before the next steps overwrite them.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from .beginnings import Level, add_rows_

__all__ = [
    "wide_dtype",
    "rounded",
    "split_rows",
    "sum_of",
    "product_to",
    "add_matmul_",
    "weight_grad",
    "add_product_",
    "product_plus",
    "Inputs",
    "Group",
    "find_groups",
    "InputGrads",
]

# the rows of a `Group`
_max_rows = 512


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    "Return the dtype of gates and sums: float32 for 16 bits."
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def rounded(
    x: Tensor,
    dtype: torch.dtype | None,  # None: do not round
) -> Tensor:  # of the dtype of `x`
    "Round to a dtype of fewer bits."
    return x if dtype is None else x.to(dtype).to(x.dtype)


def split_rows(
    rows: Tensor | None,  # (rows of all steps, …)
    sizes: list[int],  # the rows of each step
) -> Sequence[Tensor | None]:
    "Return the rows of each step, as views. None: None for each step."
    return [None] * len(sizes) if rows is None else rows.split(sizes)


def sum_of(a: Tensor | None, b: Tensor | None, like: Tensor) -> Tensor:  # new, shape and dtype of `like`
    "Return a + b, where None is zeros."
    total = torch.zeros_like(like) if a is None else a.to(like.dtype, copy=True)
    return total if b is None else total.add_(b)


def product_to(
    a: Tensor,
    b: Tensor,  # of the same shape and dtype
    out: Tensor,  # of the same shape, may be of fewer bits
) -> Tensor:  # `out`
    "Compute `a * b` in `out`."
    return torch.mul(a, b, out=out) if out.dtype == a.dtype else out.copy_(a * b)


def add_matmul_(
    total: Tensor,  # (rows, H), may be of more bits
    a: Tensor,  # (rows, k)
    b: Tensor,  # (k, H)
) -> Tensor:  # `total`
    "Add `a b` in place."
    return total.addmm_(a, b) if total.dtype == a.dtype else total.add_(torch.mm(a, b))


def weight_grad(
    total: Tensor | None,  # (k, H); None: zeros
    grads: Tensor,  # (rows, k) of products
    factors: Tensor,  # (rows, H) what was multiplied
) -> Tensor:  # (k, H), of at least 32 bits
    "Add the gradient of a weight for some rows."
    if total is None:
        return torch.mm(grads.t(), factors).to(wide_dtype(grads.dtype))
    return add_matmul_(total, grads.t(), factors)


def add_product_(
    total: Tensor,  # (rows, k), may be of more bits
    h: Tensor,  # (rows of the step before, H)
    weight_t: Tensor,  # (H, k)
    parent: Tensor | None,  # (rows,) the row of `h` that each row continues; None: the row with its own number
) -> Tensor:  # `total`
    "Add `h weight_t` in place."
    if parent is None:
        return add_matmul_(total, h, weight_t)
    return total.add_(torch.mm(h, weight_t).index_select(0, parent))


def product_plus(
    rows: Tensor,  # (rows, k)
    weight: Tensor,  # (k, H)
    other: Tensor | None,  # (rows, H)
    dtype: torch.dtype,
) -> Tensor:  # (rows, H), of `dtype`
    "Return `rows weight + other`."
    if other is None:
        return torch.mm(rows, weight).to(dtype)
    if other.dtype == rows.dtype == dtype:
        return torch.addmm(other, rows, weight)
    return torch.mm(rows, weight).to(dtype).add_(other)


class Inputs:
    "The pre-activations of each step, without the product with the state."

    def __init__(
        self,
        inp: Tensor,  # (rows of all steps, k), or with `chars` a table (V, k)
        chars: Tensor | None,  # (rows of all steps,) int64
        sizes: list[int],  # the rows of each step
    ):
        self.inp = inp
        self.is_table = chars is not None
        self.rows = (chars if self.is_table else inp).split(sizes)

    def copy_to(self, t: int, out: Tensor):
        "Write those of step `t` to `out`."
        if not self.is_table:
            out.copy_(self.rows[t])
        elif out.dtype == self.inp.dtype:
            torch.index_select(self.inp, 0, self.rows[t], out=out)
        else:
            out.copy_(self.inp.index_select(0, self.rows[t]))


class Group(NamedTuple):
    "Steps that follow each other and have the rows of the batch, or one step."

    steps: range
    rows: slice  # their rows among those of all steps
    n_before: int  # rows of the step before the first of them

    def states_before(self, h0: Tensor | None, hs: Tensor) -> Tensor:  # (rows, H)
        "Return the states before all of its steps, from those after all steps."
        is_single = len(self.steps) == 1
        start = self.rows.start - self.n_before
        stop = self.rows.start if is_single else self.rows.stop - self.n_before
        if start >= 0:
            return hs[start:stop]
        return h0 if is_single else torch.cat([h0, hs[:stop]])


def find_groups(
    levels: list[Level],
    has_state: bool,  # whether a state precedes the first step, so that it has a product
    dtype: torch.dtype,  # of products
) -> list[Group]:
    "Return the groups of all steps. In 16 bits they are long, because each group rounds the sum over its rows."
    starts = [0, *accumulate(level.size for level in levels)]
    max_rows = _max_rows if wide_dtype(dtype) == dtype else starts[-1]
    groups = []
    first = 0
    for t in range(1, len(starts)):
        is_single = levels[first].parent is not None or (first == 0 and not has_state)
        is_last = t == len(levels) or levels[t].parent is not None
        if is_single or is_last or starts[t + 1] - starts[first] > max_rows:
            n_before = levels[max(first - 1, 0)].size
            groups.append(Group(range(first, t), slice(starts[first], starts[t]), n_before))
            first = t
    return groups


class InputGrads:
    "The gradient of `Inputs`: of the table or of all rows."

    def __init__(
        self,
        chars: Tensor | None,  # (rows of all steps,) int64
        shape: Sequence[int],  # of `inp`, with additional columns in front
        like: Tensor,  # of the dtype of products
        groups: list[Group],
    ):
        self.chars = chars
        n_rows, n_cols = shape
        if chars is None:
            self.total = self.buffer = like.new_empty(n_rows, n_cols)
        else:
            self.total = like.new_zeros(n_rows, n_cols, dtype=wide_dtype(like.dtype))
            self.buffer = like.new_empty(max(o.rows.stop - o.rows.start for o in groups), n_cols)

    def of(self, group: Group) -> Tensor:
        "Return the rows in which to write the gradients of a group."
        return self.buffer[group.rows] if self.chars is None else self.buffer[: group.rows.stop - group.rows.start]

    def add(self, group: Group, grads: Tensor):
        "Add the gradients of a group, the rows that `of` returned."
        if self.chars is not None:
            add_rows_(self.total, self.chars[group.rows], grads)
