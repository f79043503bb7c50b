"""`Layer`, the base class of the recurrent layers.

A layer turns its inputs into pre-activations with one product for all characters (`project`). `cell` turns these and a
state into the next state. `forward_layer` does that for a whole sequence. It may be faster, with equal results.
`forward_rows` does that for windows of which many begin with the same characters (`beginnings`). `forward_table` reads
rows of a table, `forward_inputs` the outputs of another layer.
`run_modules` calls the layer's modules instead of reading their weights, so their hooks fire.

Shapes: bs rows, n characters, k numbers in a pre-activation. A state is a tuple of tensors (bs, n_hid).
"""

import torch
from torch import Tensor, nn

from .base import State
from .beginnings import Beginnings, from_parent
from .recurrence import table_lookup

__all__ = ["Layer"]


class Layer(nn.Module):
    """Base class of the recurrent layers.

    Subclasses define `layers`, `project` and `cell`, and may define a faster `forward_layer`, `run_modules`, and
    `to_identity`."""

    n_state = 1  # tensors in a state
    fused = False  # whether `run_modules` is the library's own loop
    has_onednn = False  # whether on a CPU that is oneDNN's
    shares = False  # whether `forward_rows` is faster than `forward_layer`

    def __init__(
        self,
        n_inp: int,  # size of the input for each character
        n_hid: int,  # hidden units
    ):
        super().__init__()
        self.n_hid = n_hid
        self.layers(n_inp, n_hid)

    def layers(self, n_inp: int, n_hid: int):
        "Make the weights."

    def project(self, e: Tensor) -> Tensor:  # (…, n_inp) -> (…, k)
        "Return the pre-activations: everything that depends only on the input, biases included."
        raise NotImplementedError(f"{type(self).__name__} needs a method project(e)")

    def cell(
        self,
        inp: Tensor,  # (bs, k) pre-activations
        state: State,  # the state before the character
    ) -> State:  # the state after it
        "Read one character."
        raise NotImplementedError(f"{type(self).__name__} needs a method cell(inp, state)")

    def layer_output(self, state: State) -> Tensor:  # (bs, n_hid)
        "Return the part of the state that the next layer reads: its first tensor."
        return state[0]

    def forward_layer(
        self,
        inp: Tensor,  # (n, bs, k) pre-activations
        state: State,  # the state before the first character
    ) -> tuple[Tensor, State]:  # outputs (n, bs, n_hid), the last state
        "Read a sequence, one character after another."
        outs = []
        for o in inp.unbind():
            state = self.cell(o, state)
            outs.append(self.layer_output(state))
        return torch.stack(outs), state

    def forward_rows(
        self,
        inp: Tensor,  # (rows, k) pre-activations of the last character of each beginning
        beginnings: Beginnings,  # of the windows of a batch
    ) -> tuple[Tensor, State]:  # the output after each beginning (rows, n_hid), the state after each window
        "Read windows, starting with zeros, and compute the states after equal beginnings once."
        outs = []
        state = None
        for level, rows in zip(beginnings.levels, beginnings.split(inp)):
            if state is None:
                state = (next(self.parameters()).new_zeros(level.size, self.n_hid),) * self.n_state
            state = self.cell(rows, tuple(from_parent(o, level.parent) for o in state))
            outs.append(self.layer_output(state))
        return torch.cat(outs), tuple(beginnings.last(o) for o in state)

    def forward_table(
        self,
        table: Tensor,  # (V, k) pre-activations of all characters
        beginnings: Beginnings,  # of the windows or rows of a batch
        state: State | None,  # the state before the first character; None: zeros
    ) -> tuple[Tensor, State]:  # the output after each beginning (rows, n_hid), the state after each window
        "Read characters, faster than the rows of the table if the layer can. Not for tracing."
        return self._forward(table_lookup(table, beginnings.chars), beginnings, state)

    def forward_inputs(
        self,
        e: Tensor,  # (rows, n_inp) inputs
        beginnings: Beginnings,  # of the windows or rows of a batch
        state: State | None,  # the state before the first character; None: zeros
    ) -> tuple[Tensor, State]:  # the output after each beginning (rows, n_hid), the state after each window
        "Read inputs, faster than `project` and the recurrence if the layer can. Not for tracing."
        return self._forward(self.project(e), beginnings, state)

    def _forward(self, inp, beginnings, state):
        if state is None:
            return self.forward_rows(inp, beginnings)
        outs, state = self.forward_layer(inp.unflatten(0, (len(beginnings.levels), -1)), state)
        return outs.flatten(0, 1), state

    def run_modules(self, e: Tensor, state: State) -> tuple[Tensor, State]:
        "As `forward_layer` of `project(e)`, e (n, bs, n_inp), by calling the layer's modules, so that hooks fire."
        return self.forward_layer(self.project(e), state)

    def forward(self, e: Tensor, state: State) -> tuple[Tensor, State]:
        "Read a sequence with `run_modules`."
        return self.run_modules(e, state)

    def to_identity(self):
        "Set the hidden-to-hidden weights to the identity (Le, Jaitly & Hinton 2015)."
        raise NotImplementedError(f"{type(self).__name__} needs a method to_identity()")
