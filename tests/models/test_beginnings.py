"""Equal beginnings of windows are computed once: values and gradients are those of reading step by step."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_checks import V, assert_equal_gradients, make_model, random_windows, with_noise
from oracles import step_by_step
from torch import nn

from fastai_charrnn.models import kernels
from fastai_charrnn.models.beginnings import every_row, find_beginnings
from fastai_charrnn.models.layer import Layer
from fastai_charrnn.models.layers import ConcatLayer, GruLayer, LoopLayer, LstmLayer, RnnLayer

layers = pytest.mark.parametrize("cls", [LoopLayer, ConcatLayer, RnnLayer, GruLayer, LstmLayer])
deep = pytest.mark.parametrize("n_layers,layer_norm", [(1, False), (2, True)])
archs = pytest.mark.parametrize("arch", ["loop", "concat", "rnn", "gru", "lstm"])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 60), st.integers(1, 6), st.integers(0, 1000))
def test_each_window_finds_its_characters_and_beginnings(n, bs, kinds, seed):
    x = random_windows(n, bs, seed) % kinds
    beginnings = find_beginnings(x, V)
    assert torch.equal(beginnings.expand(beginnings.chars[:, None])[..., 0], x)
    assert len(beginnings.chars) <= n * bs
    # a number for each beginning: the digits are its characters
    rows = []
    for level, chars in zip(beginnings.levels, beginnings.split(beginnings.chars)):
        before = rows[-1] if rows else torch.zeros(1, dtype=torch.int64).expand(level.size)
        rows.append((before if level.parent is None else before[level.parent]) * V + chars)
    numbers = (x * V ** torch.arange(n).flip(0)[:, None]).sum(0)
    assert torch.equal(beginnings.last(rows[-1]), numbers)
    assert beginnings.levels[0].size == len(x[0].unique())


def _sums_and_gradients(outs, state, weights):
    "The gradients of a sum in which each output and state has another factor."
    factors = torch.randn(outs.shape, dtype=outs.dtype, generator=torch.Generator().manual_seed(0))
    total = (outs * factors).sum() + sum((o * factors[0]).sum() for o in state)
    return torch.autograd.grad(total, weights)


@layers
@pytest.mark.parametrize("kinds", [3, V])
def test_rows_of_a_layer_equal_the_sequence(cls, kinds):
    torch.manual_seed(0)
    layer = cls(6, 8).double()
    x = random_windows(4, 40) % kinds
    beginnings = find_beginnings(x, V)
    emb = torch.randn(V, 6, dtype=torch.float64, requires_grad=True)
    weights = [emb, *layer.parameters()]
    zeros = (torch.zeros(40, 8, dtype=torch.float64),) * layer.n_state
    rows, last = layer.forward_rows(layer.project(emb[beginnings.chars]), beginnings)
    plain = Layer.forward_layer(layer, layer.project(emb[x]), zeros)
    grads = _sums_and_gradients(*plain, weights)
    unshared, unshared_last = layer.forward_rows(layer.project(emb[x.flatten()]), every_row(4, 40))
    sequence = layer.forward_layer(layer.project(emb[x]), zeros)
    of_inputs, inputs_last = layer.forward_inputs(emb[beginnings.chars], beginnings, None)
    of_table, table_last = layer.forward_table(layer.project(emb), beginnings, None)
    found = [
        (beginnings.expand(rows), last),
        (unshared.view(4, 40, 8), unshared_last),
        (beginnings.expand(of_inputs), inputs_last),
        (beginnings.expand(of_table), table_last),
        sequence,
    ]
    for outs, state in found:
        torch.testing.assert_close((outs, *state), (plain[0], *plain[1]), atol=1e-12, rtol=0)
        torch.testing.assert_close(_sums_and_gradients(outs, state, weights), grads, atol=1e-11, rtol=0)


@layers
def test_a_sequence_continues_a_state(cls):
    torch.manual_seed(0)
    layer = cls(6, 8).double()
    x = random_windows(70, 10)
    emb = torch.randn(V, 6, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(10, 8, dtype=torch.float64, requires_grad=True) for _ in range(layer.n_state))
    weights = [emb, *layer.parameters(), *state]
    plain = Layer.forward_layer(layer, layer.project(emb[x]), state)
    grads = _sums_and_gradients(*plain, weights)
    rows = every_row(70, 10, x.flatten())
    found = [
        layer.forward_layer(layer.project(emb[x]), state),
        layer.forward_table(layer.project(emb), rows, state),
        layer.forward_inputs(emb[x.flatten()], rows, state),
    ]
    for outs, last in found:
        outs = outs.view(70, 10, 8)
        torch.testing.assert_close((outs, *last), (plain[0], *plain[1]), atol=1e-12, rtol=0)
        torch.testing.assert_close(_sums_and_gradients(outs, last, weights), grads, atol=1e-10, rtol=0)


@archs
@deep
@pytest.mark.parametrize("target", ["next", "every"])
@pytest.mark.parametrize("kinds", [2, V])
def test_windows_and_chunks_equal_reading_step_by_step(arch, n_layers, layer_norm, target, kinds):
    model = with_noise(make_model(arch, seq_len=5, n_layers=n_layers, layer_norm=layer_norm))
    model.target = target
    x = random_windows(30, 5) % kinds
    stepped, whole = step_by_step(model, x), model(x)
    if target == "next":
        stepped = stepped[:, -1]
    torch.testing.assert_close(stepped, whole, atol=1e-10, rtol=0)
    factors = torch.randn(stepped.shape, dtype=stepped.dtype)
    assert_equal_gradients(model, (stepped * factors).sum(), (whole * factors).sum())


@archs
@pytest.mark.parametrize("name", ["output_p", "layer_p"])
def test_dropout_differs_between_equal_windows(arch, name):
    model = make_model(arch, seq_len=5, n_layers=2, output_p=0.0, layer_p=0.0)
    x = random_windows(1, 5).expand(20, 5)
    assert len(model(x).unique(dim=0)) == 1
    setattr(model, name, 0.5)
    assert len(model(x).unique(dim=0)) == 20


def test_hooks_see_the_rows_of_the_batch():
    model = make_model("rnn", seq_len=5)
    shapes = []
    model.out.register_forward_hook(lambda module, inp, out: shapes.append(tuple(out.shape)))
    x = random_windows(20, 5) % 2
    hooked = model(x)
    assert shapes == [(5, 20, V)]
    model.out._forward_hooks.clear()
    torch.testing.assert_close(model(x), hooked, atol=1e-12, rtol=0)
    assert len(shapes) == 1


def test_a_model_with_another_first_state_is_read_from_it():
    model = make_model("rnn", seq_len=5)
    ones = torch.ones(20, model.n_hid, dtype=torch.float64)
    x = random_windows(20, 5) % 2
    from_zeros = model(x)
    Started = type("Started", (type(model),), {"init_hidden": lambda self, bs: (ones[:bs],)})
    model.__class__ = Started
    torch.testing.assert_close(model(x), step_by_step(model, x), atol=1e-12, rtol=0)
    assert not torch.allclose(model(x), from_zeros)


def test_an_output_layer_that_is_no_plain_layer_sees_all_rows():
    model = make_model("rnn", seq_len=5)
    model.out = nn.Sequential(nn.Flatten(0, 1), nn.BatchNorm1d(16), nn.Linear(16, V)).double()
    x = random_windows(20, 5) % 2
    whole = model(x)
    model.zero_grad()
    model.seq_len = None
    torch.testing.assert_close(model(x), whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize("arch", ["loop", "concat", "rnn"])
@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("seq_len", [None, 5])
def test_bfloat16_equals_float32_to_its_rounding(arch, fast, seq_len, monkeypatch):
    "Whether products are of bfloat16, or of float32 where that is faster."
    monkeypatch.setattr(kernels, "has_fast_bf16", lambda: fast)
    model = make_model(arch, seq_len=seq_len, n_layers=2).float()
    x = random_windows(30, 5) % 4
    weights = list(model.parameters())
    factors = torch.randn(30, 5, V)

    def run(read, bf16):
        model.reset()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            outs = read(x)
        return outs.detach(), *torch.autograd.grad((outs * factors).sum(), weights)

    exact = run(model, False)
    plain = run(partial(step_by_step, model), True)
    for ours, stepped, value in zip(run(model, True), plain, exact):
        assert not torch.equal(ours, value)
        # where a relu switches by rounding, gradients differ by more than a rounding
        assert (ours - value).norm() < 3 * (stepped - value).norm() + 0.01 * value.norm()


def test_the_forms_of_tanh_are_equal_to_rounding(monkeypatch):
    x = torch.linspace(-20, 20, 1001)
    for is_fast in (False, True):
        monkeypatch.setattr(kernels, "has_fast_tanh", partial(bool, is_fast))
        torch.testing.assert_close(kernels.fast_tanh_(x.clone()), x.tanh(), atol=2e-7, rtol=0)


def test_rules_of_other_cpus(monkeypatch):
    "An EPYC has fast products of bfloat16 and a slow tanh, a Xeon without AMX the opposite."
    monkeypatch.setattr(kernels.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    cpus = {
        "vendor_id: AuthenticAMD\nflags: avx2 avx512_bf16": (False, True),
        "vendor_id: AuthenticAMD\nflags: avx2": (False, False),
        "vendor_id: GenuineIntel\nflags: avx512_bf16": (True, False),
        "vendor_id: GenuineIntel\nflags: avx512_bf16 amx_bf16": (True, True),
    }
    for info, expected in cpus.items():
        monkeypatch.setattr(kernels, "_cpu_info", partial(str, info))
        assert (kernels.has_fast_tanh.__wrapped__(), kernels.has_fast_bf16.__wrapped__()) == expected
    monkeypatch.setattr(kernels.platform, "machine", lambda: "aarch64")
    assert kernels.has_fast_bf16.__wrapped__()
