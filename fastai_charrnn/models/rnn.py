"""The architectures made of recurrent layers: lesson 6's four (`loop`, `char3`, `concat`, `rnn`), `gru` and `lstm`."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.compiler import is_compiling

from ..errors import ArchError
from .base import CharModel
from .layers import ConcatLayer, GruLayer, Layer, LoopLayer, LstmLayer, RnnLayer, check_parts
from .recurrence import concat_steps, table_lookup, tanh_steps
from .registry import register_arch

__all__ = ["LayeredModel", "Char3Model", "CharLoopModel", "CharLoopConcatModel", "CharRnn", "CharGru", "CharLstm"]


class LayeredModel(CharModel, Layer):
    "An architecture of equal recurrent layers: itself the first (it inherits a `Layer`, as the reference's have their weights), `upper` the others."

    kind: type[Layer]  # what the others are

    def __init__(
        self,
        vocab_sz: int,
        emb_sz: int = 42,
        n_hid: int = 256,
        seq_len: int | None = 8,
        n_layers: int = 1,  # recurrent layers, each reading the one below
        output_p: float = 0.0,  # the part of each layer's outputs that training leaves out
        layer_norm: bool = False,  # whether each layer's outputs are normalised (Ba, Kiros & Hinton 2016)
        tie_weights: bool = False,  # whether characters are read out by their embeddings (Press & Wolf 2017); then emb_sz is n_hid
        identity: bool = False,  # whether hidden-to-hidden weights start as the identity (Le, Jaitly & Hinton 2015)
        layer_p: float
        | None = None,  # the part left out between layers, where it is not `dropout`; `torch.nn.LSTM(dropout=p)` is dropout=0, layer_p=p
    ):
        if layer_p is None:
            layer_p = output_p
        check_parts(output_p=output_p, layer_p=layer_p)
        if not isinstance(n_layers, int) or n_layers < 1:
            raise ArchError(f"n_layers={n_layers!r} is not a whole number from 1 up")
        if tie_weights and emb_sz != n_hid:
            raise ArchError(
                f"tie_weights=True reads characters out by their embeddings, so that emb_sz={emb_sz} must be n_hid={n_hid}; pass emb_sz={n_hid}"
            )
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len)
        self.upper = nn.ModuleList([self.kind(n_hid, n_hid) for _ in range(n_layers - 1)])
        self.norms = nn.ModuleList([nn.LayerNorm(n_hid) for _ in range(n_layers if layer_norm else 0)])
        self.drop = nn.Dropout(output_p)
        self.layer_p = layer_p
        if tie_weights:
            self.out.weight = self.emb.weight
        if identity:
            for o in (self, *self.upper):
                o.to_identity()

    def table(self):
        return self.project(self.emb.weight)

    def init_hidden(self, bs):
        parts = tuple(super(LayeredModel, self).init_hidden(bs) for _ in range(self.n_parts * (1 + len(self.upper))))
        return parts if len(parts) > 1 else parts[0]

    def output(self, h):
        top = self.layer_output(self._split(h)[-1])
        return self.norms[-1](top) if len(self.norms) else top

    def head(self, outs):
        return super().head(self.drop(outs))

    def step(self, inp, h):
        states = self._split(h)
        states[0] = self.cell(inp, states[0])
        for k, layer in enumerate(self.upper):
            states[k + 1] = layer.cell(layer.project(self._between(k, self.layer_output(states[k]))), states[k + 1])
        return self._joined(states)

    def forward_seq(self, x, h):
        # cuDNN has no gradients outside training
        states = self._split(h)
        lib = self.fused and x.is_cuda and (self.training or not torch.is_grad_enabled())
        if lib:
            outs, states[0] = self.run_fused(self.emb(x.t()), states[0])
        else:
            outs, states[0] = self.forward_layer(table_lookup(self.table(), x.t()), states[0])
        for k, layer in enumerate(self.upper):
            e = self._between(k, outs)
            if lib:
                outs, states[k + 1] = layer.run_fused(e, states[k + 1])
            else:
                outs, states[k + 1] = layer.forward_layer(layer.project(e), states[k + 1])
        return (self.norms[-1](outs) if len(self.norms) else outs), self._joined(states)

    def _between(self, k, outs):
        "What layer k+1 reads of layer k."
        return F.dropout(self.norms[k](outs) if len(self.norms) else outs, self.layer_p, self.training)

    def _split(self, h):
        "The state, layer by layer."
        p = self.n_parts
        if not isinstance(h, tuple):
            return [h]
        return [h[i] if p == 1 else h[i : i + p] for i in range(0, len(h), p)]

    def _joined(self, states):
        if len(states) == 1:
            return states[0]
        return tuple(states) if self.n_parts == 1 else tuple(o for s in states for o in s)


@register_arch("loop")
class CharLoopModel(LoopLayer, LayeredModel):
    "`h = tanh(H(h + relu(I(E[c]))))`, in a loop over the window."

    kind = LoopLayer

    def encode(self, x):
        return super().encode(x) if self.upper or is_compiling() else tanh_steps(self.table(), x.t(), self.hid.weight)


@register_arch("char3")
class Char3Model(CharLoopModel):
    "The same step three times: windows of exactly three characters. (The reference writes them out.)"

    fixed_seq_len = 3

    def __init__(self, vocab_sz: int, emb_sz: int = 42, n_hid: int = 256, seq_len: int = 3):
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len)

    def encode(self, x):
        if x.shape[1] != 3:
            raise ArchError(f"char3 reads windows of 3 characters, not {x.shape[1]}")
        return super().encode(x)


@register_arch("concat")
class CharLoopConcatModel(ConcatLayer, LayeredModel):
    "`h = tanh(H(relu(I([h ; E[c]]))))`: hidden state and embedding side by side, so that neither is lost in a sum."

    kind = ConcatLayer

    def encode(self, x):
        if self.upper or is_compiling():
            return super().encode(x)
        return concat_steps(self.table(), x.t(), self.inp.weight[:, : self.n_hid], self.hid.weight, self.hid.bias)


@register_arch("rnn")
class CharRnn(RnnLayer, LayeredModel):
    "The library's tanh RNN layer over the window; its last output is read out."

    kind = RnnLayer

    def encode(self, x):
        if self.upper or x.is_cuda or is_compiling():
            return super().encode(x)
        return tanh_steps(self.table(), x.t(), self.rnn.weight_hh_l0)


@register_arch("gru")
class CharGru(GruLayer, LayeredModel):
    "A gated recurrent unit in the same place (Cho et al. 2014, in the form of `torch.nn.GRU`)."

    kind = GruLayer


@register_arch("lstm")
class CharLstm(LstmLayer, LayeredModel):
    "A long short-term memory in the same place (Hochreiter & Schmidhuber 1997, in the form of `torch.nn.LSTM`); its state is (h, c)."

    kind = LstmLayer
