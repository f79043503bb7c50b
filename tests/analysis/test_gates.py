"""`gates` equal the formulas of the papers, computed here in NumPy, and `saturation` counts them."""

import numpy as np
import pytest
from small_models import CALM, CarriedGru, build

from fastai_charrnn.analysis.gates import GATES, gates, saturation
from fastai_charrnn.analysis.units import hidden_states
from fastai_charrnn.errors import ArchError, DataError

text = "the value of (an expression)\n"


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _weights(learn):
    return {name: p.detach().double().numpy() for name, p in learn.model.state_dict().items()}


def _embedded(learn, weights):
    return weights["emb.weight"][learn.dls.vocab.encode(text)]


def _lstm(pre, c):
    i, f = np.split(pre, 4)[:2]
    g, o = np.split(pre, 4)[2:]
    step = dict(input=_sigmoid(i), forget=_sigmoid(f), candidate=np.tanh(g), output=_sigmoid(o))
    cell = step["forget"] * c + step["input"] * step["candidate"]
    return step | dict(cell=cell, hidden=step["output"] * np.tanh(cell))


def _run_lstm(xs, w, prefix, n_hid):
    "All steps of a layer of `torch.nn.LSTM` over inputs (n, n_inp)."
    steps = [dict(cell=np.zeros(n_hid), hidden=np.zeros(n_hid))]
    for x in xs:
        pre = w[f"{prefix}rnn.weight_ih_l0"] @ x + w[f"{prefix}rnn.bias_ih_l0"] + w[f"{prefix}rnn.bias_hh_l0"]
        steps.append(_lstm(pre + w[f"{prefix}rnn.weight_hh_l0"] @ steps[-1]["hidden"], steps[-1]["cell"]))
    return _stacked(steps[1:])


def _run_gru(xs, w, n_hid):
    "All steps of `torch.nn.GRU` over inputs (n, n_inp)."
    steps = [dict(hidden=np.zeros(n_hid))]
    for x in xs:
        h = steps[-1]["hidden"]
        inp = np.split(w["rnn.weight_ih_l0"] @ x + w["rnn.bias_ih_l0"], 3)
        hid = np.split(w["rnn.weight_hh_l0"] @ h + w["rnn.bias_hh_l0"], 3)
        reset, update = (_sigmoid(inp[k] + hid[k]) for k in (0, 1))
        candidate = np.tanh(inp[2] + reset * hid[2])
        hidden = (1 - update) * candidate + update * h
        steps.append(dict(reset=reset, update=update, candidate=candidate, hidden=hidden))
    return _stacked(steps[1:])


def _run_mullstm(xs, w, layer, n_hid):
    "All steps of a layer of `mullstm`, by the formulas of its module, over inputs (n, n_inp)."
    steps = [dict(cell=np.zeros(n_hid), hidden=np.zeros(n_hid))]
    for x in xs:
        inp = w[f"inp.{layer}.weight"] @ x + w[f"inp.{layer}.bias"]
        scale = 2 * _sigmoid(inp[4 * n_hid :])
        pre = inp[: 4 * n_hid] + w[f"hid.{layer}.weight"] @ (scale * steps[-1]["hidden"])
        steps.append(_lstm(pre, steps[-1]["cell"]) | dict(scale=scale))
    return _stacked(steps[1:])


def _stacked(steps):
    return {name: np.stack([step[name] for step in steps]) for name in steps[0]}


def _check_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == np.float32
        assert np.allclose(found[name], values, atol=1e-5)


def test_the_gates_of_an_lstm_equal_its_formula_in_every_layer(small):
    learn = build(small, "lstm", config=dict(n_layers=2, layer_norm=True))
    w = _weights(learn)
    first = _run_lstm(_embedded(learn, w), w, "", 24)
    _check_equal(gates(learn, text, layer=0, by="streams"), first)
    h = first["hidden"]
    normed = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
    inputs = normed * w["norms.0.weight"] + w["norms.0.bias"]
    _check_equal(gates(learn, text, by="streams"), _run_lstm(inputs, w, "upper.0.", 24))


def test_the_gates_of_a_gru_equal_its_formula(small):
    learn = build(small, CarriedGru)
    w = _weights(learn)
    _check_equal(gates(learn, text), _run_gru(_embedded(learn, w), w, 24))


def test_the_gates_of_a_mullstm_equal_its_formula_in_every_layer(small):
    learn = build(small, "mullstm", config=dict(n_layers=2, **CALM["mullstm"]))
    w = _weights(learn)
    first = _run_mullstm(_embedded(learn, w), w, 0, 24)
    _check_equal(gates(learn, text, layer=0, by="streams"), first)
    _check_equal(gates(learn, text, by="streams"), _run_mullstm(first["hidden"], w, 1, 24))


@pytest.mark.parametrize("arch", ["gru", "lstm", "mullstm"])
def test_the_gates_of_a_window_start_with_zeros(small, arch):
    learn = build(small, arch)
    found = gates(learn, text)
    assert (found["hidden"] == hidden_states(learn, text)).all()
    # a row of a window of eight characters is the last row of those eight read alone
    alone = gates(learn, text[10:18], by="streams")
    for name, values in found.items():
        assert np.allclose(values[17], alone[name][-1], atol=1e-5)


def test_a_member_of_an_ensemble_has_gates(small):
    learn = build(small, "ensemble", config=dict(arch="gru", n_models=2))
    assert not np.allclose(gates(learn, text, member=0)["update"], gates(learn, text, member=1)["update"])


def test_hooked_modules_have_the_same_gates(small):
    for arch in ("lstm", "mullstm"):
        learn = build(small, arch)
        plain = gates(learn, text)
        learn.model.emb.register_forward_hook(lambda *args: None)
        _check_equal(gates(learn, text), plain)


@pytest.mark.parametrize("arch", ["rnn", "loop", "concat"])
def test_an_architecture_without_gates_raises_an_error_that_names_those_that_have_them(small, arch):
    with pytest.raises(ArchError, match='"gru", "lstm" and "mullstm" have gates'):
        gates(build(small, arch), "")


def test_an_empty_text_has_no_rows(small):
    for arch in ("gru", "lstm", "mullstm"):
        learn = build(small, arch)
        empty = gates(learn, "")
        assert list(empty) == list(gates(learn, "the"))
        assert {values.shape for values in empty.values()} == {(0, 24)}


def test_saturation_counts_the_characters_at_which_a_gate_is_closed_and_open():
    forget = np.array([[0.05, 0.95], [0.5, 0.99], [0.01, 0.2], [0.95, 0.95]])
    shares = saturation(dict(forget=forget, cell=forget))
    assert list(shares) == ["forget"]
    assert shares["forget"].tolist() == [[0.5, 0.25], [0.0, 0.75]]
    assert saturation(dict(update=forget), low=0.3, high=0.96)["update"].tolist() == [[0.5, 0.0], [0.25, 0.25]]


def test_saturation_refuses_what_has_no_gates(small):
    learn = build(small, "lstm")
    assert set(saturation(gates(learn, text))) < set(GATES)
    for values, message in ((dict(cell=np.ones((2, 2))), "no gates"), (7, "no gates"), (gates(learn, ""), "no char")):
        with pytest.raises(DataError, match=message):
            saturation(values)
    with pytest.raises(DataError, match="high=0.2"):
        saturation(gates(learn, text), low=0.3, high=0.2)
