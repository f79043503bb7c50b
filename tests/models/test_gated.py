"""`lstm_steps`, `gru_steps` and their versions for packed rows equal PyTorch's layers, values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fastai_charrnn.models.beginnings import find_beginnings
from fastai_charrnn.models.gated import lstm_rows, lstm_steps
from fastai_charrnn.models.gru import gru_rows, gru_steps

both = pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU])


def _make(cls, n_hid, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return cls(3, n_hid, dtype=dtype), torch.randn(4, 3, dtype=dtype, requires_grad=True)


def _inputs(layer, e):
    "What `lstm_steps` and `gru_steps` read for embeddings `e`."
    hidden = layer.bias_hh_l0
    if isinstance(layer, nn.GRU):
        hidden = nn.functional.pad(hidden[: 2 * layer.hidden_size], (0, layer.hidden_size))
    return nn.functional.linear(e, layer.weight_ih_l0, layer.bias_ih_l0 + hidden)


def _rows(layer, emb, x):
    "Outputs and last state with equal beginnings computed once."
    beginnings = find_beginnings(x, len(emb))
    inp = _inputs(layer, emb[beginnings.chars])
    if isinstance(layer, nn.GRU):
        bias = layer.bias_hh_l0[2 * layer.hidden_size :]
        outs, *state = gru_rows(inp, beginnings, layer.weight_hh_l0, bias)
    else:
        outs, *state = lstm_rows(inp, beginnings, layer.weight_hh_l0)
    return beginnings.expand(outs), *state


def _steps(layer, emb, x, state):
    inp = _inputs(layer, emb[x])
    if isinstance(layer, nn.GRU):
        return gru_steps(inp, layer.weight_hh_l0, layer.bias_hh_l0[2 * layer.hidden_size :], *state)
    return lstm_steps(inp, layer.weight_hh_l0, *state)


def _library(layer, emb, x, state=None):
    if state is not None:
        state = state[0][None] if len(state) == 1 else tuple(o[None] for o in state)
    outs, last = layer(emb[x], state)
    return outs, *((last[0],) if isinstance(last, torch.Tensor) else (o[0] for o in last))


def _assert_equal(got, expected, weights, atol):
    "Equal values and gradients, of all outputs and of each alone, as others may have no gradient."
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, atol=atol, rtol=0)
    factors = [torch.randn_like(o) for o in got]
    for chosen in (range(len(got)), *([k] for k in range(len(got)))):
        sums = [sum((outs[k] * factors[k]).sum() for k in chosen) for outs in (got, expected)]
        for a, b in zip(*(torch.autograd.grad(o, weights, retain_graph=True) for o in sums)):
            torch.testing.assert_close(a, b, atol=10 * atol, rtol=0)


@both
@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 6), bs=st.integers(1, 40), n_hid=st.integers(1, 5), seed=st.integers(0, 99))
def test_packed_rows_equal_the_library(cls, n, bs, n_hid, seed):
    layer, emb = _make(cls, n_hid, seed=seed)
    x = torch.randint(len(emb), (n, bs))
    got, expected = _rows(layer, emb, x), _library(layer, emb, x)
    _assert_equal(got, expected, [emb, *layer.parameters()], atol=1e-12)


@both
@pytest.mark.parametrize("n,bs", [(1, 2), (7, 3), (10, 130)])
def test_sequences_equal_the_library(cls, n, bs):
    "With 130 rows the gradient of the weights is added up in several products."
    layer, emb = _make(cls, 5)
    x = torch.randint(len(emb), (n, bs))
    state = [torch.randn(bs, 5, dtype=emb.dtype, requires_grad=True) for _ in range(2 if cls is nn.LSTM else 1)]
    got, expected = _steps(layer, emb, x, state), _library(layer, emb, x, state)
    _assert_equal(got, expected, [emb, *layer.parameters(), *state], atol=1e-11)
