"""fastai's notebook 18, callback.fp16: mixed precision. On a CPU, with bfloat16; `tests/test_gpu.py` has float16."""

from functools import partial

import pytest
import torch
from fastai.basics import SGD, Callback
from tiny import Last, groups, tiny_learner

from fastai_charrnn.errors import DataError


class CheckDtypes(Callback):
    "Checks the types of weights, predictions and losses during a fit."

    order = 100

    def after_pred(self):
        assert self.pred.dtype == torch.float32

    def after_loss(self):
        assert self.learn.loss.dtype == torch.float32

    def before_step(self):
        for p in self.learn.model.parameters():
            assert p.dtype == torch.float32 and p.grad.dtype == torch.float32


def test_mixed_precision_trains_with_weights_in_32_bits(learn):
    "18, MixedPrecision: weights, gradients, predictions and losses are float32, and the losses fall."
    learn.to_bf16()
    learn.fit(3, cbs=CheckDtypes)
    first, last = learn.recorder.values[0], learn.recorder.values[-1]
    assert last[0] < first[0] and last[1] < first[1]


def test_products_are_in_16_bits(windows):
    "18, MixedPrecision: matrix products are bfloat16 within a batch, and float32 after the fit."
    seen = []
    x = torch.ones(2, 2)
    windows.to_bf16().fit(1, cbs=Last(before_batch=lambda self: seen.append((x @ x).dtype)))
    assert set(seen) == {torch.bfloat16}
    assert (x @ x).dtype == torch.float32


def test_frozen_groups_have_no_state_in_mixed_precision(tmp_path):
    "18, to_fp16 with freeze: the optimizer keeps its parameters, and only the last group has moments."
    opt_func = partial(SGD, mom=0.9)
    learn = tiny_learner("windows", tmp_path, opt_func=opt_func, splitter=groups).to_bf16()
    learn.freeze()
    before = [p for p, *_ in learn.opt.all_params()]
    learn.fit(2)
    after = [p for p, *_ in learn.opt.all_params()]
    assert all(old is new for old, new in zip(before, after))
    embedding, recurrent, output = learn.opt.param_lists
    assert not any("grad_avg" in learn.opt.state[p] for p in [*embedding, *recurrent])
    assert all("grad_avg" in learn.opt.state[p] for p in output)


def test_mixed_precision_is_switched_off(windows):
    "18, to_fp32: the callback is gone."
    windows.to_bf16()
    assert hasattr(windows, "mixed_precision")
    windows.to_fp32()
    assert not hasattr(windows, "mixed_precision")
    windows.fit(1)


def test_float16_names_the_device_it_needs(windows):
    "18, to_fp16: on a CPU it is refused before the fit."
    with pytest.raises(DataError, match="CUDA"):
        windows.to_fp16()
