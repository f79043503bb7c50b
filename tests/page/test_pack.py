"""A packed model holds the weights of a model, rounded to 16 bits, and refuses what the engine cannot compute."""

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_models import CarriedGru, Whole, build
from torch import nn
from torch.nn.utils import prune

from fastai_charrnn.all import CharLstm, load_model, save_model
from fastai_charrnn.errors import DataError, GenerationError, PageError
from fastai_charrnn.io.generator import load_generator
from fastai_charrnn.page.engine import engine_source
from fastai_charrnn.page.pack import MAX_BYTES, _split, pack_model


def _unpacked(member):
    "The tensors of a packed member."
    halves = np.frombuffer(base64.b64decode(member["weights"]), "<f2")
    numbers = halves.astype(np.float64)
    if member["corrections"]:
        numbers += np.frombuffer(base64.b64decode(member["corrections"]), np.int8) * _distance(halves) / 256
    entries = member["tensors"].items()
    return {name: numbers[e["at"] :][: np.prod(e["shape"])].reshape(e["shape"]) for name, e in entries}


def _distance(halves):
    "From each number to the next larger one."
    magnitudes = np.minimum(np.abs(halves), np.float16(65_472))
    return np.spacing(magnitudes).astype(np.float64)


def _pack(learn, **kw):
    return pack_model(learn.model, learn.dls.vocab, **kw)


@pytest.mark.parametrize("arch", ["char3", "concat", "gru", "mullstm"])
def test_a_packed_model_has_every_weight_to_one_part_in_260_000(small, arch):
    learn = build(small, arch)
    (member,) = _pack(learn)["members"]
    tensors = _unpacked(member)
    assert tensors.keys() == dict(learn.model.named_parameters()).keys()
    for name, p in learn.model.named_parameters():
        np.testing.assert_allclose(tensors[name], p.detach().numpy(), rtol=2**-18, atol=2**-33)


def test_weights_that_are_float16_need_no_corrections(small):
    learn = build(small, "rnn")
    learn.model.half().float()
    (member,) = _pack(learn)["members"]
    assert member["corrections"] == ""
    for name, tensor in _unpacked(member).items():
        assert (tensor == dict(learn.model.named_parameters())[name].detach().numpy()).all()


@given(arrays(np.float32, 8, elements=st.floats(-65_504, 65_504, width=32)))
@settings(max_examples=50, deadline=None)
def test_numbers_in_the_range_of_float16_lose_less_than_a_512th_of_the_distance_to_the_next(numbers):
    "Subnormal numbers too."
    halves, corrections = _split(numbers)
    unit = _distance(halves) / 256
    # half the distance is 128 units, of which a byte has 127
    assert (np.abs(halves + corrections * unit - numbers) <= unit).all()


def test_models_of_files_are_packed_like_the_model_that_was_saved(small, tmp_path):
    learn = build(small, "ensemble", config=dict(arch="gru", n_models=2, layer_norm=True))
    save_model(learn, tmp_path / "m.safetensors")
    expected = _pack(learn)
    generator = load_generator(tmp_path / "m.safetensors")
    assert pack_model(generator.model, generator.dls.vocab) == expected
    assert _pack(load_model(tmp_path / "m.safetensors")) == expected
    assert len(expected["members"]) == 2


def test_what_is_packed_can_be_written_as_json_and_has_what_was_passed(small):
    learn = build(small, "gru")
    units = [dict(unit=3, tracks="quotes", score=0.5)]
    packed = _pack(learn, name="mine", facts=dict(epochs=3), units=units, prompts=("a", "b"))
    assert json.loads(json.dumps(packed)) == packed
    assert (packed["name"], packed["facts"], packed["units"]) == ("mine", dict(epochs=3), units)
    assert packed["prompts"] == ["a", "b"]
    assert (packed["mode"], packed["seq_len"], packed["vocab"][0]) == ("windows", 8, "")
    assert packed["vocab"][1:] == learn.dls.vocab.itos[1:]


def test_the_engine_runs_in_node_too(small):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    learn = build(small, "gru")
    script = f"""
        const model = CharRNN.load({json.dumps(_pack(learn))});
        const state = model.encode("the ").ids.reduce((s, id) => model.feed(s, id), model.start());
        console.log(JSON.stringify(Array.from(model.logProbs(state))));
    """
    out = subprocess.run([node, "-"], input=engine_source() + script, capture_output=True, text=True, check=True).stdout
    probs = learn.next_probs("the ")
    expected = [probs[char] for char in learn.dls.vocab.itos]
    np.testing.assert_allclose(np.exp(json.loads(out)), expected, rtol=1e-3)


def test_tied_weights_are_packed_once(small):
    learn = build(small, "rnn")
    tied = build(small, "rnn", config=dict(tie_weights=True, emb_sz=24, n_hid=24))
    assert "out.weight" in _pack(learn)["members"][0]["tensors"]
    assert "out.weight" not in _pack(tied)["members"][0]["tensors"]


def test_packing_changes_neither_the_model_nor_random_states(small):
    learn = build(small, "lstm", config=dict(output_p=0.5))
    learn.model.train()
    weights = {name: p.clone() for name, p in learn.model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    _pack(learn)
    assert torch.equal(torch.rand(1), expected)
    assert learn.model.training and all(m.training for m in learn.model.modules())
    assert all(torch.equal(p, weights[name]) for name, p in learn.model.state_dict().items())


def test_a_subclass_that_computes_the_same_is_packed(small):
    packed = _pack(build(small, CarriedGru))
    assert (packed["mode"], packed["seq_len"], packed["members"][0]["arch"]) == ("streams", None, "gru")


def test_pruned_weights_are_packed_as_they_are_used(small):
    learn = build(small, "mullstm")
    prune.random_unstructured(learn.model.hid[0], "weight", amount=0.5)
    packed = _unpacked(_pack(learn)["members"][0])["hid.0.weight"]
    assert (packed == 0).mean() > 0.4


class Doubled(CharLstm):
    "Computes something else than an LSTM."

    def step(self, inp, state):
        return super().step(2 * inp, state)

    def encode(self, x):
        return super().encode(x.flip(1))


def _with_hook(small):
    learn = build(small, "gru")
    learn.model.out.register_forward_hook(lambda module, args, out: 2 * out)
    return learn


def _with_other_output(small):
    learn = build(small, "gru")
    learn.model.out = nn.Sequential(nn.Linear(24, 24), nn.Linear(24, len(learn.dls.vocab)))
    return learn


def _wrapped(small):
    learn = build(small, "gru")
    learn.model = Whole(learn.model)
    return learn


@pytest.mark.parametrize(
    "make, message",
    [
        (_wrapped, "a page cannot run Whole, it runs char3, loop"),
        (_with_hook, "predicts something else than the architecture"),
        (_with_other_output, "out.weight is not a tensor of shape"),
        (lambda small: build(small, Doubled), "predicts something else than the architecture"),
    ],
    ids=["other class", "hook", "replaced module", "subclass"],
)
def test_models_that_the_engine_cannot_compute_are_refused(small, make, message):
    with pytest.raises(PageError, match=message) as e:
        _pack(make(small))
    assert "charrnn serve" in str(e.value)


def test_weights_that_are_not_finite_and_other_wrong_arguments_are_refused(small):
    learn = build(small, "rnn")
    with pytest.raises(DataError, match='mode must be "windows", "chunks" or "streams", or None, got \'window\''):
        _pack(learn, mode="window")
    with pytest.raises(DataError, match="vocab has 3 entries"):
        pack_model(learn.model, ["", "a", "b"])
    with torch.no_grad():
        learn.model.out.bias[0] = 70_000
    with pytest.raises(PageError, match="out.bias has the weight 70,000, beyond the 65,504 of float16"):
        _pack(learn)
    with torch.no_grad():
        learn.model.out.bias[0] = torch.inf
    with pytest.raises(GenerationError, match="out.bias"):
        _pack(learn)


def test_models_of_more_than_20_mb_are_refused_and_told_about_the_server(small):
    learn = build(small, "rnn")
    # memory that is never touched
    learn.model.out.extra = nn.Parameter(torch.zeros(1).expand(MAX_BYTES // 2))
    with pytest.raises(PageError, match="have 20.0 MB as float16, a page has room for 20 MB; use charrnn serve"):
        _pack(learn)
