"""The recurrent layers: lesson 6's (`LoopLayer`, `ConcatLayer`) and PyTorch's (`RnnLayer`, `GruLayer`, `LstmLayer`)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .gated import lstm_cell, lstm_rows, lstm_steps
from .gru import gru_rows, gru_steps
from .kernels import autocast_of, cpu_linear, fast_tanh_
from .layer import Layer
from .recurrence import concat_rows, concat_sequence, loop_rows, tanh_rows, tanh_sequence
from .tracing import is_traced

__all__ = ["LoopLayer", "ConcatLayer", "RnnLayer", "GruLayer", "LstmLayer"]


class TanhLayer(Layer):
    "A layer with `h = tanh(inp + W h)`. Subclasses define `weight_hh`, the matrix W."

    shares = True

    def weight_hh(self) -> Tensor:  # (n_hid, n_hid)
        "Return the hidden-to-hidden weights."
        raise NotImplementedError(f"{type(self).__name__} needs a method weight_hh()")

    def cell(self, inp, state):
        (h,) = state
        return (fast_tanh_(torch.addmm(inp, h, self.weight_hh().t())),)

    def forward_layer(self, inp, state):
        if is_traced():
            return super().forward_layer(inp, state)
        outs, h = tanh_sequence(inp, self.weight_hh(), *state)
        return outs, (h,)

    def forward_table(self, table, beginnings, state):
        outs, h = tanh_rows(table, beginnings, self.weight_hh(), _first(state), reads_table=True)
        return outs, (h,)


class LoopLayer(TanhLayer):
    "`h = tanh(H(h + relu(I(e))))`"

    def forward_inputs(self, e, beginnings, state):
        # one product less than with `project`
        inp = cpu_linear(e, self.inp.weight, self.inp.bias).relu_()
        outs, h = loop_rows(inp, beginnings, self.hid.weight, self.hid.bias, _first(state))
        return outs, (h,)

    def layers(self, n_inp, n_hid):
        self.inp = nn.Linear(n_inp, n_hid)
        self.hid = nn.Linear(n_hid, n_hid)

    def project(self, e):
        # H(h + i) = W h + (W i + b), and the part in brackets does not depend on h
        return self.hid(self.inp(e).relu())

    def weight_hh(self):
        return self.hid.weight

    def run_modules(self, e, state):
        (h,) = state
        outs = []
        for i in self.inp(e).relu().unbind():
            h = self.hid(h + i).tanh()
            outs.append(h)
        return torch.stack(outs), (h,)

    def to_identity(self):
        nn.init.eye_(self.hid.weight)


class ConcatLayer(Layer):
    "`h = tanh(H(relu(I([h ; e]))))`"

    shares = True

    def layers(self, n_inp, n_hid):
        self.inp = nn.Linear(n_hid + n_inp, n_hid)
        self.hid = nn.Linear(n_hid, n_hid)

    def project(self, e):
        return F.linear(e, self.inp.weight[:, self.n_hid :], self.inp.bias)

    def cell(self, inp, state):
        (h,) = state
        inner = torch.addmm(inp, h, self.hid_to_inner().t()).relu_()
        return (fast_tanh_(self.hid(inner)),)

    def forward_layer(self, inp, state):
        if is_traced():
            return super().forward_layer(inp, state)
        outs, h = concat_sequence(inp, self.hid_to_inner(), self.hid.weight, self.hid.bias, *state)
        return outs, (h,)

    def forward_table(self, table, beginnings, state):
        weights = self.hid_to_inner(), self.hid.weight, self.hid.bias
        outs, h = concat_rows(table, beginnings, *weights, _first(state), reads_table=True)
        return outs, (h,)

    def forward_inputs(self, e, beginnings, state):
        weights = self.hid_to_inner(), self.hid.weight, self.hid.bias
        from_inputs = dict(w_i=self.inp.weight[:, self.n_hid :], b_i=self.inp.bias)
        outs, h = concat_rows(autocast_of(e), beginnings, *weights, _first(state), **from_inputs)
        return outs, (h,)

    def run_modules(self, e, state):
        (h,) = state
        outs = []
        for c in e.unbind():
            h = self.hid(self.inp(torch.cat([h.to(c.dtype), c], -1)).relu()).tanh()
            outs.append(h)
        return torch.stack(outs), (h,)

    def hid_to_inner(self) -> Tensor:  # (n_hid, n_hid)
        "Return the columns of `I` that read the hidden state."
        return self.inp.weight[:, : self.n_hid]

    def to_identity(self):
        nn.init.eye_(self.hid.weight)
        with torch.no_grad():
            nn.init.eye_(self.hid_to_inner())


class _LibraryLayer(Layer):
    "A layer with the weights of a recurrent layer of PyTorch, which can run the loop (cuDNN)."

    fused = True
    lib: type[nn.RNNBase]
    candidate = 0  # the block of rows in the weights that computes the new content

    def layers(self, n_inp, n_hid):
        self.rnn = self.lib(n_inp, n_hid)

    def project(self, e):
        # Both biases at once: adding one afterwards would turn autocast's 16 bits into 32.
        return cpu_linear(e, self.rnn.weight_ih_l0, self.bias())

    def bias(self) -> Tensor:  # (k,)
        "Return the sum of the two biases that PyTorch's layers have."
        return self.rnn.bias_ih_l0 + self.rnn.bias_hh_l0

    def run_modules(self, e, state):
        (h,) = state
        outs, last = self.rnn(e, h[None].contiguous())
        return outs, (last[0],)

    def to_identity(self):
        start = self.candidate * self.n_hid
        with torch.no_grad():
            nn.init.eye_(self.rnn.weight_hh_l0[start : start + self.n_hid])


class RnnLayer(TanhLayer, _LibraryLayer):
    "`h = tanh(W_i e + b_i + W_h h + b_h)`, as `torch.nn.RNN`"

    lib = nn.RNN

    def weight_hh(self):
        return self.rnn.weight_hh_l0

    def forward_inputs(self, e, beginnings, state):
        from_inputs = dict(w_i=self.rnn.weight_ih_l0, b_i=self.bias())
        outs, h = tanh_rows(autocast_of(e), beginnings, self.weight_hh(), _first(state), **from_inputs)
        return outs, (h,)


class GruLayer(_LibraryLayer):
    "A gated recurrent unit (Cho et al. 2014), in the form of `torch.nn.GRU`"

    lib = nn.GRU
    candidate = 2
    shares = True

    def bias(self):
        # the candidate's hidden bias is inside the reset gate
        hidden = F.pad(self.rnn.bias_hh_l0[: 2 * self.n_hid], (0, self.n_hid))
        return self.rnn.bias_ih_l0 + hidden

    def cell(self, inp, state):
        (h,) = state
        r_inp, z_inp, n_inp = inp.chunk(3, -1)
        r_hid, z_hid, n_hid = (h @ self.rnn.weight_hh_l0.t()).chunk(3, -1)
        reset = (r_inp + r_hid).sigmoid()
        candidate = fast_tanh_(n_inp + reset * (n_hid + self._candidate_bias()))
        update = (z_inp + z_hid).sigmoid()
        # under autocast the state keeps its 32 bits
        return (torch.lerp(candidate.to(h.dtype), h, update.to(h.dtype)),)

    def forward_layer(self, inp, state):
        if is_traced():
            return super().forward_layer(inp, state)
        outs, h = gru_steps(inp, self.rnn.weight_hh_l0, self._candidate_bias(), *state)
        return outs, (h,)

    def forward_rows(self, inp, beginnings):
        outs, h = gru_rows(inp, beginnings, self.rnn.weight_hh_l0, self._candidate_bias())
        return outs, (h,)

    def forward_table(self, table, beginnings, state):
        if table.is_cuda:
            return super().forward_table(table, beginnings, state)
        state = state or (None,)
        outs, h = gru_rows(table, beginnings, self.rnn.weight_hh_l0, self._candidate_bias(), *state, reads_table=True)
        return outs, (h,)

    def _candidate_bias(self):
        return self.rnn.bias_hh_l0[2 * self.n_hid :]


class LstmLayer(_LibraryLayer):
    "A long short-term memory (Hochreiter & Schmidhuber 1997), in the form of `torch.nn.LSTM`. Its state is (h, c)."

    lib = nn.LSTM
    has_onednn = True
    candidate = 2
    shares = True
    n_state = 2

    def cell(self, inp, state):
        h, c = state
        return lstm_cell(torch.addmm(inp, h, self.rnn.weight_hh_l0.t()), c)

    def forward_layer(self, inp, state):
        if is_traced():
            return super().forward_layer(inp, state)
        outs, h, c = lstm_steps(inp, self.rnn.weight_hh_l0, *state)
        return outs, (h, c)

    def forward_rows(self, inp, beginnings):
        outs, h, c = lstm_rows(inp, beginnings, self.rnn.weight_hh_l0)
        return outs, (h, c)

    def forward_table(self, table, beginnings, state):
        if table.is_cuda:
            return super().forward_table(table, beginnings, state)
        state = state or (None, None)
        outs, h, c = lstm_rows(table, beginnings, self.rnn.weight_hh_l0, *state, reads_table=True)
        return outs, (h, c)

    def run_modules(self, e, state):
        outs, state = self.rnn(e, tuple(o[None].contiguous() for o in state))
        return outs, tuple(o[0] for o in state)


def _first(state):
    "The state of a layer that has one tensor. None: zeros."
    return None if state is None else state[0]
