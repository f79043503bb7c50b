"""The tanh recurrences over windows and sequences, with gradients computed by hand (`tanh_function`).

`tanh_rows` and `concat_rows` compute the states of packed rows: one row for each different beginning of a batch's
windows (`beginnings`). In a sequence that continues a state, each row of the batch is one.

Values and gradients equal those of the loop in `CharModel.forward_seq` to rounding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .beginnings import Beginnings, every_row, find_beginnings, sum_to_parent
from .tanh_function import TanhSteps
from .tracing import is_traced

__all__ = [
    "tanh_steps",
    "concat_steps",
    "tanh_sequence",
    "concat_sequence",
    "tanh_rows",
    "concat_rows",
    "loop_rows",
    "table_lookup",
]


def tanh_steps(
    table: Tensor,  # (V, n_hid) what each character contributes
    x: Tensor,  # (n, bs) int64 characters, time first
    w: Tensor,  # (n_hid, n_hid) hidden to hidden
) -> Tensor:  # (bs, n_hid) the last state
    "`h = tanh(table[c] + w h)` over a window, starting with zeros."
    beginnings = find_beginnings(x, len(table))
    return tanh_rows(table, beginnings, w, reads_table=True)[1]


def concat_steps(
    table: Tensor,  # (V, n_hid) what each character contributes to the inner layer
    x: Tensor,  # (n, bs) int64 characters, time first
    w: Tensor,  # (n_hid, n_hid) hidden to inner layer
    w2: Tensor,  # (n_hid, n_hid) inner layer to hidden
    b2: Tensor,  # (n_hid,)
) -> Tensor:  # (bs, n_hid) the last state
    "`h = tanh(w2 relu(table[c] + w h) + b2)` over a window, starting with zeros."
    beginnings = find_beginnings(x, len(table))
    return concat_rows(table, beginnings, w, w2, b2, reads_table=True)[1]


def tanh_sequence(
    inp: Tensor,  # (n, bs, n_hid) what each character contributes
    w: Tensor,  # (n_hid, n_hid) hidden to hidden
    h: Tensor,  # (bs, n_hid) the state before the first character
) -> tuple[Tensor, Tensor]:  # every state (n, bs, n_hid), and the last one
    "`h = tanh(inp + w h)` over a sequence."
    outs, last = tanh_rows(inp.flatten(0, 1), every_row(*inp.shape[:2]), w, h)
    return outs.view(inp.shape), last


def concat_sequence(
    inp: Tensor,  # (n, bs, n_hid) what each character contributes to the inner layer
    w: Tensor,  # (n_hid, n_hid) hidden to inner layer
    w2: Tensor,  # (n_hid, n_hid) inner layer to hidden
    b2: Tensor,  # (n_hid,)
    h: Tensor,  # (bs, n_hid) the state before the first character
) -> tuple[Tensor, Tensor]:  # every state (n, bs, n_hid), and the last one
    "`h = tanh(w2 relu(inp + w h) + b2)` over a sequence."
    outs, last = concat_rows(inp.flatten(0, 1), every_row(*inp.shape[:2]), w, w2, b2, h)
    return outs.view(inp.shape), last


def tanh_rows(
    inp: Tensor,  # (rows, n_hid) what the last character of each beginning contributes
    beginnings: Beginnings,
    w: Tensor,  # (n_hid, n_hid) hidden to hidden
    h0: Tensor | None = None,  # (rows of the first level, n_hid) the state before the first character; None: zeros
    reads_table: bool = False,  # whether `inp` is a table (V, n_hid) of which the characters' rows are read
    w_i: Tensor | None = None,  # (n_hid, n_inp) inputs to hidden: `inp` are inputs (rows, n_inp)
    b_i: Tensor | None = None,  # (n_hid,) to add to `w_i inp`
) -> tuple[Tensor, Tensor]:  # the state after each beginning (rows, n_hid), after each window (bs, n_hid)
    "`h = tanh(inp + w h)` for all beginnings of windows."
    return TanhSteps.apply(inp, w, None, None, w_i, b_i, h0, beginnings, reads_table)


def concat_rows(
    inp: Tensor,  # (rows, n_hid) what the last character of each beginning contributes to the inner layer
    beginnings: Beginnings,
    w: Tensor,  # (n_hid, n_hid) hidden to inner layer
    w2: Tensor,  # (n_hid, n_hid) inner layer to hidden
    b2: Tensor,  # (n_hid,)
    h0: Tensor | None = None,  # (rows of the first level, n_hid) the state before the first character; None: zeros
    reads_table: bool = False,  # whether `inp` is a table (V, n_hid) of which the characters' rows are read
    w_i: Tensor | None = None,  # (n_hid, n_inp) inputs to hidden: `inp` are inputs (rows, n_inp)
    b_i: Tensor | None = None,  # (n_hid,) to add to `w_i inp`
) -> tuple[Tensor, Tensor]:  # the state after each beginning (rows, n_hid), after each window (bs, n_hid)
    "`h = tanh(w2 relu(inp + w h) + b2)` for all beginnings of windows."
    return TanhSteps.apply(inp, w, w2, b2, w_i, b_i, h0, beginnings, reads_table)


def loop_rows(
    inp: Tensor,  # (rows, n_hid) what the last character of each beginning adds to the state
    beginnings: Beginnings,
    w: Tensor,  # (n_hid, n_hid)
    b: Tensor,  # (n_hid,)
    h0: Tensor | None = None,  # (rows of the first level, n_hid) the state before the first character; None: zeros
) -> tuple[Tensor, Tensor]:  # the state after each beginning (rows, n_hid), after each window (bs, n_hid)
    "`h = tanh(w (h + inp) + b)` for all beginnings of windows."
    return TanhSteps.apply(inp, None, w, b, None, None, h0, beginnings, False)


def table_lookup(
    table: Tensor,  # (V, k) what each character contributes
    x: Tensor,  # (…) int64 characters
) -> Tensor:  # (…, k)
    """Return rows of a small table.

    The gradient adds in a fixed order: on a CPU row by row, on a GPU by a product with one-hot rows."""
    return F.embedding(x, table) if is_traced() else _LookUp.apply(table, x)


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table, x):
        ctx.save_for_backward(x)
        ctx.vocab_sz = len(table)
        return F.embedding(x, table)

    @staticmethod
    @once_differentiable
    def backward(ctx, dout):
        (x,) = ctx.saved_tensors
        rows = dout.flatten(0, -2)
        if rows.is_cuda:
            return F.one_hot(x.flatten(), ctx.vocab_sz).to(dout.dtype).t() @ rows, None
        return sum_to_parent(rows, x.flatten(), ctx.vocab_sz), None
