"""`mullstm` and `ensemble`: steps equal the whole sequence, the state is carried, dropout is for training only."""

import pytest
import torch
from model_checks import ArchitectureTests, V
from training_modes import assert_learns_and_writes

from fastai_charrnn.all import ArchError, get_arch
from fastai_charrnn.models.gated import lstm_steps

configs = pytest.mark.parametrize(
    "arch,config", [("mullstm", {}), ("mullstm", dict(n_layers=3)), ("ensemble", {})], ids=str
)


@configs
class TestDeepArchitectures(ArchitectureTests):
    "The tests of every architecture, for these."


@pytest.mark.parametrize("arch", ["mullstm", "ensemble"])
@pytest.mark.parametrize("name", ["output_p", "layer_p"])
def test_a_dropout_above_1_is_refused(arch, name):
    with pytest.raises(ArchError, match=f"{name}=1.5"):
        get_arch(arch).cls(V, **{name: 1.5})


@pytest.mark.parametrize("arch", ["mullstm", "ensemble"])
@pytest.mark.parametrize("mode", ["next", "every", "streams"])
def test_they_learn_and_write_in_all_modes_and_from_a_file(arch, mode, tmp_path):
    assert_learns_and_writes(arch, mode, tmp_path, config=dict(output_p=0.1))


def _scaled_lstm(inp, w, h, c, factors):
    "The formulas of an LSTM with scaled hidden state, step by step."
    outs = []
    for x, factor in zip(inp, factors):
        gates = x + (h * factor) @ w.t()
        i, f, o = (gates.sigmoid().chunk(4, -1)[k] for k in (0, 1, 3))
        c = f * c + i * gates.chunk(4, -1)[2].tanh()
        h = o * c.tanh()
        outs.append(h)
    return torch.stack(outs), h, c


def test_the_scaled_lstm_equals_its_formulas():
    generator = torch.Generator().manual_seed(0)
    shapes = (9, 3, 28), (28, 7), (3, 7), (3, 7), (9, 3, 7)
    args = [torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]
    got = lstm_steps(*args)
    expected = _scaled_lstm(*args)
    for a, b in zip(got, expected):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    sums = [sum((tensor * (k + 1)).sum() for k, tensor in enumerate(outs)) for outs in (got, expected)]
    for a, b in zip(*[torch.autograd.grad(total, args) for total in sums]):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)
