"""`hidden_states` returns the states that the model predicts with, for every architecture and way of reading."""

import numpy as np
import pytest
import torch
from small_models import CALM, CarriedGru, Whole, build

from fastai_charrnn.all import CharDataLoaders, CharModel, char_learner, list_archs
from fastai_charrnn.analysis.units import hidden_states
from fastai_charrnn.data.token_vocab import TokenVocab
from fastai_charrnn.errors import ArchError, DataError, GenerationError, UnknownCharError, VocabError

layered = ["loop", "concat", "rnn", "gru", "lstm", "mullstm"]


class OwnModel(CharModel):
    "A model of a user, whose output is not a tensor of its state."

    def layers(self, emb_sz, n_hid):
        self.inp = torch.nn.Linear(emb_sz, n_hid)
        self.hid = torch.nn.Linear(n_hid, n_hid)

    def table(self):
        return self.inp(self.emb.weight)

    def step(self, inp, state):
        return (torch.tanh(inp + self.hid(state[0])),)

    def output(self, state):
        return state[0] ** 3


def _predicted(learn, states):
    "The probabilities of the next character from hidden states of the last layer of a model without layer norm."
    with torch.no_grad():
        return learn.model.eval().head(torch.from_numpy(states)).exp().numpy()


def _probs_after(learn, text):
    "The same from `next_probs`, in the order of the vocabulary."
    probs = learn.next_probs(text)
    return np.array([probs[char] for char in learn.dls.vocab])


@pytest.mark.parametrize("arch", [a for a in list_archs() if a != "ensemble"])
def test_predictions_are_computed_from_the_states(small, arch):
    learn = build(small, arch)
    text = small[:20]
    states = hidden_states(learn, text)
    assert states.shape == (20, 24)
    assert states.dtype == np.float32
    probs = _predicted(learn, states)
    for end in (1, 2, 12, 20):
        assert np.allclose(probs[end - 1], _probs_after(learn, text[:end]), atol=1e-5)


def test_predictions_of_a_stateful_model_are_computed_from_the_states(small):
    learn = build(small, CarriedGru)
    text = small[:40]
    probs = _predicted(learn, hidden_states(learn, text))
    for end in (1, 20, 40):
        assert np.allclose(probs[end - 1], _probs_after(learn, text[:end]), atol=1e-5)


@pytest.mark.parametrize("arch", layered)
def test_each_layer_has_the_states_of_encode(small, arch):
    learn = build(small, arch, config=dict(n_layers=3, **CALM.get(arch, {})))
    text = small[:30]
    ids = torch.from_numpy(learn.dls.vocab.encode(text).astype(np.int64))
    with torch.no_grad():
        state = learn.model.eval().encode(ids.unfold(0, 8, 1))
    by_layer = state[:: len(state) // 3]
    for layer in range(3):
        states = hidden_states(learn, text, layer=layer)
        assert np.allclose(states[7:], by_layer[layer].numpy(), atol=1e-5)
    assert (hidden_states(learn, text, layer=-1) == states).all()
    for layer in (3, -4, 1.0, True):
        with pytest.raises(ArchError, match="0 to 2"):
            hidden_states(learn, text, layer=layer)


@pytest.mark.parametrize("arch", ["rnn", "lstm", "mullstm"])
def test_streams_and_chunks_carry_the_state_as_forward_seq_does(small, arch):
    learn = build(small, arch, n=7)
    text = small[:31]
    x = torch.from_numpy(learn.dls.vocab.encode(text).astype(np.int64))[None]
    model = learn.model.eval()
    with torch.no_grad():
        streams = model.forward_seq(x, model.init_hidden(1))[0][:, 0]
        chunks = [model.forward_seq(part, model.init_hidden(1))[0][:, 0] for part in x.split(7, 1)]
    assert np.allclose(hidden_states(learn, text, by="streams"), streams.numpy(), atol=1e-5)
    assert np.allclose(hidden_states(learn, text, by="chunks"), torch.cat(chunks).numpy(), atol=1e-5)
    with pytest.raises(DataError, match="by must be"):
        hidden_states(learn, text, by="letters")


def test_blocks_join_without_a_seam(small, monkeypatch):
    learn = build(small, "gru")
    whole = {by: hidden_states(learn, small[:100], by=by) for by in ("windows", "chunks", "streams")}
    monkeypatch.setattr("fastai_charrnn.analysis.text_states._max_numbers", 24 * 8 * 3)
    for by, states in whole.items():
        assert np.allclose(hidden_states(learn, small[:100], by=by), states, atol=1e-6)


def test_members_of_an_ensemble_are_read_one_by_one(small):
    learn = build(small, "ensemble", config=dict(arch="gru", n_models=2))
    text = small[:20]
    for k, member in enumerate(learn.model.members):
        alone = build(small, "gru")
        alone.model.load_state_dict(member.state_dict())
        assert np.allclose(hidden_states(learn, text, member=k), hidden_states(alone, text), atol=1e-6)
    with pytest.raises(DataError, match="member=2 is more than 1"):
        hidden_states(learn, text, member=2)


def test_a_model_of_the_users_own_shows_its_output(small):
    learn = build(small, OwnModel)
    text = small[:20]
    probs = _predicted(learn, hidden_states(learn, text))
    assert np.allclose(probs[-1], _probs_after(learn, text), atol=1e-5)
    with pytest.raises(ArchError, match="0 or -1"):
        hidden_states(learn, text, layer=1)


def test_other_vocabularies_are_read_by_their_own_indices(small):
    learn = build(small, "rnn")
    plain = hidden_states(learn, small[:20])
    order = np.random.default_rng(0).permutation(len(learn.dls.vocab))
    learn.dls.vocab = TokenVocab(["<pad>" if i == 0 else learn.dls.vocab.itos[i] for i in order])
    with torch.no_grad():
        learn.model.emb.weight.copy_(learn.model.emb.weight[torch.from_numpy(order)])
    assert np.allclose(hidden_states(learn, small[:20]), plain, atol=1e-6)


def test_the_model_is_left_as_it_was(small):
    learn = build(small, "mullstm")
    learn.model.train()
    first = hidden_states(learn, small[:50])
    assert learn.model.training
    assert (hidden_states(learn, small[:50]) == first).all()


def test_unknown_characters_have_no_row_with_skip(small):
    learn = build(small, "rnn")
    assert "€" not in small
    known = hidden_states(learn, "the value")
    assert (hidden_states(learn, "the€ value", unk="skip") == known).all()
    with pytest.raises(UnknownCharError):
        hidden_states(learn, "the€ value")
    assert hidden_states(learn, "").shape == (0, 24)


def test_what_cannot_be_read_raises_a_named_error(small):
    learn = build(small, "rnn")
    with pytest.raises(VocabError, match="str"):
        hidden_states(learn, 7)
    with pytest.raises(ArchError, match="char_learner"):
        hidden_states("learn", "the")
    with torch.no_grad():
        learn.model.out.bias[0] = torch.nan
    with pytest.raises(GenerationError, match="NaN"):
        hidden_states(learn, "the")
    dls = CharDataLoaders.from_text(small, device="cpu")
    whole = char_learner(dls, lambda vocab_sz, emb_sz, n_hid: Whole(build(small, "rnn").model))
    with pytest.raises(ArchError, match="derive it from CharModel"):
        hidden_states(whole, "the")
