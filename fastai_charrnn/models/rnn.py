"""The architectures: the reference's four, and the two gated ones that practice prefers.

All share one protocol. A character contributes a row of `table()`; `step` takes that row and the state to the next
state; `readout` turns the state into log-probabilities. The vocabulary is small and a batch holds thousands of
characters, so whatever depends on the character alone is computed once a batch for all characters (the table) and
looked up. Same values as the layers written out, fewer products; `tests/oracles.py` holds them to that.

    target="next"                one prediction a window, from a state of zeros: the reference's way
    target="every"               one after each character of a window
    target="every", window=None  the same, and the state goes on from batch to batch (until `reset`)

Shapes: bs windows of n characters, V characters in the vocabulary, k numbers a table row.
"""
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor,nn
from torch.compiler import is_compiling

from .registry import register_arch
from ..errors import ArchError
from .layers import ConcatLayer,GruLayer,Layer,LoopLayer,LstmLayer,RnnLayer,check_parts
from .recurrence import concat_steps,look_up,tanh_steps

__all__ = ["CharModel", "LayeredModel", "Char3Model", "CharLoopModel", "CharLoopConcatModel", "CharRnn", "CharGru", "CharLstm"]


class CharModel(nn.Module):
    "The job of an architecture: `layers`, `table` and `step`. Embedding, looping, carrying the state and reading out are here."
    only_window:int|None = None # the one window an architecture is made for, where it is
    target = "next" # "next" or "every": after which characters it predicts
    state = None # what a model without a window carries from batch to batch

    def __init__(self,
        vocab_sz:int, # V, characters in the vocabulary, padding included
        emb_sz:int=42, # numbers that embed a character
        n_hid:int=256, # hidden units
        window:int|None=8 # characters it is trained on; None: the hidden state is carried on
    ):
        nn.Module.__init__(self)
        self.vocab_sz,self.emb_sz,self.n_hid,self.window = vocab_sz,emb_sz,n_hid,window
        self.emb = nn.Embedding(vocab_sz, emb_sz)
        self.layers(emb_sz, n_hid)
        self.out = nn.Linear(n_hid, vocab_sz)

    def layers(self, emb_sz:int, n_hid:int):
        "Make the layers between embedding and read-out, if there are any."

    def table(self) -> Tensor: # (V, k)
        "What each character contributes to the recurrence."
        raise NotImplementedError(f"{type(self).__name__} needs a method table() -> (vocab_sz, k)")

    def step(self, inp:Tensor, h): # inp (bs, k) rows of the table, h the state -> the next state
        "Read one character."
        raise NotImplementedError(f"{type(self).__name__} needs a method step(inp, h) -> state")

    def init_hidden(self, bs:int) -> Tensor: # (bs, n_hid)
        "The state before the first character: zeros."
        return self.out.weight.new_zeros(bs, self.n_hid)

    def readout(self, h) -> Tensor: # state -> (bs, V)
        "Log-probabilities of the next character."
        return self.predict(self.output(h))

    def output(self, h) -> Tensor: # state -> (bs, n_hid)
        "The part of the state that is read out."
        return h

    def predict(self, outs:Tensor) -> Tensor: # (…, n_hid) -> (…, V)
        "Log-probabilities of the next character after each output."
        out = self.out(outs)
        return out.log_softmax(-1, torch.float32 if out.dtype.itemsize < 4 else None) # 16 bits would be coarse

    def read(self, x:Tensor): # (bs, n) -> state
        "Read whole windows from a state of zeros."
        return self.read_all(x, self.init_hidden(len(x)))[1]

    def read_all(self, x:Tensor, h): # (bs, n), state -> (n, bs, n_hid), the last state
        "Read on from a state: the output after every character."
        outs = []
        for inp in F.embedding(x.t(), self.table()).unbind(): # n of (bs, k)
            h = self.step(inp, h)
            outs.append(self.output(h))
        return torch.stack(outs),h

    def reset(self):
        "Forget what was read: the next batch starts from a state of zeros. What fastai's `ModelResetter` calls."
        self.state = None

    def forward(self,
        *chars:Tensor # windows (bs, n), or n tensors (bs,) as the reference calls it
    ) -> Tensor: # (bs, V) log-probabilities, or (bs, n, V)
        "Log-probabilities of the character after each window, or after every character."
        x = chars[0] if chars[0].dim() == 2 else torch.stack(chars, 1)
        if self.target == "next": return self.readout(self.read(x))
        outs,h = self.read_all(x, self._carried(len(x)))
        if self.window is None: self.state = _map(h, Tensor.detach)
        return self.predict(outs).transpose(0, 1)

    @contextmanager
    def reading(self,
        target:str, # "next" or "every"
        window:int|None # None: the state is carried
    ):
        "The model reading in another way for a while; its state is put back."
        old = self.target,self.window,self.state
        self.target,self.window,self.state = target,window,None
        try: yield self
        finally: self.target,self.window,self.state = old

    def _drop(self, x, p):
        "Training's dropout, with one mask for all steps of a batch (Gal & Ghahramani 2016)."
        return x*x.new_empty(1, *x.shape[1:]).bernoulli_(1-p).div_(1-p) if self.training and p else x

    def _carried(self, bs):
        "The state to go on from. Rows of a smaller batch are the first of the larger before it; for a larger one there is none to go on from."
        h = self.state if self.window is None else None
        first = h[0] if isinstance(h, tuple) else h
        if h is None or len(first) < bs or first.device != self.out.weight.device: return self.init_hidden(bs)
        return _map(h, lambda o: o[:bs])


class LayeredModel(CharModel, Layer):
    "An architecture of equal recurrent layers: itself the first (it inherits a `Layer`, as the reference's have their weights), `upper` the others."
    kind:type[Layer] # what the others are

    def __init__(self, vocab_sz:int, emb_sz:int=42, n_hid:int=256, window:int|None=8,
        n_layers:int=1, # recurrent layers, each reading the one below
        dropout:float=0., # the part of each layer's outputs that training leaves out
        layer_norm:bool=False, # whether each layer's outputs are normalised (Ba, Kiros & Hinton 2016)
        tied:bool=False, # whether characters are read out by their embeddings (Press & Wolf 2017); then emb_sz is n_hid
        identity:bool=False, # whether hidden-to-hidden weights start as the identity (Le, Jaitly & Hinton 2015)
        layer_drop:float|None=None # the part left out between layers, where it is not `dropout`; `torch.nn.LSTM(dropout=p)` is dropout=0, layer_drop=p
    ):
        if layer_drop is None: layer_drop = dropout
        check_parts(dropout=dropout, layer_drop=layer_drop)
        if not isinstance(n_layers, int) or n_layers < 1: raise ArchError(f"n_layers={n_layers!r} is not a whole number from 1 up")
        if tied and emb_sz != n_hid: raise ArchError(f"tied=True reads characters out by their embeddings, so that emb_sz={emb_sz} must be n_hid={n_hid}; pass emb_sz={n_hid}")
        super().__init__(vocab_sz, emb_sz, n_hid, window)
        self.upper = nn.ModuleList([self.kind(n_hid, n_hid) for _ in range(n_layers-1)])
        self.norms = nn.ModuleList([nn.LayerNorm(n_hid) for _ in range(n_layers if layer_norm else 0)])
        self.drop,self.layer_drop = nn.Dropout(dropout),layer_drop
        if tied: self.out.weight = self.emb.weight
        if identity:
            for o in (self, *self.upper): o.to_identity()

    def table(self): return self.project(self.emb.weight)

    def init_hidden(self, bs):
        parts = tuple(super(LayeredModel, self).init_hidden(bs) for _ in range(self.n_parts*(1+len(self.upper))))
        return parts if len(parts) > 1 else parts[0]

    def output(self, h):
        top = self.layer_output(self._split(h)[-1])
        return self.norms[-1](top) if len(self.norms) else top

    def predict(self, outs): return super().predict(self.drop(outs))

    def step(self, inp, h):
        states = self._split(h)
        states[0] = self.layer_step(inp, states[0])
        for k,layer in enumerate(self.upper):
            states[k+1] = layer.layer_step(layer.project(self._between(k, self.layer_output(states[k]))), states[k+1])
        return self._joined(states)

    def read_all(self, x, h):
        states,lib = self._split(h),self.fused and x.is_cuda and (self.training or not torch.is_grad_enabled()) # cuDNN has no gradients outside training
        outs,states[0] = self.run_fused(self.emb(x.t()), states[0]) if lib else self.layer_run(look_up(self.table(), x.t()), states[0])
        for k,layer in enumerate(self.upper):
            e = self._between(k, outs)
            outs,states[k+1] = layer.run_fused(e, states[k+1]) if lib else layer.layer_run(layer.project(e), states[k+1])
        return (self.norms[-1](outs) if len(self.norms) else outs),self._joined(states)

    def _between(self, k, outs):
        "What layer k+1 reads of layer k."
        return F.dropout(self.norms[k](outs) if len(self.norms) else outs, self.layer_drop, self.training)

    def _split(self, h):
        "The state, layer by layer."
        p = self.n_parts
        if not isinstance(h, tuple): return [h]
        return [h[i] if p == 1 else h[i:i+p] for i in range(0, len(h), p)]

    def _joined(self, states):
        if len(states) == 1: return states[0]
        return tuple(states) if self.n_parts == 1 else tuple(o for s in states for o in s)


@register_arch("loop")
class CharLoopModel(LoopLayer, LayeredModel):
    "`h = tanh(H(h + relu(I(E[c]))))`, in a loop over the window."
    kind = LoopLayer

    def read(self, x): return super().read(x) if self.upper or is_compiling() else tanh_steps(self.table(), x.t(), self.hid.weight)


@register_arch("char3")
class Char3Model(CharLoopModel):
    "The same step three times: windows of exactly three characters. (The reference writes them out.)"
    only_window = 3

    def __init__(self, vocab_sz:int, emb_sz:int=42, n_hid:int=256, window:int=3): super().__init__(vocab_sz, emb_sz, n_hid, window)

    def read(self, x):
        if x.shape[1] != 3: raise ArchError(f"char3 reads windows of 3 characters, not {x.shape[1]}")
        return super().read(x)


@register_arch("concat")
class CharLoopConcatModel(ConcatLayer, LayeredModel):
    "`h = tanh(H(relu(I([h ; E[c]]))))`: hidden state and embedding side by side, so that neither is lost in a sum."
    kind = ConcatLayer

    def read(self, x):
        return super().read(x) if self.upper or is_compiling() else concat_steps(self.table(), x.t(), self.inp.weight[:, :self.n_hid], self.hid.weight, self.hid.bias)


@register_arch("rnn")
class CharRnn(RnnLayer, LayeredModel):
    "The library's tanh RNN layer over the window; its last output is read out."
    kind = RnnLayer

    def read(self, x): return super().read(x) if self.upper or x.is_cuda or is_compiling() else tanh_steps(self.table(), x.t(), self.rnn.weight_hh_l0)


@register_arch("gru")
class CharGru(GruLayer, LayeredModel):
    "A gated recurrent unit in the same place (Cho et al. 2014, in the form of `torch.nn.GRU`)."
    kind = GruLayer


@register_arch("lstm")
class CharLstm(LstmLayer, LayeredModel):
    "A long short-term memory in the same place (Hochreiter & Schmidhuber 1997, in the form of `torch.nn.LSTM`); its state is (h, c)."
    kind = LstmLayer


def _map(h, f): return tuple(map(f, h)) if isinstance(h, tuple) else f(h)
