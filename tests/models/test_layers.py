"""Prediction after every character: all layered architectures with all options equal their layers written out."""

import copy

import pytest
import torch
from model_checks import (
    V,
    assert_batches_keep_no_memory,
    assert_dropout_is_for_training_only,
    assert_equal_gradients,
    assert_state_is_carried,
    assert_steps_equal_sequence,
    make_model,
    random_windows,
)
from torch import nn

from fastai_charrnn.all import ArchError, CharModel, get_arch, list_archs

five = pytest.mark.parametrize("arch", ["loop", "concat", "rnn", "gru", "lstm"])
depths = pytest.mark.parametrize("n_layers", [1, 2])


def _layers_written_out(model, x):
    "The formulas of lesson 6 and PyTorch's layers, one layer after another."
    e = model.emb(x.t())
    for k, layer in enumerate((model, *model.upper)):
        outs = layer.rnn(e)[0] if hasattr(layer, "rnn") else _tanh_layer(layer, e)
        e = model.norms[k](outs) if len(model.norms) else outs
    return model.out(e).log_softmax(-1).transpose(0, 1)


def _tanh_layer(layer, e):
    "`loop` or `concat`, character by character."
    h = torch.zeros(e.shape[1], layer.n_hid, dtype=e.dtype)
    outs = []
    for c in e:
        if "Concat" in type(layer).__name__:
            h = layer.hid(layer.inp(torch.cat([h, c], 1)).relu()).tanh()
        else:
            h = layer.hid(h + layer.inp(c).relu()).tanh()
        outs.append(h)
    return torch.stack(outs)


@five
@pytest.mark.parametrize(
    "config",
    [
        {},
        dict(n_layers=2),
        dict(n_layers=3, layer_norm=True),
        dict(tie_weights=True, emb_sz=16),
        dict(identity=True, n_layers=2),
    ],
    ids=str,
)
def test_values_and_gradients_equal_the_layers_written_out(arch, config):
    model = make_model(arch, seq_len=8, **config)
    x = random_windows(n=8)
    got, expected = model(x), _layers_written_out(model, x)
    torch.testing.assert_close(got, expected, atol=1e-10, rtol=0)
    weights = torch.randn(got.shape, dtype=got.dtype)
    assert_equal_gradients(model, (got * weights).sum(), (expected * weights).sum())


@five
@depths
def test_the_last_prediction_of_every_is_that_of_next(arch, n_layers):
    model = make_model(arch, seq_len=8, n_layers=n_layers, layer_norm=True)
    x = random_windows(n=8)
    every = model(x)
    with model.reading("next", 8):
        torch.testing.assert_close(model(x), every[:, -1], atol=1e-12, rtol=0)


@five
@depths
def test_a_carried_state_makes_two_batches_one(arch, n_layers):
    model = make_model(arch, n_layers=n_layers, layer_norm=True)
    assert_state_is_carried(model, random_windows(n=12), atol=1e-12)


@five
def test_steps_equal_the_sequence(arch):
    model = make_model(arch, seq_len=8, n_layers=2, layer_norm=True, output_p=0.5).eval()
    assert_steps_equal_sequence(model, random_windows(n=8))


@five
def test_dropout_is_for_training_only(arch):
    assert_dropout_is_for_training_only(make_model(arch, n_layers=2, output_p=0.5), random_windows(n=8))


def test_layer_p_is_the_dropout_of_pytorchs_lstm():
    "It drops between layers only, with equal masks for equal seeds."
    model = make_model("lstm", seq_len=8, n_layers=3, layer_p=0.5).train()
    lib = nn.LSTM(7, 16, 3, dropout=0.5).double()
    x = random_windows(n=8)
    for k, layer in enumerate((model, *model.upper)):
        for name, p in layer.rnn.named_parameters():
            getattr(lib, name.replace("l0", f"l{k}")).data.copy_(p)
    torch.manual_seed(3)
    got = model(x)
    torch.manual_seed(3)
    expected = model.out(lib(model.emb(x.t()))[0]).log_softmax(-1).transpose(0, 1)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)
    assert not torch.equal(model(x), got)
    model.eval()
    assert torch.equal(model(x), model(x))


def test_layer_p_has_no_effect_on_one_layer_and_is_output_p_by_default():
    model = make_model("lstm", seq_len=8, layer_p=0.5).train()
    x = random_windows(n=8)
    assert torch.equal(model(x), model(x))
    assert make_model("lstm", n_layers=2, output_p=0.3).layer_p == 0.3


def test_identity_sets_the_hidden_to_hidden_weights():
    eye = torch.eye(16).double()
    model = make_model("rnn", identity=True, n_layers=2)
    for layer in (model, *model.upper):
        assert torch.equal(layer.rnn.weight_hh_l0, eye)
    weight = make_model("lstm", identity=True).rnn.weight_hh_l0
    assert torch.equal(weight[32:48], eye)
    assert not torch.equal(weight[:16], eye)


@pytest.mark.parametrize("arch", [o for o in list_archs() if getattr(get_arch(o).cls, "fixed_seq_len", None) is None])
def test_a_batch_keeps_no_memory(arch):
    assert_batches_keep_no_memory(arch)


@pytest.mark.parametrize(
    "config,message",
    [
        (dict(output_p=1), "output_p=1 is not from 0 to below 1"),
        (dict(layer_p=1.5), "layer_p=1.5 is not from 0 to below 1"),
        (dict(n_layers=0), "n_layers=0"),
        (dict(tie_weights=True), "pass emb_sz=16"),
    ],
    ids=str,
)
def test_invalid_options_are_refused(config, message):
    with pytest.raises(ArchError, match=message):
        make_model("lstm", **config)


class BareStep(CharModel):
    "Its step returns a tensor, as in version 0.1."

    def table(self):
        return self.emb.weight

    def step(self, inp, state):
        return nn.functional.pad(inp, (0, self.n_hid - self.emb_sz))


class BareStart(get_arch("gru").cls):
    "Its first state is a tensor, as in version 0.1."

    def init_hidden(self, bs):
        return super().init_hidden(bs)[0]


@pytest.mark.parametrize("cls", [BareStep, BareStart])
@pytest.mark.parametrize("target", ["next", "every"])
def test_a_state_that_is_not_a_tuple_is_refused(cls, target):
    model = cls(V, emb_sz=7, n_hid=16)
    model.target = target
    with pytest.raises(ArchError, match=rf"{cls.__name__} must return a tuple of tensors, such as \(h,\), got Tensor"):
        model(random_windows())


@pytest.mark.gpu
@five
@depths
def test_a_gpu_gives_equal_gradients(arch, n_layers):
    on_cpu = make_model(arch, n_layers=n_layers, layer_norm=True)
    on_gpu = copy.deepcopy(on_cpu).cuda()
    x = random_windows(n=12)
    for model, batch in ((on_cpu, x), (on_gpu, x.cuda())):
        torch.cat([model(batch[:, :5]), model(batch[:, 5:])], 1)[:, :, 1].sum().backward()
    for p, q in zip(on_gpu.parameters(), on_cpu.parameters()):
        torch.testing.assert_close(p.grad.cpu(), q.grad, atol=1e-10, rtol=0)
