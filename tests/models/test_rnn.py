"""The architectures of recurrent layers equal lesson 6's layers written out, in values and gradients."""

import copy

import pytest
import torch
from model_checks import V, assert_equal_gradients
from oracles import ORACLES
from torch import nn

from fastai_charrnn.models.registry import get_arch

all_archs = pytest.mark.parametrize("arch", sorted(ORACLES))


def _model(arch, **kw):
    torch.manual_seed(1)
    sizes = dict(emb_sz=7, n_hid=16)
    return get_arch(arch).cls(V, **(sizes | kw)).double()


def _windows(model, bs=20):
    return torch.randint(V, (bs, model.seq_len), generator=torch.Generator().manual_seed(2))


@all_archs
@pytest.mark.parametrize(
    "bs,n,kinds",
    [(1, 8, 30), (20, 8, 30), (300, 8, 30), (5, 1, 30), (5, 2, 30), (7, 8, 1), (64, 8, 2), (200, 3, 4), (200, 1, 4)],
)
def test_values_and_gradients_equal_lesson_6(arch, bs, n, kinds):
    "Also where windows begin with equal characters (few `kinds`), so that equal states are computed once."
    model = _model(arch)
    plain = copy.deepcopy(model)
    x = _windows(model, bs) % kinds
    if arch != "char3":
        x = x[:, :n]
    y = torch.randint(V, (bs,))
    for out in (model(x), ORACLES[arch](plain, x)):
        nn.functional.nll_loss(out, y).backward()
    torch.testing.assert_close(model(x), ORACLES[arch](plain, x), atol=1e-10, rtol=0)
    for (name, p), q in zip(model.named_parameters(), plain.parameters()):
        grad = torch.zeros_like(p) if p.grad is None else p.grad
        is_unused = n == 1 and name in ("hid.weight", "inp.weight", "rnn.weight_hh_l0")
        assert is_unused or q.grad.abs().sum() > 0, name
        torch.testing.assert_close(grad, q.grad, atol=1e-10, rtol=0)


@all_archs
def test_n_tensors_as_in_lesson_6_equal_one(arch):
    model = _model(arch)
    x = _windows(model)
    assert torch.equal(model(*x.t()), model(x))


@all_archs
def test_values_without_gradients_are_equal(arch):
    model = _model(arch)
    x = _windows(model)
    with torch.no_grad():
        without = model(x)
    torch.testing.assert_close(model(x), without, atol=1e-12, rtol=0)


@all_archs
def test_steps_equal_the_window(arch):
    model = _model(arch)
    x = _windows(model)
    table = model.table()
    assert table.shape[0] == V
    state = model.init_hidden(len(x))
    for c in x.t():
        state = model.step(table[c], state)
    stepped, whole = model.log_probs(state), model(x)
    torch.testing.assert_close(stepped, whole, atol=1e-12, rtol=0)
    assert_equal_gradients(model, stepped[:, 1].sum(), whole[:, 1].sum(), atol=1e-12)


@all_archs
def test_rows_of_a_batch_are_independent(arch):
    model = _model(arch)
    x = _windows(model)
    one_by_one = torch.cat([model(row[None]) for row in x])
    torch.testing.assert_close(one_by_one, model(x), atol=1e-12, rtol=0)


@all_archs
def test_windows_of_another_length(arch):
    "All but `char3` read them."
    model = _model(arch)
    x = torch.randint(V, (4, 13))
    if arch == "char3":
        with pytest.raises(ValueError, match="windows of 3 characters, not 13"):
            model(x)
    else:
        torch.testing.assert_close(model(x), ORACLES[arch](model, x), atol=1e-10, rtol=0)


def test_char3_equals_loop_of_three():
    char3 = _model("char3")
    loop = _model("loop", seq_len=3)
    loop.load_state_dict(char3.state_dict())
    assert torch.equal(char3(_windows(char3)), loop(_windows(char3)))


@pytest.mark.gpu
@all_archs
def test_a_gpu_gives_equal_values_and_gradients(arch):
    on_cpu = _model(arch)
    on_gpu = copy.deepcopy(on_cpu).cuda()
    x = _windows(on_cpu)
    torch.testing.assert_close(on_gpu(x.cuda()).cpu(), on_cpu(x), atol=1e-10, rtol=0)
    for model, batch in ((on_cpu, x), (on_gpu, x.cuda())):
        model(batch)[:, 1].sum().backward()
    for p, q in zip(on_gpu.parameters(), on_cpu.parameters()):
        torch.testing.assert_close(p.grad.cpu(), q.grad, atol=1e-10, rtol=0)
