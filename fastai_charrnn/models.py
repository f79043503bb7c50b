"""The architectures: the reference's four, and the two gated ones that practice prefers.

All share one protocol. A character contributes a row of `table()`; `step` takes that row and the state to the next
state; `readout` turns the state into log-probabilities. The vocabulary is small and a batch holds thousands of
characters, so whatever depends on the character alone is computed once a batch for all characters (the table) and
looked up. Same values as the layers written out, fewer products; `tests/oracles.py` holds them to that.

Shapes: bs windows of n characters, V characters in the vocabulary, k numbers a table row.
"""
import torch
import torch.nn.functional as F
from torch import Tensor,nn
from torch.compiler import is_compiling

from .archs import register_arch
from .errors import ArchError
from .recurrence import concat_steps,tanh_of,tanh_steps

__all__ = ["CharModel", "Char3Model", "CharLoopModel", "CharLoopConcatModel", "CharRnn", "CharGru", "CharLstm"]


class CharModel(nn.Module):
    "The job of an architecture: `layers`, `table` and `step`. Embedding, looping and reading out are here."
    only_window:int|None = None # the one window an architecture is made for, where it is

    def __init__(self,
        vocab_sz:int, # V, characters in the vocabulary, padding included
        emb_sz:int=42, # numbers that embed a character
        n_hid:int=256, # hidden units
        window:int|None=8 # characters it is trained on; None: the hidden state is carried on
    ):
        super().__init__()
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

    def start(self, inp:Tensor): # inp (bs, k) -> state
        "Read the first character, from a state of zeros."
        return self.step(inp, self.init_hidden(len(inp)))

    def init_hidden(self, bs:int) -> Tensor: # (bs, n_hid)
        "The state before the first character: zeros."
        return self.out.weight.new_zeros(bs, self.n_hid)

    def readout(self, h) -> Tensor: # state -> (bs, V)
        "Log-probabilities of the next character."
        out = self.out(self.output(h))
        return out.log_softmax(-1, torch.float32 if out.dtype.itemsize < 4 else None) # 16 bits would be coarse

    def output(self, h) -> Tensor: # state -> (bs, n_hid)
        "The part of the state that is read out."
        return h

    def read(self, x:Tensor): # (bs, n) -> state
        "Read whole windows from a state of zeros."
        first,*rest = F.embedding(x.t(), self.table()).unbind() # n of (bs, k)
        h = self.start(first)
        for inp in rest: h = self.step(inp, h)
        return h

    def forward(self,
        *chars:Tensor # windows (bs, n), or n tensors (bs,) as the reference calls it
    ) -> Tensor: # (bs, V) log-probabilities
        "Log-probabilities of the character after each window."
        return self.readout(self.read(chars[0] if chars[0].dim() == 2 else torch.stack(chars, 1)))


@register_arch("loop")
class CharLoopModel(CharModel):
    "`h = tanh(H(h + relu(I(E[c]))))`, in a loop over the window."

    def layers(self, emb_sz, n_hid): self.inp,self.hid = nn.Linear(emb_sz, n_hid),nn.Linear(n_hid, n_hid)

    def table(self): return self.hid(self.inp(self.emb.weight).relu()) # H(h+i) = W h + (W i + b): the bracket is a table
    def start(self, inp): return inp.tanh()
    def step(self, inp, h): return tanh_of(torch.addmm(inp, h, self.hid.weight.t()))
    def read(self, x): return super().read(x) if is_compiling() else tanh_steps(self.table(), x.t(), self.hid.weight)


@register_arch("char3")
class Char3Model(CharLoopModel):
    "The same step three times: windows of exactly three characters. (The reference writes them out.)"
    only_window = 3

    def __init__(self, vocab_sz:int, emb_sz:int=42, n_hid:int=256, window:int=3):
        super().__init__(vocab_sz, emb_sz, n_hid, window)

    def read(self, x):
        if x.shape[1] != 3: raise ArchError(f"char3 reads windows of 3 characters, not {x.shape[1]}")
        return super().read(x)


@register_arch("concat")
class CharLoopConcatModel(CharModel):
    "`h = tanh(H(relu(I([h ; E[c]]))))`: hidden state and embedding side by side, so that neither is lost in a sum."

    def layers(self, emb_sz, n_hid): self.inp,self.hid = nn.Linear(n_hid+emb_sz, n_hid),nn.Linear(n_hid, n_hid)

    def table(self): return F.linear(self.emb.weight, self.inp.weight[:, self.n_hid:], self.inp.bias)
    def start(self, inp): return self.hid(inp.relu()).tanh()
    def step(self, inp, h): return tanh_of(self.hid(torch.addmm(inp, h, self.inp.weight[:, :self.n_hid].t()).relu_()))

    def read(self, x): return super().read(x) if is_compiling() else concat_steps(self.table(), x.t(), self.inp.weight[:, :self.n_hid], self.hid.weight, self.hid.bias)


class _LibraryRnn(CharModel):
    "An architecture whose parameters are one of the library's recurrent layers, which runs the loop where it is faster (cuDNN)."
    layer:type[nn.RNNBase]

    def layers(self, emb_sz, n_hid): self.rnn = self.layer(emb_sz, n_hid)

    def table(self): return F.linear(self.emb.weight, self.rnn.weight_ih_l0, self.rnn.bias_ih_l0)

    def read(self, x):
        if not x.is_cuda: return super().read(x)
        h = self.rnn(self.emb(x.t()))[1] # (1, bs, n_hid), a pair of them for the LSTM
        return tuple(o[0] for o in h) if isinstance(h, tuple) else h[0]


@register_arch("rnn")
class CharRnn(_LibraryRnn):
    "The library's tanh RNN layer over the window; its last output is read out."
    layer = nn.RNN

    def table(self): return super().table() + self.rnn.bias_hh_l0
    def start(self, inp): return inp.tanh()
    def step(self, inp, h): return tanh_of(torch.addmm(inp, h, self.rnn.weight_hh_l0.t()))

    def read(self, x): return super().read(x) if x.is_cuda or is_compiling() else tanh_steps(self.table(), x.t(), self.rnn.weight_hh_l0)


@register_arch("gru")
class CharGru(_LibraryRnn):
    "A gated recurrent unit in the same place (Cho et al. 2014, in the form of `torch.nn.GRU`)."
    layer = nn.GRU

    def step(self, inp, h):
        ri,zi,ni = inp.chunk(3, -1)
        rh,zh,nh = F.linear(h, self.rnn.weight_hh_l0, self.rnn.bias_hh_l0).chunk(3, -1)
        z = (zi+zh).sigmoid()
        return torch.lerp(tanh_of(ni + (ri+rh).sigmoid()*nh).to(h.dtype), h, z.to(h.dtype)) # under autocast the state keeps its 32 bits


@register_arch("lstm")
class CharLstm(_LibraryRnn):
    "A long short-term memory in the same place (Hochreiter & Schmidhuber 1997, in the form of `torch.nn.LSTM`); its state is (h, c)."
    layer = nn.LSTM

    def table(self): return super().table() + self.rnn.bias_hh_l0
    def init_hidden(self, bs): return super().init_hidden(bs),super().init_hidden(bs)
    def output(self, h): return h[0]

    def step(self, inp, h):
        h,c = h
        i,f,g,o = torch.addmm(inp, h, self.rnn.weight_hh_l0.t()).chunk(4, -1)
        c = f.sigmoid()*c + i.sigmoid()*tanh_of(g)
        return o.sigmoid()*tanh_of(c.clone()),c
