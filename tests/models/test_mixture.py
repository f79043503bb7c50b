"""`CharMixture`: a network with counts, read step by step, as a sequence or in windows, with a gate that is fitted."""

import pytest
import torch
import torch.nn.functional as F
from oracles import step_by_step

from fastai_charrnn.all import ArchError, CharMixture, CharVocab, human_numbers, list_archs
from fastai_charrnn.models.build import build_model
from fastai_charrnn.models.registry import get_arch

TEXT = human_numbers()[:9000]
VOCAB = CharVocab.from_text(TEXT)
IDS = torch.from_numpy(VOCAB.encode(TEXT).astype("int64"))


def _network(arch="gru", /, seq_len=None, **config):
    sizes = dict(emb_sz=6, n_hid=10)
    return build_model(get_arch(arch).cls, len(VOCAB), sizes | config, seq_len, seed=1, target="every").eval()


def _mixture(arch="gru", /, seq_len=None, **config):
    "Counts of a text, and a gate of any weights."
    mixture = CharMixture.around(_network(arch, seq_len, **config), VOCAB, n_orders=4).count(IDS, [(0, 6000)])
    generator = torch.Generator().manual_seed(3)
    for p in mixture.gate.parameters():
        p.data.add_(torch.rand(p.shape, generator=generator) * 0.1)
    mixture.gate.share_trust()
    return mixture.double()


networks = pytest.mark.parametrize(
    "arch,config",
    [("gru", {}), ("lstm", dict(n_layers=2)), ("ensemble", dict(arch="rnn", n_models=2))],
    ids=["gru", "lstm", "ensemble"],
)


@networks
def test_steps_sequences_and_windows_are_equal(arch, config):
    mixture = _mixture(arch, **config)
    x = IDS[6000:6060].view(4, 15)
    whole = mixture(x)
    torch.testing.assert_close(step_by_step(mixture, x), whole, atol=1e-10, rtol=0)
    torch.testing.assert_close(whole.exp().sum(-1), torch.ones(4, 15).double())
    mixture.reset()
    torch.testing.assert_close(torch.cat([mixture(x[:, :4]), mixture(x[:, 4:])], 1), whole, atol=1e-10, rtol=0)
    with mixture.reading("next", 15):
        torch.testing.assert_close(mixture(x), whole[:, -1], atol=1e-10, rtol=0)


def test_the_gate_starts_with_the_network_alone():
    network = _network()
    mixture = CharMixture.around(network, VOCAB).count(IDS)
    x = IDS[:40].view(2, 20)
    torch.testing.assert_close(mixture(x), network(x), atol=1e-6, rtol=0)


def test_a_fitted_gate_predicts_better_on_another_text():
    mixture = CharMixture.around(_network(), VOCAB).count(IDS, [(0, 6000)])
    state = torch.random.get_rng_state()
    result = mixture.fit_gate(IDS[6000:7500], before=IDS[:6000])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert result["kept"]
    assert result["mixture"] < result["network"] - 0.5
    x, y = IDS[None, 7500:8999], IDS[None, 7501:9000]
    losses = [F.nll_loss(model(x)[0], y[0]).item() for model in (mixture, mixture.network)]
    assert losses[0] < losses[1] - 0.5
    again = CharMixture.around(mixture.network, VOCAB).count(IDS, [(0, 6000)])
    assert again.fit_gate(IDS[6000:7500], before=IDS[:6000]) == result


def test_a_gate_is_fitted_on_stretches_of_a_whole_long_text():
    "The second half cannot be predicted, the first one can: of both halves, about half of the loss is left."
    known = IDS[:6000].repeat(10)
    unknown = torch.randint(1, len(VOCAB), (60_000,), generator=torch.Generator().manual_seed(1))
    mixture = CharMixture.around(_network(), VOCAB).count(IDS, [(0, 6000)])
    half = mixture.fit_gate(torch.cat([known, unknown]), before=IDS[:6000])
    whole = mixture.fit_gate(unknown, before=IDS[:6000])
    assert half["mixture"] == pytest.approx(whole["mixture"] / 2, rel=0.2)


def _loss(model, ids):
    return F.nll_loss(model(ids[None, :-1])[0], ids[1:]).item()


def test_a_gate_that_is_wrong_is_not_trusted():
    "It weighs the counts of the text itself as if they said what does not follow."
    mixture = CharMixture.around(_network(), VOCAB).count(IDS)
    with torch.no_grad():
        mixture.gate.bias[2:] = -1
    wrong = _loss(mixture, IDS[:1001])
    mixture.gate.share_trust()
    mixture.reset()
    network = _loss(mixture.network, IDS[:1001])
    assert wrong > network + 1
    assert _loss(mixture, IDS[:1001]) < network


def test_a_long_sequence_is_mixed_in_parts(monkeypatch):
    mixture = _mixture()
    x = IDS[6000:6060].view(4, 15)
    whole, state = mixture.forward_seq(x, mixture.init_hidden(4))
    monkeypatch.setattr("fastai_charrnn.models.mixture._max_numbers", 4 * 4 * 3 * len(VOCAB))
    parts, state_of_parts = mixture.forward_seq(x, mixture.init_hidden(4))
    for got, expected in zip((parts, *state_of_parts), (whole, *state), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("n", [2, 30, 600])
def test_a_fit_is_never_worse_than_the_network_on_its_text(n):
    mixture = CharMixture.around(_network(), VOCAB, n_orders=2).count(IDS, [(0, 50)])
    result = mixture.fit_gate(IDS[6000 : 6000 + n])
    assert result["mixture"] <= result["network"]
    assert mixture.gate_result == result


@pytest.mark.parametrize("n_chars", [1, 3000])
def test_vocabularies_of_any_size(n_chars):
    chars = [chr(0x4E00 + k) for k in range(n_chars)]
    vocab = CharVocab.from_text("".join(chars))
    ids = torch.arange(4000) % n_chars + 1
    network = build_model(get_arch("gru").cls, len(vocab), dict(emb_sz=4, n_hid=6), None, seed=1, target="every").eval()
    mixture = CharMixture.around(network, vocab, n_orders=2).count(ids)
    result = mixture.fit_gate(ids[:100], before=ids[-50:])
    assert result["mixture"] <= result["network"]
    torch.testing.assert_close(mixture(ids[None, :9]).exp().sum(-1), torch.ones(1, 9))


def test_counting_again_and_another_network_keep_the_gate():
    mixture = _mixture()
    weight = mixture.gate.weight.clone()
    mixture.count(IDS)
    assert mixture.counts.n_chars == len(IDS)
    other = mixture.with_network(_network("rnn").double())
    assert torch.equal(other.gate.weight, weight)
    assert other.network_arch == "rnn"
    assert other(IDS[None, :20]).shape == (1, 20, len(VOCAB))


def test_gradients_reach_the_network_and_the_gate():
    mixture = _mixture()
    F.nll_loss(mixture(IDS[None, 6000:6030])[0], IDS[6001:6031]).backward()
    assert all(p.grad.abs().sum() > 0 for p in (mixture.gate.weight, mixture.gate.bias, mixture.emb.weight))


def test_in_training_it_is_the_network():
    mixture = _mixture().train()
    x = IDS[6000:6030].view(2, 15)
    torch.testing.assert_close(mixture(x), mixture.network(x))


@pytest.mark.parametrize("arch", ["char3", "mixture"])
def test_networks_that_cannot_be_mixed_are_refused(arch):
    with pytest.raises(ArchError, match="a mixture with"):
        CharMixture(len(VOCAB), network=arch)


def test_it_is_not_listed():
    assert "mixture" not in list_archs()
    assert get_arch("mixture").cls is CharMixture
