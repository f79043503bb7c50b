"""Hooks, pruning, parametrizations and replaced modules act: a model calls its modules where they need it."""

import copy

import pytest
import torch
from fastai.callback.hook import ActivationStats, hook_output, hook_outputs, layer_info, module_summary
from fastai.text.models.awdlstm import WeightDropout
from model_checks import V, assert_state_is_carried, assert_steps_equal_sequence, make_model, random_windows, with_noise
from torch import nn
from torch.nn.utils import parametrizations, prune
from training_modes import make_dls, quiet_fit

from fastai_charrnn.all import ArchError, char_learner, human_numbers

CASES = [
    ("loop", {}),
    ("concat", dict(n_layers=2)),
    ("rnn", {}),
    ("rnn", dict(n_layers=2, layer_norm=True)),
    ("gru", dict(n_layers=2)),
    ("lstm", {}),
    ("lstm", dict(n_layers=2, tie_weights=True, emb_sz=16)),
    ("mullstm", dict(n_layers=2)),
    ("ensemble", dict(n_models=2)),
]
cases = pytest.mark.parametrize("arch,config", CASES, ids=str)
SHORT = human_numbers()[:1500]
archs = pytest.mark.parametrize("arch", ["loop", "concat", "rnn", "gru", "lstm", "mullstm", "ensemble"])


def _leaves(model):
    "The modules with weights of their own, as fastai's `flatten_model` finds them."
    return [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]


def _hooked(model):
    hooks = [m.register_forward_hook(lambda *_: None) for m in _leaves(model)]
    assert hooks
    return model


@cases
@pytest.mark.parametrize("target", ["next", "every"])
def test_hooks_change_no_value_and_no_gradient(arch, config, target):
    model = with_noise(make_model(arch, seq_len=8, **config))
    model.target = target
    hooked = _hooked(copy.deepcopy(model))
    x = random_windows(n=8)
    outs = []
    for o in (model, hooked):
        torch.manual_seed(4)
        outs.append(o(x))
    torch.testing.assert_close(outs[1], outs[0], atol=1e-10, rtol=0)
    names = dict(model.named_parameters())
    grads = [torch.autograd.grad(out[..., 1].sum(), o.parameters()) for out, o in zip(outs, (model, hooked))]
    for name, a, b in zip(names, *grads):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0, msg=name)


@cases
def test_hooked_models_step_and_carry_their_state(arch, config):
    model = _hooked(with_noise(make_model(arch, **config))).eval()
    assert_steps_equal_sequence(model, random_windows())
    model.reset()
    assert_state_is_carried(model, random_windows())


@cases
def test_every_module_with_weights_fires_its_hooks(arch, config):
    model = make_model(arch, seq_len=8, **config)
    modules = _leaves(model)
    with hook_outputs(modules) as hooks:
        model(random_windows(n=8))
        assert all(o is not None for o in hooks.stored)
    assert len(modules) >= 3


@cases
def test_backward_hooks_fire(arch, config):
    model = make_model(arch, seq_len=8, **config)
    fired = set()
    modules = _leaves(model)
    for m in modules:
        m.register_full_backward_hook(lambda module, *_: fired.add(module))
    model(random_windows(n=8)).sum().backward()
    assert fired == set(modules)


def test_a_hook_sees_the_embeddings_of_the_batch():
    model = make_model("gru", seq_len=8)
    x = random_windows(n=8)
    with hook_output(model.emb) as hook, hook_output(model.rnn) as layer:
        model(x)
    assert torch.equal(hook.stored, model.emb(x.t()))
    assert layer.stored[0].shape == (8, len(x), 16)


class OwnEmbedding(nn.Embedding):
    "Its rows are doubled when it is called."

    def forward(self, x):
        return 2 * super().forward(x)


@archs
def test_a_module_of_another_class_is_called(arch):
    model = make_model(arch, seq_len=8).eval()
    x = random_windows(n=8)
    doubled = copy.deepcopy(model)
    for m in doubled.modules():
        if hasattr(m, "drop"):
            emb = OwnEmbedding(V, m.emb_sz).double()
            emb.load_state_dict(m.emb.state_dict())
            m.emb = emb
            m.emb.weight.data /= 2
    torch.testing.assert_close(doubled(x), model(x), atol=1e-12, rtol=0)


@archs
def test_pruned_weights_are_those_of_the_last_step(arch):
    "Pruning masks a weight before each call."
    model = make_model(arch, seq_len=8).eval()
    member = model.members[0] if arch == "ensemble" else model
    layer, name = _recurrent(member)
    prune.l1_unstructured(layer, name, amount=0.5)
    x = random_windows(n=8)
    before = model(x)
    with torch.no_grad():
        getattr(layer, f"{name}_orig").mul_(3)
    after = model(x)
    assert not torch.allclose(before, after)
    prune.remove(layer, name)
    torch.testing.assert_close(model(x), after, atol=1e-12, rtol=0)


def _recurrent(model):
    "The module with the hidden-to-hidden weights of a model, and their name."
    if hasattr(model, "rnn"):
        return model.rnn, "weight_hh_l0"
    return (model.hid[0] if isinstance(model.hid, nn.ModuleList) else model.hid), "weight"


@pytest.mark.parametrize("arch", ["loop", "concat", "mullstm"])
def test_weight_norm_trains(arch):
    learn = char_learner(make_dls("streams", SHORT, bs=8), arch, n_hid=16, emb_sz=12, seed=0)
    layer, name = _recurrent(learn.model)
    parametrizations.weight_norm(layer, name)
    before = {k: p.detach().clone() for k, p in layer.named_parameters() if "original" in k}
    quiet_fit(learn)
    assert len(before) == 2
    assert not any(torch.equal(before[k], p) for k, p in layer.named_parameters() if k in before)
    assert len(learn.generate("one", 10, seed=1).new) == 10


@pytest.mark.parametrize("arch", ["rnn", "gru", "lstm"])
def test_fastais_weight_dropout_drops_in_training_only(arch):
    learn = char_learner(make_dls("streams", SHORT, bs=8), arch, n_hid=16, emb_sz=12, seed=0)
    model = learn.model
    plain = copy.deepcopy(model).eval()
    model.rnn = WeightDropout(model.rnn, 0.5)
    x = random_windows() % len(learn.dls.vocab)
    with torch.no_grad():
        model.train().reset()
        a = model(x)
        model.reset()
        assert not torch.allclose(model(x), a)
        model.eval().reset()
        torch.testing.assert_close(model(x), plain(x), atol=1e-5, rtol=0)
    quiet_fit(learn)
    assert learn.training_log.rows[-1]["valid_loss"] < 3.0
    assert len(learn.generate("one", 10, seed=1).new) == 10
    assert learn.predict_next("one", n=3).startswith("one")


@archs
@pytest.mark.parametrize("target", ["next", "every"])
def test_dynamic_quantization_runs_in_8_bits(arch, target):
    model = make_model(arch, seq_len=8).float().eval()
    model.target = target
    x = random_windows(n=8)
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.LSTM, nn.GRU, nn.Linear})
    difference = (quantized(x) - model(x)).abs().max()
    assert 0 < difference < 0.1


@pytest.mark.parametrize("arch", ["lstm", "mullstm"])
def test_a_quantized_model_writes(arch):
    learn = quiet_fit(char_learner(make_dls("streams", SHORT, bs=8), arch, n_hid=16, emb_sz=12, seed=0))
    expected = learn.score("one hundred").log_probs
    learn.model = torch.ao.quantization.quantize_dynamic(learn.model.eval(), {nn.LSTM, nn.Linear})
    torch.testing.assert_close(learn.score("one hundred").log_probs, expected, atol=0.1, rtol=0)
    assert len(learn.generate("one", 10, seed=1).new) == 10


@archs
@pytest.mark.parametrize("mode", ["next", "streams"])
def test_activation_stats_have_numbers_for_every_layer(arch, mode):
    dls = make_dls(mode, SHORT, bs=64 if mode == "next" else 8)
    learn = char_learner(dls, arch, n_hid=16, emb_sz=12, cbs=ActivationStats(with_hist=True), seed=0)
    quiet_fit(learn)
    stats = learn.activation_stats
    n_layers = len(stats.modules)
    assert len(stats.stats) == len(learn.dls.train)
    for k in range(n_layers):
        last = stats.stats[-1][k]
        # the layers of PyTorch return outputs and states
        last = last[0] if isinstance(last, list) else last
        assert 0 < last["std"] < 10
        assert last["hist"].sum() > 0
    assert stats.layer_stats(0)[0][-1] == stats.stats[-1][0]["mean"]


@archs
def test_fastais_summary_lists_every_layer(arch):
    learn = char_learner(make_dls("every", SHORT, bs=8), arch, n_hid=16, emb_sz=12, seed=0)
    x, _ = learn.dls.one_batch()
    text = str(module_summary(learn, x))
    n_modules = len([o for o in layer_info(learn, x) if o is not None])
    assert "Embedding" in text
    assert text.count("Linear") >= 1
    assert n_modules >= 3


def test_weight_p_refuses_pruned_weights():
    model = make_model("mullstm", weight_p=0.5).train()
    prune.l1_unstructured(model.hid[0], "weight", amount=0.5)
    with pytest.raises(ArchError, match=r"weight_p=0.5 cannot drop the weights of Linear, .* set model.weight_p = 0"):
        model(random_windows())
    model.weight_p = 0
    assert model(random_windows()).isfinite().all()


def test_a_hooked_model_is_compiled_and_copied():
    model = _hooked(make_model("gru", seq_len=8, n_layers=2)).eval()
    x = random_windows(n=8)
    expected = model(x)
    torch.testing.assert_close(torch.compile(model, backend="eager")(x), expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(copy.deepcopy(model)(x), expected, atol=1e-10, rtol=0)
