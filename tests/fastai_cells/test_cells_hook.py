"""fastai's notebook 15, callback.hook: outputs and gradients of layers, summaries, statistics of activations."""

import math

import pytest
import torch
from fastai.basics import Callback
from fastai.callback.hook import (
    ActivationStats,
    Hook,
    HookCallback,
    Hooks,
    hook_output,
    hook_outputs,
    layer_info,
    total_params,
)
from tiny import tiny_dls, tiny_learner


def _layers(model):
    "Embedding, recurrent layer and output layer."
    return [model.emb, model.rnn, model.out]


def test_a_hook_stores_the_output_of_the_model(learn):
    "15, Hook: the output of a forward pass, until it is removed."
    x, _ = learn.dls.valid.one_batch()
    hook = Hook(learn.model, lambda m, i, o: o)
    pred = learn.model(x)
    torch.testing.assert_close(hook.stored, pred.detach())
    hook.remove()
    hook.stored = None
    learn.model(x)
    assert hook.stored is None


def test_a_hook_is_removed_after_a_block(windows):
    "15, Hook: as a context manager, also for the output layer."
    calls = []
    with Hook(windows.model.out, lambda m, i, o: calls.append(o.shape)):
        windows.model(windows.dls.valid.one_batch()[0])
    n_calls = len(calls)
    windows.model(windows.dls.valid.one_batch()[0])
    assert n_calls == len(calls) == 1


def test_outputs_and_gradients_of_a_layer_are_stored(learn):
    "15, hook_output: the scores of the output layer, detached, and their gradient."
    x, y = learn.dls.valid.one_batch()
    with hook_output(learn.model.out) as h:
        pred = learn.model(x)
        scores = h.stored if h.stored.ndim == pred.ndim == 2 else h.stored.transpose(0, 1)
        torch.testing.assert_close(scores.log_softmax(-1), pred.detach())
        assert not h.stored.requires_grad
    with hook_output(learn.model.out, grad=True) as h:
        pred = learn.model(x)
        learn.loss_func(pred, y).backward()
        expected = pred.detach().exp()
        expected.scatter_add_(-1, y[..., None], -torch.ones_like(y, dtype=torch.float)[..., None])
        torch.testing.assert_close(h.stored[0].norm(), (expected / y.numel()).norm(), rtol=1e-3, atol=1e-6)


def test_hooks_store_the_outputs_of_all_layers(learn):
    "15, Hooks and hook_outputs: embedding, recurrent layer and output layer, as a context manager too."
    x, _ = learn.dls.valid.one_batch()
    hooks = Hooks(_layers(learn.model), lambda m, i, o: o)
    learn.model(x)
    stored = list(hooks.stored)
    hooks.remove()
    assert all(output is not None for output in stored)
    with hook_outputs(_layers(learn.model)) as h:
        learn.model(x)
        assert all(output is not None for output in h.stored)


class StorePrediction(HookCallback):
    "Checks in every batch that the hook stored the prediction."

    def hook(self, m, i, o):
        return o

    def after_batch(self):
        torch.testing.assert_close(self.hooks.stored[0], self.learn.pred.detach())


def test_a_callback_has_the_outputs_of_a_module(learn):
    "15, HookCallback: forward hooks during a fit."
    learn.fit(1, cbs=StorePrediction(modules=[learn.model]))
    assert learn.recorder.values


def test_a_callback_has_the_gradients_of_a_module(learn):
    "15, HookCallback: with `is_forward=False`, the gradient of the loss for the prediction."
    sums = []

    def after_batch(self):
        if self.training:
            (grad,) = cb.hooks.stored[0]
            assert grad.shape == self.pred.shape
            sums.append(grad.sum().item())

    cb = HookCallback(modules=[learn.model], is_forward=False, detach=True, cpu=False, hook=lambda m, i, o: o)
    learn.fit(1, cbs=[cb, Callback(after_batch=after_batch)])
    assert sums == pytest.approx([-1] * len(learn.dls.train), rel=1e-4)


def test_parameters_are_counted(windows):
    "15, total_params: all weights of the model, and whether they train."
    n, trains = total_params(windows.model)
    assert n == sum(w.numel() for w in windows.model.state_dict().values())
    assert trains is True


def test_the_layers_are_described(learn):
    "15, layer_info: type, number of weights and shape of the output for every layer."
    x, _ = learn.dls.valid.one_batch()
    infos = [info for info in layer_info(learn, x) if info is not None]
    counts = {name: n for name, n, *_ in infos if name != "Dropout"}
    # fastai counts the weights of modules that have a `weight`
    expected = [total_params(learn.model.emb)[0], "", total_params(learn.model.out)[0]]
    assert counts == dict(zip(["Embedding", "RNN", "Linear"], expected))


def test_the_summary_counts_all_weights(windows):
    "15, summary: layers, weights, optimizer, loss and callbacks, before and after a fit."
    n, _ = total_params(windows.model)
    for _ in range(2):
        text = str(windows.summary())
        assert f"{n:,}" in text
        for part in ("Embedding", "Linear", "Optimizer used", "CharNLLLoss", "TrainEvalCallback"):
            assert part in text
        windows.fit(1)


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("bs", [256, 200, 190])
def test_statistics_are_collected_every_few_batches(bs, every):
    "15, ActivationStats: one entry each `every` batches, rounded up."
    learn = tiny_learner("windows")
    learn.dls = tiny_dls("windows", bs=bs)
    learn.fit(1, cbs=(stats := ActivationStats(modules=[learn.model.out], every=every)))
    assert len(stats.stats) == math.ceil(len(learn.dls.train) / every)


def test_statistics_are_those_of_the_layer(windows):
    "15, ActivationStats: mean and standard deviation of the outputs of the output layer."
    seen = []

    class Collect(HookCallback):
        order = -30

        def hook(self, m, i, o):
            return o

        def after_batch(self):
            if self.training:
                out = self.hooks.stored[0]
                seen.append((out.mean().item(), out.std().item()))

    stats = ActivationStats(modules=[windows.model.out])
    windows.fit(1, cbs=[Collect(modules=[windows.model.out]), stats])
    means, stds, _ = stats.layer_stats(0)
    assert list(means) == pytest.approx([mean for mean, _ in seen])
    assert list(stds) == pytest.approx([std for _, std in seen])


def test_statistics_cover_all_layers(learn):
    "15, ActivationStats: by default every layer with weights has statistics in every batch."
    learn.fit(1, cbs=(stats := ActivationStats()))
    assert len(stats.modules) == 3
    assert all(entry is not None for batch in stats.stats for entry in batch)


def test_statistics_may_cover_layers_without_weights():
    "15, ActivationStats: `include_paramless=True` adds layers such as dropout."
    modules = []
    for include in (False, True):
        learn = tiny_learner("windows", arch="mullstm")
        learn.fit(1, cbs=(stats := ActivationStats(include_paramless=include)))
        modules.append(len(stats.modules))
    assert modules[1] > modules[0] > 0
