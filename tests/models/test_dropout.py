"""Dropouts are modules: each can be switched and changed by itself."""

import pytest
import torch
from fastai.callback.preds import MCDropoutCallback
from model_checks import make_model, random_windows
from torch import nn
from training_modes import make_dls

from fastai_charrnn.all import char_learner, human_numbers

SHORT = human_numbers()[:1500]


@pytest.mark.parametrize("name", ["output_p", "layer_p", "hidden_p", "embed_p", "weight_p"])
def test_each_dropout_of_mullstm_is_a_module(name):
    "Its mode and its rate can be changed by themselves."
    off = dict.fromkeys(["output_p", "layer_p", "hidden_p", "embed_p", "weight_p"], 0.0)
    model = make_model("mullstm", seq_len=8, n_layers=2, **off).eval()
    x = random_windows(n=8)
    expected = model(x)
    setattr(model, name, 0.5)
    assert getattr(model, name) == 0.5
    assert torch.equal(model(x), expected)
    dropouts = [m for m in model.modules() if isinstance(m, nn.Dropout) and m.p]
    assert len(dropouts) == 1
    dropouts[0].train()
    assert not torch.allclose(model(x), expected)


@pytest.mark.parametrize(
    "arch,config", [("lstm", dict(n_layers=2, layer_p=0.5)), ("mullstm", {}), ("ensemble", {})], ids=str
)
def test_monte_carlo_dropout_changes_predictions(arch, config):
    learn = char_learner(make_dls("every", SHORT, bs=8), arch, n_hid=16, emb_sz=12, config=config, seed=0)
    with learn.no_bar(), learn.no_logging():
        plain = [learn.get_preds()[0] for _ in range(2)]
        dropped = [learn.get_preds(cbs=MCDropoutCallback())[0] for _ in range(2)]
    assert torch.equal(*plain)
    assert not torch.allclose(*dropped)
    assert not torch.allclose(plain[0], dropped[0])
