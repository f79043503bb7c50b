"""The recurrence of `mullstm` equals its plain loop: values and gradients."""

from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fastai_charrnn.models import kernels, scaled_lstm
from fastai_charrnn.models.gated import lstm_cell


def _plain(inp, w, h, c, mask=None):
    "Step by step, with autograd's gradients."
    n_hid = w.shape[1]
    outs = []
    for x in inp:
        scale = 2 * x[:, 4 * n_hid :].sigmoid()
        factor = scale if mask is None else scale * mask[0]
        h, c = lstm_cell(x[:, : 4 * n_hid] + F.linear(factor * h, w), c)
        outs.append(h)
    return torch.stack(outs), h, c


def _arguments(n, bs, n_hid, dtype, drops):
    torch.manual_seed(n + bs)
    shapes = (n, bs, 5 * n_hid), (4 * n_hid, n_hid), (bs, n_hid), (bs, n_hid)
    args = [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]
    return [*args, torch.empty(1, bs, n_hid, dtype=dtype).bernoulli_(0.5).mul_(2) if drops else None]


def _outs_and_grads(run, args):
    outs = run(*args)
    total = sum((out.float() * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum() for out in outs)
    return [*outs, *torch.autograd.grad(total, args[:4])]


@contextmanager
def _blocks_of(size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaled_lstm, "_block_size", size)
        yield


@settings(max_examples=12, deadline=None)
@given(
    n=st.integers(1, 5), bs=st.integers(1, 4), n_hid=st.integers(1, 5), drops=st.booleans(), block=st.integers(1, 60)
)
def test_values_and_gradients_are_those_of_the_plain_loop(n, bs, n_hid, drops, block):
    "With blocks of one and of several steps."
    args = _arguments(n, bs, n_hid, torch.float64, drops)
    with _blocks_of(block):
        got = _outs_and_grads(scaled_lstm.scaled_lstm, args)
    for value, expected in zip(got, _outs_and_grads(_plain, args), strict=True):
        torch.testing.assert_close(value, expected, atol=1e-12, rtol=1e-11)


def _table_and_rest(args, n, bs, vocab_sz=7):
    "A table and characters in place of inputs, and the function of the inputs as one of the table."
    chars = torch.randint(vocab_sz, (n, bs))
    table = torch.randn(vocab_sz, args[0].shape[-1], dtype=args[0].dtype).requires_grad_()

    def from_table(run):
        return lambda table, *rest: run(F.embedding(chars, table), *rest)

    return [table, *args[1:]], chars, from_table


@settings(max_examples=12, deadline=None)
@given(
    n=st.integers(1, 5), bs=st.integers(1, 4), n_hid=st.integers(1, 5), drops=st.booleans(), block=st.integers(1, 60)
)
def test_a_table_and_characters_are_equal_to_rows_of_the_table(n, bs, n_hid, drops, block):
    args, chars, from_table = _table_and_rest(_arguments(n, bs, n_hid, torch.float64, drops), n, bs)
    with _blocks_of(block):
        got = _outs_and_grads(lambda *args: scaled_lstm.scaled_lstm(*args, chars=chars), args)
    for value, expected in zip(got, _outs_and_grads(from_table(_plain), args), strict=True):
        torch.testing.assert_close(value, expected, atol=1e-12, rtol=1e-11)


def test_in_16_bits_the_gradient_of_a_table_is_summed_in_32():
    "A character that is read 4,000 times: sums in bfloat16 would stop growing."
    args, chars, from_table = _table_and_rest(_arguments(1000, 4, 3, torch.bfloat16, drops=False), 1000, 4, vocab_sz=1)
    got = _outs_and_grads(lambda *args: scaled_lstm.scaled_lstm(*args, chars=chars), args)
    wide = [None if o is None else o.detach().float().requires_grad_() for o in args]
    expected = _outs_and_grads(from_table(_plain), wide)
    assert (got[3].float() - expected[3]).norm() < 0.02 * expected[3].norm()
    assert got[3].dtype == torch.bfloat16


@pytest.mark.parametrize("is_fast", [True, False], ids=["products of bfloat16", "products of float32"])
def test_in_16_bits_values_and_gradients_are_equal_to_rounding(is_fast, monkeypatch):
    monkeypatch.setattr(kernels, "has_fast_bf16", lambda: is_fast)
    args = _arguments(6, 3, 8, torch.bfloat16, drops=True)
    got = _outs_and_grads(scaled_lstm.scaled_lstm, args)
    wide = [None if o is None else o.detach().float().requires_grad_() for o in args]
    for value, expected in zip(got, _outs_and_grads(_plain, wide), strict=True):
        error = (value.float() - expected).norm() / expected.norm()
        assert error < 0.02
    assert [o.dtype for o in got[3:]] == [torch.bfloat16] * 4


def test_without_gradients_the_values_are_equal():
    args = _arguments(5, 3, 4, torch.float32, drops=False)
    with torch.no_grad():
        got = scaled_lstm.scaled_lstm(*args)
    for value, expected in zip(got, scaled_lstm.scaled_lstm(*args), strict=True):
        assert torch.equal(value, expected)
