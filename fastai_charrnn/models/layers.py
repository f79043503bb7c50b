"""Recurrent layers: what one layer does with a character, and with a whole text at once. `models` makes architectures of them.

A layer turns numbers into pre-activations (`project`, one product for any number of characters), and these and a state into
the next state (`cell`). `forward_layer` is the same over a whole sequence: it may be faster, never different.

Shapes: bs rows, n characters, k numbers of a pre-activation. A state is a tensor (bs, n_hid), or a tuple of them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.compiler import is_compiling

from ..errors import ArchError
from .gated import gru_steps, lstm_steps
from .recurrence import fast_tanh_, tanh_sequence

__all__ = ["Layer", "LoopLayer", "ConcatLayer", "RnnLayer", "GruLayer", "LstmLayer"]


class Layer(nn.Module):
    "A recurrent layer. Its job: `layers`, `project` and `cell`; `forward_layer` and `to_identity` where it can do better, or can at all."

    n_parts = 1  # tensors in a state
    fused = False  # whether `run_fused` runs the whole loop in the library

    def __init__(
        self,
        n_inp: int,  # numbers it reads for every character
        n_hid: int,  # hidden units
    ):
        super().__init__()
        self.n_hid = n_hid
        self.layers(n_inp, n_hid)

    def layers(self, n_inp: int, n_hid: int):
        "Make the weights."

    def project(self, e: Tensor) -> Tensor:  # (…, n_inp) -> (…, k)
        "What depends on the input alone, biases included."
        raise NotImplementedError(f"{type(self).__name__} needs a method project(e)")

    def cell(self, inp: Tensor, h):  # inp (bs, k), state -> the next state
        "Read one character."
        raise NotImplementedError(f"{type(self).__name__} needs a method cell(inp, h)")

    def layer_output(self, h) -> Tensor:  # state -> (bs, n_hid)
        "The part of the state that others see."
        return h[0] if isinstance(h, tuple) else h

    def forward_layer(self, inp: Tensor, h):  # inp (n, bs, k), state -> (n, bs, n_hid), the last state
        "Read one character after another."
        outs = []
        for o in inp.unbind():
            h = self.cell(o, h)
            outs.append(self.layer_output(h))
        return torch.stack(outs), h

    def to_identity(self):
        "Let the hidden state be handed on as it is at first, where the layer would (Le, Jaitly & Hinton 2015, for plain recurrences)."
        raise NotImplementedError(f"{type(self).__name__} needs a method to_identity()")


class LoopLayer(Layer):
    "`h = tanh(H(h + relu(I(e))))`"

    def layers(self, n_inp, n_hid):
        self.inp = nn.Linear(n_inp, n_hid)
        self.hid = nn.Linear(n_hid, n_hid)

    def project(self, e):
        return self.hid(self.inp(e).relu())  # H(h+i) = W h + (W i + b): the bracket knows no h

    def cell(self, inp, h):
        return fast_tanh_(torch.addmm(inp, h, self.hid.weight.t()))

    def forward_layer(self, inp, h):
        if is_compiling():
            return super().forward_layer(inp, h)  # the compiler wants the plain loop
        outs = tanh_sequence(inp, self.hid.weight, h)
        return outs, outs[-1]

    def to_identity(self):
        nn.init.eye_(self.hid.weight)


class ConcatLayer(Layer):
    "`h = tanh(H(relu(I([h ; e]))))`"

    def layers(self, n_inp, n_hid):
        self.inp = nn.Linear(n_hid + n_inp, n_hid)
        self.hid = nn.Linear(n_hid, n_hid)

    def project(self, e):
        return F.linear(e, self.inp.weight[:, self.n_hid :], self.inp.bias)

    def cell(self, inp, h):
        return fast_tanh_(self.hid(torch.addmm(inp, h, self.inp.weight[:, : self.n_hid].t()).relu_()))

    def to_identity(self):
        nn.init.eye_(self.hid.weight)
        with torch.no_grad():
            nn.init.eye_(self.inp.weight[:, : self.n_hid])


class _LibraryLayer(Layer):
    "A layer whose weights are one of the library's recurrent layers, which runs the loop where it is faster (cuDNN)."

    fused = True
    lib: type[nn.RNNBase]
    candidate = 0  # which block of rows in the weights makes the new content

    def layers(self, n_inp, n_hid):
        self.rnn = self.lib(n_inp, n_hid)

    def project(self, e):
        return F.linear(
            e, self.rnn.weight_ih_l0, self.bias()
        )  # one bias: added afterwards, autocast's 16 bits would become 32

    def bias(self):
        return self.rnn.bias_ih_l0 + self.rnn.bias_hh_l0

    def run_fused(self, e: Tensor, h):  # e (n, bs, n_inp), state -> (n, bs, n_hid), the last state
        "`forward_layer` from the layer's own inputs, by the library."
        outs, h = self.rnn(e, tuple(o[None].contiguous() for o in h) if isinstance(h, tuple) else h[None].contiguous())
        return outs, tuple(o[0] for o in h) if isinstance(h, tuple) else h[0]

    def to_identity(self):
        k = self.n_hid
        with torch.no_grad():
            nn.init.eye_(self.rnn.weight_hh_l0[self.candidate * k : (self.candidate + 1) * k])


class RnnLayer(_LibraryLayer):
    "`h = tanh(W_i e + b_i + W_h h + b_h)`, as `torch.nn.RNN`"

    lib = nn.RNN

    def cell(self, inp, h):
        return fast_tanh_(torch.addmm(inp, h, self.rnn.weight_hh_l0.t()))

    def forward_layer(self, inp, h):
        if is_compiling():
            return super().forward_layer(inp, h)
        outs = tanh_sequence(inp, self.rnn.weight_hh_l0, h)
        return outs, outs[-1]


class GruLayer(_LibraryLayer):
    "A gated recurrent unit (Cho et al. 2014), in the form of `torch.nn.GRU`"

    lib, candidate = nn.GRU, 2

    def bias(self):
        return self.rnn.bias_ih_l0 + F.pad(
            self.rnn.bias_hh_l0[: 2 * self.n_hid], (0, self.n_hid)
        )  # the candidate's hidden one is inside the reset gate

    def cell(self, inp, h):
        ri, zi, ni = inp.chunk(3, -1)
        rh, zh, nh = (h @ self.rnn.weight_hh_l0.t()).chunk(3, -1)
        return torch.lerp(
            fast_tanh_(ni + (ri + rh).sigmoid() * (nh + self._bias_n())).to(h.dtype), h, (zi + zh).sigmoid().to(h.dtype)
        )  # under autocast the state keeps its 32 bits

    def forward_layer(self, inp, h):
        return (
            super().forward_layer(inp, h)
            if is_compiling()
            else gru_steps(inp, self.rnn.weight_hh_l0, self._bias_n(), h)
        )

    def _bias_n(self):
        return self.rnn.bias_hh_l0[2 * self.n_hid :]


class LstmLayer(_LibraryLayer):
    "A long short-term memory (Hochreiter & Schmidhuber 1997), in the form of `torch.nn.LSTM`; its state is (h, c)"

    lib = nn.LSTM
    candidate = 2
    n_parts = 2

    def cell(self, inp, h):
        h, c = h
        i, f, g, o = torch.addmm(inp, h, self.rnn.weight_hh_l0.t()).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * fast_tanh_(g)
        return o.sigmoid() * fast_tanh_(c.clone()), c

    def forward_layer(self, inp, h):
        if is_compiling():
            return super().forward_layer(inp, h)
        outs, *h = lstm_steps(inp, self.rnn.weight_hh_l0, *h)
        return outs, tuple(h)


def check_parts(
    **parts: float,  # by name
):
    "Raise `ArchError` unless each can be a part that dropout leaves out."
    for k, p in parts.items():
        if not 0 <= p < 1:
            raise ArchError(f"{k}={p} is not from 0 to below 1; .5 is a usual value for large layers")
