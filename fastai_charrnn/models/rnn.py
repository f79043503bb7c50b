"""The architectures made of recurrent layers: lesson 6's `char3`, `loop`, `concat` and `rnn`, and `gru` and `lstm`.

Each is a layer of `layers` in a `CharModel`, with options for several layers, dropout, layer normalisation and tied
weights. Windows and chunks are read with the states of equal beginnings computed once (`beginnings`).
"""

import torch
from torch import nn

from .._checks import check_count
from ..errors import ArchError
from .base import CharModel, join_states, split_state
from .beginnings import every_row, find_beginnings
from .dropout import check_dropout, rate_of
from .kernels import prefers_onednn
from .layer import Layer
from .layers import ConcatLayer, GruLayer, LoopLayer, LstmLayer, RnnLayer
from .module_calls import any_hooked, must_call, parts_of
from .recurrence import table_lookup
from .registry import MAX_LAYERS, register_arch
from .tracing import is_recorded, is_traced

__all__ = ["LayeredModel", "Char3Model", "CharLoopModel", "CharLoopConcatModel", "CharRnn", "CharGru", "CharLstm"]


class LayeredModel(CharModel, Layer):
    """Base class of architectures with one or more equal recurrent layers.

    The model is its own first layer, so its weights have the names of lesson 6. `upper` holds the other layers."""

    kind: type[Layer]  # the class of the other layers
    output_p = rate_of("drop")
    layer_p = rate_of("layer_drop")
    _parts = None

    def __init__(
        self,
        vocab_sz: int,
        emb_sz: int = 42,
        n_hid: int = 256,
        seq_len: int | None = 8,
        n_layers: int = 1,  # recurrent layers; each reads the outputs of the one below
        output_p: float = 0.0,  # dropout before the output layer
        layer_norm: bool = False,  # whether to normalise each layer's outputs (Ba, Kiros & Hinton 2016)
        tie_weights: bool = False,  # whether embedding and output layer share weights (Press & Wolf 2017)
        identity: bool = False,  # whether hidden-to-hidden weights start as the identity (Le, Jaitly & Hinton 2015)
        layer_p: float | None = None,  # dropout between layers; None: `output_p`
    ):
        """`torch.nn.LSTM(dropout=p)` is `output_p=0, layer_p=p`. With `tie_weights`, `emb_sz` must be `n_hid`.

        Raises `ArchError` for a dropout outside [0, 1), for `n_layers` not from 1 to 100, and for sizes that cannot be
        tied."""
        if layer_p is None:
            layer_p = output_p
        check_dropout(output_p=output_p, layer_p=layer_p)
        n_layers = check_count("n_layers", n_layers, 1, MAX_LAYERS, ArchError)
        if tie_weights and emb_sz != n_hid:
            raise ArchError(f"tie_weights=True needs emb_sz equal to n_hid={n_hid}, got {emb_sz}; pass emb_sz={n_hid}")
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len)
        self.upper = nn.ModuleList([self.kind(n_hid, n_hid) for _ in range(n_layers - 1)])
        n_norms = n_layers if layer_norm else 0
        self.norms = nn.ModuleList([nn.LayerNorm(n_hid) for _ in range(n_norms)])
        self.drop = nn.Dropout(output_p)
        self.layer_drop = nn.Dropout(layer_p)
        if tie_weights:
            self.out.weight = self.emb.weight
        if identity:
            for layer in (self, *self.upper):
                layer.to_identity()

    def calls_modules(self) -> bool:
        "Whether the embedding and the layers are called, as they have hooks or were replaced (see `module_calls`)."
        if self._parts is None:
            self._parts = parts_of(self, *self.upper)
        return must_call(self._parts)

    def table(self):
        # where modules are called, a step does what is otherwise done for all characters at once
        return self.all_embeddings() if self.calls_modules() else self.project(self.emb.weight)

    def layer_groups(self):
        first = [part for name, part in self.named_children() if name not in ("emb", "out", "upper", "norms")]
        layers = [first, *([layer] for layer in self.upper)]
        for layer, norm in zip(layers, self.norms):
            layer.append(norm)
        return [[self.emb], *layers, [self.out]]

    def init_hidden(self, bs):
        (zeros,) = super().init_hidden(bs)
        n_tensors = self.n_state * (1 + len(self.upper))
        return (zeros, *(torch.zeros_like(zeros) for _ in range(n_tensors - 1)))

    def output(self, state):
        return self._normed(-1, self.layer_output(state[-self.n_state :]))

    def head(self, outs):
        return super().head(self.drop(outs))

    def step(self, inp, state):
        if self.calls_modules():
            return self._call_layers(inp[None], state)[1]
        states = split_state(state, self.n_state)
        states[0] = self.cell(inp, states[0])
        for k, layer in enumerate(self.upper):
            e = self._between(k, self.layer_output(states[k]))
            states[k + 1] = layer.cell(layer.project(e), states[k + 1])
        return join_states(states)

    def forward_seq(self, x, state):
        if self.calls_modules() or self._runs_fused(x):
            outs, state = self._call_layers(self.emb(x.t()), state)
            return self._normed(-1, outs), state
        states = split_state(state, self.n_state)
        outs, states[0] = self._read_table(x.t(), states[0])
        for k, layer in enumerate(self.upper):
            outs, states[k + 1] = self._read_inputs(layer, self._between(k, outs), states[k + 1])
        return self._normed(-1, outs), join_states(states)

    def encode(self, x):
        return self._read_rows(x)[2] if self._shares(x) else super().encode(x)

    def read_windows(self, x):
        if self.target == "next" or not self._shares(x):
            return super().read_windows(x)
        beginnings, outs, _ = self._read_rows(x)
        outs = self._normed(-1, outs)
        if self.training and self.drop.p > 0:
            # with dropout the rows of equal beginnings differ
            return self.head(beginnings.expand(outs)).transpose(0, 1)
        return beginnings.expand(self.head(outs)).transpose(0, 1)

    def _shares(self, x):
        "Whether windows `x` are read with the states of equal beginnings computed once."
        cls = type(self)
        is_own = cls.forward_seq is LayeredModel.forward_seq and cls.init_hidden is LayeredModel.init_hidden
        if not is_own or not self.shares or (self.fused and x.is_cuda) or is_traced() or self.calls_modules():
            return False
        return not any_hooked(self.out, self.drop, self.layer_drop, *self.norms)

    def _read_rows(self, x):
        "Read windows. Returns their beginnings, the last layer's output after each, and the state after each window."
        beginnings = find_beginnings(x.t(), self.vocab_sz)
        outs, state = self.forward_table(self.table(), beginnings, None)
        states = [state]
        if self.upper and self.training and self.layer_drop.p > 0:
            # with dropout between the layers the rows of equal beginnings differ
            outs = beginnings.expand(outs).flatten(0, 1)
            beginnings = every_row(*x.t().shape)
        for k, layer in enumerate(self.upper):
            outs, state = layer.forward_inputs(self._between(k, outs), beginnings, None)
            states.append(state)
        return beginnings, outs, join_states(states)

    def _read_table(self, chars, state):
        "Read the characters (n, bs) by the first layer."
        if is_traced():
            return self.forward_layer(table_lookup(self.table(), chars), state)
        outs, state = self.forward_table(self.table(), every_row(*chars.shape, chars.flatten()), state)
        return outs.unflatten(0, chars.shape), state

    def _read_inputs(self, layer, e, state):
        "Read inputs (n, bs, n_hid) by another layer."
        if is_traced():
            return layer.forward_layer(layer.project(e), state)
        outs, state = layer.forward_inputs(e.flatten(0, 1), every_row(*e.shape[:2]), state)
        return outs.unflatten(0, e.shape[:2]), state

    def _runs_fused(self, x):
        "Whether to take the library's loop: on a GPU cuDNN's, on a CPU oneDNN's. Neither can be transformed."
        if not self.fused or is_recorded():
            return False
        if x.is_cuda:
            # it has gradients in training mode only
            return self.training or not torch.is_grad_enabled()
        n_layers = 1 + len(self.upper)
        return self.has_onednn and not is_traced() and prefers_onednn(self.emb.weight, self.n_hid, n_layers)

    def _call_layers(self, e, state):
        "Read embeddings (n, bs, emb_sz) by calling the layers. Returns the outputs of the last one, and the state."
        states = split_state(state, self.n_state)
        outs, states[0] = self.run_modules(e, states[0])
        for k, layer in enumerate(self.upper):
            outs, states[k + 1] = layer(self._between(k, outs), states[k + 1])
        return outs, join_states(states)

    def _normed(self, k, outs):
        "The outputs of layer `k`, normalised if the model does so."
        return self.norms[k](outs) if len(self.norms) else outs

    def _between(self, k, outs):
        "The inputs of layer `k + 1`, from the outputs of layer `k`."
        return self.layer_drop(self._normed(k, outs))


@register_arch("loop")
class CharLoopModel(LoopLayer, LayeredModel):
    "`h = tanh(H(h + relu(I(E[c]))))`, in a loop over the window."

    kind = LoopLayer


@register_arch("char3")
class Char3Model(CharLoopModel):
    "The step of `loop` three times, for windows of exactly three characters. (Lesson 6 writes the three steps out.)"

    fixed_seq_len = 3

    def __init__(self, vocab_sz: int, emb_sz: int = 42, n_hid: int = 256, seq_len: int = 3):
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len)

    def encode(self, x):
        if not is_recorded() and x.shape[1] != 3:
            raise ArchError(f"char3 reads windows of 3 characters, not {x.shape[1]}")
        return super().encode(x)


@register_arch("concat")
class CharLoopConcatModel(ConcatLayer, LayeredModel):
    "`h = tanh(H(relu(I([h ; E[c]]))))`: the hidden state and the embedding are concatenated instead of added."

    kind = ConcatLayer


@register_arch("rnn")
class CharRnn(RnnLayer, LayeredModel):
    "The tanh RNN layer of PyTorch."

    kind = RnnLayer


@register_arch("gru")
class CharGru(GruLayer, LayeredModel):
    "A gated recurrent unit (Cho et al. 2014), as `torch.nn.GRU`."

    kind = GruLayer


@register_arch("lstm")
class CharLstm(LstmLayer, LayeredModel):
    "A long short-term memory (Hochreiter & Schmidhuber 1997), as `torch.nn.LSTM`. Its state is (h, c)."

    kind = LstmLayer
