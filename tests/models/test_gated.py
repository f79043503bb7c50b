"""`lstm_steps`, `gru_steps` and their versions for packed rows equal PyTorch's layers, values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fastai_charrnn.all import get_arch
from fastai_charrnn.models.beginnings import every_row, find_beginnings
from fastai_charrnn.models.gated import lstm_rows, lstm_steps
from fastai_charrnn.models.gru import gru_rows, gru_steps
from fastai_charrnn.models.kernels import prefers_onednn

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


def _rows(layer, emb, beginnings, from_table, state=()):
    "Outputs and last state of packed rows, or of a table."
    inp = _inputs(layer, emb if from_table else emb[beginnings.chars])
    if isinstance(layer, nn.GRU):
        bias = layer.bias_hh_l0[2 * layer.hidden_size :]
        outs, *last = gru_rows(inp, beginnings, layer.weight_hh_l0, bias, *state, reads_table=from_table)
    else:
        outs, *last = lstm_rows(inp, beginnings, layer.weight_hh_l0, *state, reads_table=from_table)
    return beginnings.expand(outs), *last


def _steps(layer, emb, x, state, from_table):
    if from_table:
        return _rows(layer, emb, every_row(*x.shape, x.flatten()), True, state)
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
@given(
    n=st.integers(1, 6),
    bs=st.integers(1, 40),
    n_hid=st.integers(1, 5),
    seed=st.integers(0, 99),
    from_table=st.booleans(),
)
def test_packed_rows_equal_the_library(cls, n, bs, n_hid, seed, from_table):
    layer, emb = _make(cls, n_hid, seed=seed)
    x = torch.randint(len(emb), (n, bs))
    got, expected = _rows(layer, emb, find_beginnings(x, len(emb)), from_table), _library(layer, emb, x)
    _assert_equal(got, expected, [emb, *layer.parameters()], atol=1e-12)


@both
@pytest.mark.parametrize("n,bs", [(1, 2), (10, 130)])
@pytest.mark.parametrize("from_table", [False, True])
def test_sequences_equal_the_library(cls, n, bs, from_table):
    "With 130 rows the gradient of the weights is added up in several products."
    layer, emb = _make(cls, 5)
    x = torch.randint(len(emb), (n, bs))
    state = [torch.randn(bs, 5, dtype=emb.dtype, requires_grad=True) for _ in range(2 if cls is nn.LSTM else 1)]
    got, expected = _steps(layer, emb, x, state, from_table), _library(layer, emb, x, state)
    _assert_equal(got, expected, [emb, *layer.parameters(), *state], atol=1e-11)


@both
@pytest.mark.parametrize("from_table", [False, True])
@pytest.mark.parametrize("fast", [False, True])
def test_bfloat16_equals_float32_to_its_rounding(cls, from_table, fast, monkeypatch):
    "Whether products of bfloat16 are computed in bfloat16 or, where these are slow, in float32."
    monkeypatch.setattr("fastai_charrnn.models.kernels.has_fast_bf16", lambda: fast)
    layer, emb = _make(cls, 24, torch.float32)
    x = torch.randint(len(emb), (6, 50))
    state = [torch.randn(50, 24, requires_grad=True) for _ in range(2 if cls is nn.LSTM else 1)]
    with torch.autocast("cpu", torch.bfloat16):
        got = _steps(layer, emb, x, state, from_table) + _rows(layer, emb, find_beginnings(x, len(emb)), from_table)
    assert got[0].dtype == torch.bfloat16
    expected = _library(layer, emb, x, state) + _library(layer, emb, x)
    weights = [emb, *layer.parameters(), *state]
    factors = [torch.randn_like(o) for o in expected]
    grads = [
        torch.autograd.grad(sum((o * f).sum() for o, f in zip(outs, factors)), weights) for outs in (got, expected)
    ]
    for a, b in zip((*got, *grads[0]), (*expected, *grads[1]), strict=True):
        torch.testing.assert_close(a.float(), b, atol=0.02 * b.abs().max().item(), rtol=0)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_onednns_lstm_equals_ours(n_layers, monkeypatch):
    "Values, state and gradients, in float32 and for streams. With 512 units it is taken."
    torch.manual_seed(0)
    model = get_arch("lstm").cls(9, 5, 512, None, n_layers=n_layers)
    model.target = "every"
    x = torch.randint(9, (4, 6))
    results = []
    for rule in (prefers_onednn, lambda weight, n_hid, n_layers: False):
        monkeypatch.setattr("fastai_charrnn.models.rnn.prefers_onednn", rule)
        assert model._runs_fused(x) == (rule is prefers_onednn)
        model.reset()
        model(x)
        out = model(x)
        grads = torch.autograd.grad((out * torch.arange(9)).sum(), list(model.parameters()))
        results.append((out, *model.state, *grads))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4 * max(1, b.abs().max().item()), rtol=0)


def test_onednns_lstm_is_for_several_layers_or_threads(monkeypatch):
    weight = torch.zeros(1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert not prefers_onednn(weight, 256, 1)
    assert prefers_onednn(weight, 256, 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert prefers_onednn(weight, 256, 1)


def test_onednns_lstm_is_for_float32():
    assert prefers_onednn(torch.zeros(1), 512, 1)
    assert not prefers_onednn(torch.zeros(1).double(), 512, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert not prefers_onednn(torch.zeros(1), 512, 1)
