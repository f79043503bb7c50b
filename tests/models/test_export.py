"""Recorded, exported and transformed models give PyTorch's numbers. tests/share/test_onnx.py has `learn.to_onnx`."""

import numpy as np
import pytest
import torch
from model_checks import V, make_model, with_noise
from small_models import CONFIGS
from torch.export import Dim

from fastai_charrnn.models.step import CharStep

N = 4

cases = pytest.mark.parametrize("arch,config", CONFIGS, ids=str)


def _slow_but(*names):
    "All cases, those of other architectures and of two layers marked slow."
    marks = {True: (), False: pytest.mark.slow}
    return [pytest.param(a, c, marks=marks[a in names and "n_layers" not in c], id=f"{a}-{c}") for a, c in CONFIGS]


def _model(arch, config, target="next"):
    n = {} if arch == "char3" else dict(seq_len=N)
    model = with_noise(make_model(arch, **n, emb_sz=5, n_hid=6, **config)).float().eval()
    model.target = target
    return model


def _windows(model, bs):
    n = 3 if type(model).__name__ == "Char3Model" else N
    return torch.randint(V, (bs, n), generator=torch.Generator().manual_seed(bs))


def _assert_equal(got, expected):
    torch.testing.assert_close(torch.as_tensor(got), expected, atol=2e-5, rtol=0)


@cases
def test_a_jit_trace_gives_the_same_numbers(arch, config):
    model = _model(arch, config, "every")
    x = _windows(model, 2)
    traced = torch.jit.trace(model, (x,), check_trace=False)
    for bs in (2, 5):
        x = _windows(model, bs)
        _assert_equal(traced(x), model(x))


@pytest.mark.parametrize("arch,config", _slow_but("loop", "concat", "lstm"))
def test_torch_export_with_a_dynamic_batch_gives_the_same_numbers(arch, config):
    model = _model(arch, config)
    batch = Dim("batch", min=2, max=1024)
    program = torch.export.export(model, (_windows(model, 3),), dynamic_shapes=((dict([(0, batch)]),),))
    for bs in (3, 5):
        x = _windows(model, bs)
        _assert_equal(program.module()(x), model(x))


def _stepwise(run, model, x):
    "Log-probabilities after each character, with the state fed back."
    state = model.init_hidden(len(x))
    outs = []
    for c in x.t():
        log_probs, *state = run(c, *state)
        outs.append(torch.as_tensor(log_probs))
    return torch.stack(outs, 1)


@pytest.mark.parametrize("arch,config", _slow_but("loop", "concat", "gru", "mullstm"))
def test_one_step_with_state_in_torch_export_gives_the_same_numbers(arch, config):
    model = _model(arch, config, "every")
    step = CharStep(model)
    x = _windows(model, 3)
    with torch.no_grad():
        program = torch.export.export(step, (x[:, 0], *step.init_hidden(3)))
    _assert_equal(_stepwise(program.module(), step, x), model(x))


def test_a_step_needs_a_model_with_steps():
    with pytest.raises(ValueError, match="Linear has no steps to export; derive it from CharModel"):
        CharStep(torch.nn.Linear(2, 2))


def test_a_step_has_no_dropout():
    step = CharStep(_model("mullstm", {}, "every").train())
    x = _windows(step.model, 3)
    assert torch.equal(_stepwise(step, step, x), _stepwise(step, step, x))


def test_a_recorded_model_keeps_no_recorded_state():
    "A trace starts with zeros, whatever the model has read."
    model = _model("lstm", {}, "every")
    model.seq_len = None
    x = _windows(model, 2)
    expected = model(x).detach()
    traced = torch.jit.trace(model, (x,), check_trace=False)
    _assert_equal(traced(x), expected)
    model.reset()
    _assert_equal(model(x), expected)


@pytest.mark.parametrize("arch,config", [("rnn", {}), ("concat", {}), ("gru", {}), ("lstm", {}), ("mullstm", {})])
def test_transforms_of_torch_func_give_the_gradients_of_autograd(arch, config):
    model = _model(arch, config)
    x = _windows(model, 3)
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights, x):
        return torch.func.functional_call(model, weights, x)[:, 1].sum()

    grads = torch.func.grad(loss)(weights, x)
    expected = torch.autograd.grad(model(x)[:, 1].sum(), list(model.parameters()))
    for grad, by_autograd in zip(grads.values(), expected):
        _assert_equal(grad, by_autograd)
    by_row = torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, x[:, None])
    for name, grad in grads.items():
        _assert_equal(by_row[name].sum(0), grad)
    _, slope = torch.func.jvp(lambda w: loss(w, x), (weights,), (grads,))
    _assert_equal(slope, sum(g.pow(2).sum() for g in grads.values()))


@pytest.mark.parametrize("arch", ["gru", "mullstm"])
def test_dropout_is_on_in_a_compiled_model(arch):
    config = dict(n_layers=2, layer_p=0.5, output_p=0.0) | (
        dict(hidden_p=0.0, embed_p=0.0) if arch == "mullstm" else {}
    )
    model = make_model(arch, seq_len=N, **config).train()
    compiled = torch.compile(model, backend="eager")
    x = _windows(model, 4)
    assert not torch.equal(compiled(x), compiled(x))
    model.eval()
    _assert_equal(compiled(x), model(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arch,config", [("concat", {}), ("mullstm", {}), ("ensemble", dict(arch="gru", n_models=2))], ids=str
)
def test_dynamo_onnx_gives_the_same_numbers(arch, config, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = _model(arch, config, "every")
    step = CharStep(model)
    x = _windows(model, 3)
    for module, args in ((model, (x,)), (step, (x[:, 0], *step.init_hidden(3)))):
        path = tmp_path / "model.onnx"
        torch.onnx.export(module, args, path, dynamo=True, verbose=False)
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        inputs = {o.name: np.asarray(a) for o, a in zip(session.get_inputs(), args)}
        with torch.no_grad():
            expected = module(*args)
        expected = expected[0] if isinstance(expected, tuple) else expected
        _assert_equal(session.run(None, inputs)[0], expected)
