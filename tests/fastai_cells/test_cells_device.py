"""fastai's cells that need CUDA (notebooks 13a, 15, 18, 18a). What can run on a CPU runs there too."""

import pytest
import torch
from fastai.basics import Callback
from fastai.callback.hook import hook_output, hook_outputs, total_params
from fastai.callback.training import GradientAccumulation
from test_cells_learner_loop import CheckTraining
from tiny import Last, tiny_dls, tiny_learner

on_each_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])


def _learner(device, **kwargs):
    "A tiny learner whose text and model are on a device."
    learn = tiny_learner("windows", **kwargs)
    learn.dls = tiny_dls("windows", device=device)
    learn.model.to(device)
    return learn


@on_each_device
def test_a_fit_runs_on_the_device_of_its_model(device):
    "13a, fit: batches, weights, predictions and losses are on one device."
    learn = _learner(device, cbs=CheckTraining)
    seen = []
    learn.fit(1, cbs=Last(after_loss=lambda self: seen.append((self.pred.device.type, self.learn.loss.device.type))))
    assert learn.check_training.n_valid == 1
    assert set(seen) == {(device, device)}


@on_each_device
def test_batches_are_moved_to_the_device_of_the_model(device):
    "13a, fit: batches that a loader has elsewhere are moved to the model's device."
    learn = tiny_learner("windows", cbs=CheckTraining)
    learn.model.to(device)
    learn.fit(1)
    assert learn.check_training.n_valid == 1


@on_each_device
def test_hooks_store_outputs_on_the_cpu(device):
    "15, hook_output and hook_outputs with cpu=True: the stored tensors are on the CPU."
    learn = _learner(device)
    x, _ = learn.dls.one_batch()
    with hook_output(learn.model.out, cpu=True) as hook, hook_outputs([learn.model.out], cpu=True) as hooks:
        pred = learn.model(x)
    assert pred.device.type == device
    assert hook.stored.device.type == hooks.stored[0].device.type == "cpu"


@on_each_device
def test_the_summary_is_that_of_any_device(device):
    "15, summary: all weights are counted, wherever they are."
    learn = _learner(device)
    assert f"{total_params(learn.model)[0]:,}" in str(learn.summary())


@on_each_device
def test_accumulation_works_in_mixed_precision(device):
    "18a, GradientAccumulation: in 16 bits too, a step of accumulated gradients is near that of the whole batch."
    weights = []
    for bs, cbs in ((256, []), (64, [GradientAccumulation(n_acc=256)])):
        learn = _learner(device)
        data = next(iter(learn.dls.train.new(shuffle=False)))
        parts = list(zip(*(part.split(bs) for part in data)))
        learn = learn.to_fp16(init_scale=1024.0) if device == "cuda" else learn.to_bf16()
        learn.dls.loaders[0].create_batches = lambda samples, parts=parts: iter(parts)
        learn.fit(1, lr=0.01, cbs=cbs)
        weights.append(torch.cat([p.detach().flatten() for p in learn.model.parameters()]))
    assert (weights[0] - weights[1]).abs().mean() < 2e-3


class Scales(Callback):
    "Keeps the scale of the loss after each batch."

    order = 100

    def before_fit(self):
        self.seen = []

    def after_batch(self):
        if self.training:
            self.seen.append(self.learn.scaler.get_scale())


@pytest.mark.gpu
def test_the_scale_of_the_loss_may_be_fixed():
    "18, MixedPrecision: with a long `growth_interval` the scale stays, and the losses fall."
    learn = _learner("cuda").to_fp16(init_scale=512.0, growth_interval=10**6)
    learn.fit(3, cbs=(scales := Scales()))
    assert set(scales.seen) == {512.0}
    assert learn.recorder.values[-1][1] < learn.recorder.values[0][1]


@pytest.mark.gpu
def test_the_scale_of_the_loss_falls_after_an_overflow():
    "18, MixedPrecision: a scale that is too large is halved until gradients are finite."
    learn = _learner("cuda").to_fp16(init_scale=2.0**40)
    learn.fit(3, cbs=(scales := Scales()))
    assert scales.seen[-1] < 2.0**40
    assert learn.recorder.values[-1][1] < learn.recorder.values[0][1]
