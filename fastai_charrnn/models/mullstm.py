"""`CharMulLstm`: LSTM layers that scale the hidden state, depending on the input, before the recurrent product.

    m_t = 2σ(R x_t + r)                       a factor for each number of the hidden state
    (i,f,g,o)_t = W x_t + U (m_t ⊙ h_{t-1}) + b
    c_t = σ(f) c_{t-1} + σ(i) tanh(g);   h_t = σ(o) tanh(c_t)

This is the second round of the Mogrifier (Melis, Kočiský & Blunsom 2020, eq. 2: h ← 2σ(R x) ⊙ h). It is also the
multiplicative LSTM with W_mh = 1 (Krause, Lu, Murray & Renals 2016, eq. 14-18: m = (W_mx x) ⊙ (W_mh h)). A character
has its own transition matrix, U diag(m). In the first layer x is a character, so m is part of the table.
"""

from torch import Tensor, nn
from torch.compiler import is_compiling

from .base import CharModel, join_states, split_state
from .gated import lstm_cell, lstm_steps
from .layers import check_dropout
from .recurrence import table_lookup
from .registry import register_arch

__all__ = ["CharMulLstm"]


@register_arch("mullstm")
class CharMulLstm(CharModel):
    "LSTM layers that scale their hidden state depending on the input, with dropouts that suit a small text."

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

        Raises `ArchError` for a dropout outside [0, 1)."""
        check_dropout(output_p=output_p, layer_p=layer_p, hidden_p=hidden_p, embed_p=embed_p, weight_p=weight_p)
        self.n_layers = n_layers
        self.output_p = output_p
        self.layer_p = layer_p
        self.hidden_p = hidden_p
        self.embed_p = embed_p
        self.weight_p = weight_p
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len)

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

    def table(self):
        embeddings = self.rnn_dropout(self.emb.weight[None], self.embed_p)[0]
        return self.inp[0](embeddings)

    def init_hidden(self, bs):
        (zeros,) = super().init_hidden(bs)
        return (zeros,) * (2 * self.n_layers)

    def output(self, state):
        h, _ = state[-2:]
        return h

    def head(self, outs):
        return super().head(self.rnn_dropout(outs, self.output_p))

    def step(self, inp, state):
        states = split_state(state, 2)
        for k, (h, c) in enumerate(states):
            if k:
                inp = self.inp[k](states[k - 1][0])
            gates, scale = self._split_inputs(inp)
            states[k] = lstm_cell(gates + self.hid[k](scale * h), c)
        return join_states(states)

    def forward_seq(self, x, state):
        # torch.compile traces the plain loop
        if is_compiling():
            return super().forward_seq(x, state)
        states = split_state(state, 2)
        inp = table_lookup(self.table(), x.t())
        outs = None
        for k, (h, c) in enumerate(states):
            if k:
                inp = self.inp[k](self.rnn_dropout(outs, self.layer_p))
            gates, scale = self._split_inputs(inp)
            weight = self.rnn_dropout(self.hid[k].weight[None], self.weight_p)[0]
            outs, h, c = lstm_steps(gates, weight, h, c, self.rnn_dropout(scale, self.hidden_p))
            states[k] = (h, c)
        return outs, join_states(states)

    def _split_inputs(self, inp: Tensor) -> tuple[Tensor, Tensor]:  # (…, 4 n_hid), (…, n_hid)
        "Pre-activations of the gates, and the scale m of the hidden state."
        gates = inp[..., : 4 * self.n_hid]
        scale = 2 * inp[..., 4 * self.n_hid :].sigmoid()
        return gates, scale
