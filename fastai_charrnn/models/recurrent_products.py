"""Products of a gated recurrence, forward and backward, over packed rows (see `beginnings`)."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from .beginnings import Level

__all__ = [
    "wide_dtype",
    "add_product",
    "product_plus",
    "add_matmul_",
    "add_to",
    "product_to",
    "sum_of",
    "split_rows",
    "WeightGrad",
]

# A weight's gradient is added in products of this many rows, while the rows are in the cache.
_n_rows = 512


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    "Return the dtype of gates and sums: float32 for 16 bits."
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def add_product(
    inp: Tensor,  # (rows, k), of any dtype
    h: Tensor | None,  # (rows of the step before, H); None: zeros
    weight_t: Tensor,  # (H, k)
    parent: Tensor | None,  # (rows,) the row of `h` that each row continues; None: the row with its own number
    out: Tensor,  # (rows, k)
) -> Tensor:  # `out`
    "Compute `inp + h weight_t` in `out`."
    if h is None:
        return out.copy_(inp)
    if parent is not None:
        return torch.add(inp, (h @ weight_t).index_select(0, parent), out=out)
    if out.dtype != weight_t.dtype:
        return out.copy_(torch.addmm(inp, h, weight_t))
    return out.copy_(inp).addmm_(h, weight_t)


def add_to(
    a: Tensor,
    b: Tensor,  # of the same shape and dtype
    out: Tensor,  # of the same shape, may be of more bits
) -> Tensor:  # `out`
    "Compute `a + b` in `out`."
    return torch.add(a, b, out=out) if out.dtype == a.dtype else out.copy_(a).add_(b)


def add_matmul_(
    total: Tensor,  # (rows, H), may be of more bits
    a: Tensor,  # (rows, k)
    b: Tensor,  # (k, H)
) -> Tensor:  # `total`
    "Add `a b` in place."
    return total.addmm_(a, b) if total.dtype == a.dtype else total.add_(a @ b)


def product_plus(
    rows: Tensor,  # (rows, k)
    weight: Tensor,  # (k, H)
    other: Tensor | None,  # (rows, H)
    out_dtype: torch.dtype,
) -> Tensor:  # (rows, H)
    "Return `rows weight + other`."
    if other is None:
        return (rows @ weight).to(out_dtype)
    if other.dtype == rows.dtype == out_dtype:
        return torch.addmm(other, rows, weight)
    return (rows @ weight).to(out_dtype).add_(other)


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


def split_rows(
    rows: Tensor | None,  # (rows of all steps, …)
    sizes: list[int],  # the rows of each step
) -> Sequence[Tensor | None]:
    "Return the rows of each step, as views. None: None for each step."
    return [None] * len(sizes) if rows is None else rows.split(sizes)


class WeightGrad:
    """The gradient of the hidden-to-hidden weights, added up from the last step to the first.

    Steps that follow each other, with the rows of the batch, are added together."""

    def __init__(
        self,
        levels: list[Level],
        grads: Tensor,  # (rows, k) gradients of the pre-activations, filled before `add`
        hs: Tensor,  # (rows, H) the states after each step
        h0: Tensor | None,  # (rows of the first level, H); None: zeros
        factors: Tensor | None = None,  # (rows, H) what was multiplied for each row; None: the state before it
    ):
        self.levels = levels
        self.grads = grads
        self.hs = hs
        self.h0 = h0
        self.factors = factors
        self.total = grads.new_zeros(grads.shape[1], hs.shape[1], dtype=wide_dtype(grads.dtype))
        self.starts = [0, *accumulate(level.size for level in levels)]
        self.end = self.starts[-1]

    def add(
        self,
        t: int,  # a step, one before that of the last call
        grad: Tensor,  # its rows of `grads`, summed to the rows of the step before
    ):
        "Add a step."
        start, size = self.starts[t], self.levels[t].size
        if self.factors is not None:
            self._add(grad, self.factors[start : start + size])
        elif t == 0:
            self._add(grad, self.h0)
        elif self.levels[t].parent is not None:
            self._add(grad, self.hs[self.starts[t - 1] : start])
            self.end = start
        elif self._is_full(start) or t == 1 or self.levels[t - 1].parent is not None:
            self._add(self.grads[start : self.end], self.hs[start - size : self.end - size])
            self.end = start

    def _add(self, grad, h):
        add_matmul_(self.total, grad.t(), h.to(grad.dtype))

    def _is_full(self, start):
        "Whether enough rows are pending. Products of 16 bits are rounded, so fewer of them are better."
        return self.total.dtype == self.grads.dtype and self.end - start >= _n_rows
