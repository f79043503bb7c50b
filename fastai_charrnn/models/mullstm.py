"""A stack of LSTMs whose recurrent product sees the last character: h is scaled, number by number, before it (`CharMulLstm`).

    m_t = 2σ(R x_t + r)                       what the input says of each number of the state
    (i,f,g,o)_t = W x_t + U (m_t ⊙ h_{t-1}) + b
    c_t = σ(f) c_{t-1} + σ(i) tanh(g);   h_t = σ(o) tanh(c_t)

This is the second round of the Mogrifier alone (Melis, Kočiský & Blunsom 2020, eq. 2: h ← 2σ(R x) ⊙ h), and the
multiplicative LSTM (Krause, Lu, Murray & Renals 2016, eq. 14-18: m = (W_mx x) ⊙ (W_mh h)) with W_mh = 1: each character
has a transition matrix of its own, U diag(m). In the first layer x is a character, so that m is a row of the table like
the rest and costs nothing.
"""

from torch import nn
from torch.compiler import is_compiling

from .base import CharModel
from .gated import lstm_steps
from .layers import check_parts
from .recurrence import table_lookup
from .registry import register_arch

__all__ = ["CharMulLstm"]


@register_arch("mullstm")
class CharMulLstm(CharModel):
    "An LSTM whose recurrent product sees the last character, and with the dropouts that a small text calls for."

    def __init__(
        self,
        vocab_sz: int,
        emb_sz: int = 128,
        n_hid: int = 512,
        seq_len: int | None = 8,
        n_layers: int = 1,  # LSTMs, each reading the one below
        output_p: float = 0.5,  # the part of the outputs that training leaves out before the read-out
        layer_p: float = 0.3,  # likewise between layers
        hidden_p: float = 0.25,  # likewise of the state before the recurrent product
        embed_p: float = 0.05,  # the part of the embeddings' numbers that training leaves out
        weight_p: float = 0.0,  # the part of the recurrent weights that training leaves out (Wan et al. 2013)
    ):
        """Masks of outputs and states are one for all steps of a batch (Gal & Ghahramani 2016).

        Raises `ArchError` for dropouts that are none."""
        check_parts(output_p=output_p, layer_p=layer_p, hidden_p=hidden_p, embed_p=embed_p, weight_p=weight_p)
        self.n_layers = n_layers
        self.output_p = output_p
        self.layer_p = layer_p
        self.hidden_p = hidden_p
        self.embed_p = embed_p
        self.weight_p = weight_p
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len)

    def layers(self, emb_sz, n_hid):
        self.inp = nn.ModuleList(
            [nn.Linear(n_hid if k else emb_sz, 5 * n_hid) for k in range(self.n_layers)]
        )  # W, b; R, r
        self.hid = nn.ModuleList([nn.Linear(n_hid, 4 * n_hid, bias=False) for _ in range(self.n_layers)])  # U
        for o in (*self.inp, *self.hid):
            nn.init.uniform_(o.weight, -(o.in_features**-0.5), o.in_features**-0.5)
        for o in self.inp:
            nn.init.zeros_(o.bias)
            nn.init.ones_(o.bias[n_hid : 2 * n_hid])  # the cell remembers at first (Gers, Schmidhuber & Cummins 2000)

    def table(self):
        return self.inp[0](self._drop(self.emb.weight[None], self.embed_p)[0])

    def init_hidden(self, bs):
        return tuple(super(CharMulLstm, self).init_hidden(bs) for _ in range(2 * self.n_layers))  # h, c of every layer

    def output(self, h):
        return h[-2]

    def head(self, outs):
        return super().head(self._drop(outs, self.output_p))

    def step(self, inp, h):
        new, k = (), self.n_hid
        for layer, u in enumerate(self.hid):
            if layer:
                inp = self.inp[layer](new[-2])
            i, f, g, o = (inp[:, : 4 * k] + u(2 * inp[:, 4 * k :].sigmoid() * h[2 * layer])).chunk(4, -1)
            c = f.sigmoid() * h[2 * layer + 1] + i.sigmoid() * g.tanh()
            new += (o.sigmoid() * c.tanh(), c)
        return new

    def forward_seq(self, x, h):
        if is_compiling():
            return super().forward_seq(x, h)  # the compiler wants the plain loop
        z = table_lookup(self.table(), x.t())
        outs = None
        new = ()
        k = self.n_hid
        for layer, u in enumerate(self.hid):
            if layer:
                z = self.inp[layer](self._drop(outs, self.layer_p))
            m = self._drop(2 * z[..., 4 * k :].sigmoid(), self.hidden_p)
            outs, *hc = lstm_steps(
                z[..., : 4 * k], self._drop(u.weight[None], self.weight_p)[0], *h[2 * layer : 2 * layer + 2], m
            )
            new += tuple(hc)
        return outs, new
