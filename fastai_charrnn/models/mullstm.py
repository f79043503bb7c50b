"""`CharMulLstm`: LSTM layers that scale the hidden state, depending on the input, before the recurrent product.

    m_t = 2σ(R x_t + r)                       a factor for each number of the hidden state
    (i,f,g,o)_t = W x_t + U (m_t ⊙ h_{t-1}) + b
    c_t = σ(f) c_{t-1} + σ(i) tanh(g);   h_t = σ(o) tanh(c_t)

This is the second round of the Mogrifier (Melis, Kočiský & Blunsom 2020, eq. 2: h ← 2σ(R x) ⊙ h). It is also the
multiplicative LSTM with W_mh = 1 (Krause, Lu, Murray & Renals 2016, eq. 14-18: m = (W_mx x) ⊙ (W_mh h)). A character
has its own transition matrix, U diag(m). In the first layer x is a character, so m is part of the table.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._checks import check_count
from ..errors import ArchError
from .base import CharModel, join_states, split_state
from .dropout import RNNDropout, check_dropout, rate_of
from .gated import lstm_cell, lstm_steps
from .module_calls import must_call, parts_of
from .recurrence import table_lookup
from .registry import MAX_LAYERS, register_arch
from .scaled_lstm import scaled_lstm
from .tracing import is_traced

__all__ = ["CharMulLstm"]


@register_arch("mullstm")
class CharMulLstm(CharModel):
    "LSTM layers that scale their hidden state depending on the input, with dropouts that suit a small text."

    output_p = rate_of("drop")
    layer_p = rate_of("layer_drop")
    hidden_p = rate_of("hidden_drop")
    embed_p = rate_of("embed_drop")
    weight_p = rate_of("weight_drop")
    _parts = None

    def __init__(
        self,
        vocab_sz: int,
        emb_sz: int = 128,
        n_hid: int = 512,
        seq_len: int | None = 8,
        n_layers: int = 1,  # LSTM layers; each reads the outputs of the one below
        output_p: float = 0.5,  # dropout before the output layer
        layer_p: float = 0.3,  # dropout between layers
        hidden_p: float = 0.25,  # dropout of the hidden state before the recurrent product
        embed_p: float = 0.05,  # dropout of the embeddings' numbers
        weight_p: float = 0.0,  # dropout of the recurrent weights (Wan et al. 2013)
    ):
        """Outputs and hidden states have one dropout mask for all steps of a batch (Gal & Ghahramani 2016).

        Raises `ArchError` for a dropout outside [0, 1), and for `n_layers` not from 1 to 100."""
        check_dropout(output_p=output_p, layer_p=layer_p, hidden_p=hidden_p, embed_p=embed_p, weight_p=weight_p)
        self.n_layers = check_count("n_layers", n_layers, 1, MAX_LAYERS, ArchError)
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len)
        self.drop = RNNDropout(output_p)
        self.layer_drop = RNNDropout(layer_p)
        self.hidden_drop = RNNDropout(hidden_p)
        self.embed_drop = RNNDropout(embed_p)
        self.weight_drop = RNNDropout(weight_p)

    def layers(self, emb_sz, n_hid):
        sizes = [emb_sz, *[n_hid] * (self.n_layers - 1)]
        # W, b and R, r of the formulas above; then U
        self.inp = nn.ModuleList([nn.Linear(n_inp, 5 * n_hid) for n_inp in sizes])
        self.hid = nn.ModuleList([nn.Linear(n_hid, 4 * n_hid, bias=False) for _ in sizes])
        for layer in (*self.inp, *self.hid):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound)
        for layer in self.inp:
            nn.init.zeros_(layer.bias)
            # the forget gates start open (Gers, Schmidhuber & Cummins 2000)
            nn.init.ones_(layer.bias[n_hid : 2 * n_hid])

    def calls_modules(self) -> bool:
        "Whether all modules are called, as one has hooks or was replaced (see `module_calls`)."
        if self._parts is None:
            self._parts = parts_of(self, self.inp, self.hid)
        return must_call(self._parts)

    def table(self):
        if self.calls_modules():
            return self.embed_drop.of_matrix(self.all_embeddings())
        return self.inp[0](self.embed_drop.of_matrix(self.emb.weight))

    def layer_groups(self):
        return [[self.emb], *map(list, zip(self.inp, self.hid)), [self.out]]

    def init_hidden(self, bs):
        (zeros,) = super().init_hidden(bs)
        return (zeros, *(torch.zeros_like(zeros) for _ in range(2 * self.n_layers - 1)))

    def output(self, state):
        h, _ = state[-2:]
        return h

    def head(self, outs):
        return super().head(self.drop(outs))

    def step(self, inp, state):
        states = split_state(state, 2)
        if self.calls_modules():
            inp = self.inp[0](inp)
        for k, (h, c) in enumerate(states):
            if k:
                inp = self.inp[k](states[k - 1][0])
            gates, scale = self._split_inputs(inp)
            states[k] = lstm_cell(gates + self.hid[k](scale * h), c)
        return join_states(states)

    def forward_seq(self, x, state):
        states = split_state(state, 2)
        calls = self.calls_modules()
        chars = x.t()
        inp = self.inp[0](self._embedded(chars)) if calls else self.table()
        outs = None
        for k, (h, c) in enumerate(states):
            if k:
                inp = self.inp[k](self.layer_drop(outs))
            if calls:
                outs, *states[k] = self._plain_steps(inp, self._product(k), h, c)
            else:
                weight = self.weight_drop.of_matrix(self.hid[k].weight)
                outs, *states[k] = self._fast_steps(inp, weight, h, c, None if k else chars)
        return outs, join_states(states)

    def _fast_steps(self, inp, weight, h, c, chars):
        "With `chars`, `inp` is the table of which their rows are read."
        if chars is not None and (is_traced() or inp.is_cuda or len(inp) > chars.numel()):
            inp, chars = table_lookup(inp, chars), None
        if is_traced():
            return self._plain_steps(inp, lambda h: F.linear(h, weight), h, c)
        if inp.is_cuda:
            gates, scale = self._split_inputs(inp)
            return lstm_steps(gates, weight, h, c, self.hidden_drop(scale))
        drops = self.hidden_drop.training and self.hidden_p
        mask = self.hidden_drop(inp.new_ones(1, *h.shape)) if drops else None
        return scaled_lstm(inp, weight, h, c, mask, chars)

    def _plain_steps(self, inp, product, h, c):
        "`scaled_lstm` with autograd's gradients, and any function as the product with the recurrent weights."
        gates, scale = self._split_inputs(inp)
        outs = []
        for gate, factor in zip(gates.unbind(), self.hidden_drop(scale).unbind()):
            h, c = lstm_cell(gate + product(factor * h), c)
            outs.append(h)
        return torch.stack(outs), h, c

    def _embedded(self, x):
        "The embeddings of `x` by calling the module, with the dropout that the table has."
        e = self.emb(x)
        if not (self.embed_drop.training and self.embed_p):
            return e
        mask = self.embed_drop(e.new_ones(1, self.vocab_sz, self.emb_sz))[0]
        return e * F.embedding(x, mask)

    def _product(self, k):
        "A function that multiplies by the recurrent weights of layer `k` by calling the module."
        layer = self.hid[k]
        if not (self.weight_drop.training and self.weight_p):
            return layer
        if type(layer) is not nn.Linear or "weight" not in layer._parameters:
            raise ArchError(
                f"weight_p={self.weight_p} cannot drop the weights of {type(layer).__name__}, which are "
                "pruned, parametrized or quantized; set model.weight_p = 0"
            )
        weights = dict(weight=self.weight_drop.of_matrix(layer.weight))
        return lambda h: torch.func.functional_call(layer, weights, h)

    def _split_inputs(self, inp: Tensor) -> tuple[Tensor, Tensor]:  # (…, 4 n_hid), (…, n_hid)
        "Pre-activations of the gates, and the scale m of the hidden state."
        gates = inp[..., : 4 * self.n_hid]
        scale = 2 * inp[..., 4 * self.n_hid :].sigmoid()
        return gates, scale
