"""A trained model is extended by new characters, and is trained on a text while it reads it."""

import pytest
import torch
from learner_helpers import quiet_fit, weights
from torch import nn

from fastai_charrnn.adapt import dynamic_evaluation, extend_vocab
from fastai_charrnn.all import (
    ArchError,
    CharDataLoaders,
    CharVocab,
    DataError,
    VocabError,
    char_learner,
    human_numbers,
    list_archs,
)

NUMBERS = human_numbers()[:12000]
# with capitals, and é in place of e
OTHER = NUMBERS[:4000].upper() + NUMBERS[:4000].replace("e", "é")


def _trained(arch="lstm", **kwargs):
    reads = dict(seq_len=3) if arch == "char3" else dict(seq_len=16, target="every", stateful=True)
    dls = CharDataLoaders.from_text(NUMBERS, bs=16, valid="tail", device="cpu", **reads)
    learn = char_learner(dls, arch, n_hid=24, emb_sz=24, seed=0, **kwargs)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2, 1e-2)
    return learn


def _other_dls(learn):
    "Loaders of the other text, with the learner's vocabulary extended."
    dls = learn.dls
    return CharDataLoaders.from_text(
        OTHER,
        seq_len=dls.seq_len,
        bs=16,
        valid="tail",
        vocab=dls.vocab.extended(OTHER),
        device="cpu",
        target=dls.target,
        stateful=dls.stateful,
    )


# extend_vocab


def test_an_extended_vocabulary_keeps_the_known_indices():
    v = CharVocab.from_text("cab")
    assert v.extended("zdab").itos == ["\0", "a", "b", "c", "d", "z"]
    assert v.extended("bca") == v


def _members(model):
    return getattr(model, "members", [model])


@pytest.mark.parametrize("arch", list_archs())
def test_probabilities_of_known_characters_shrink_by_one_common_factor(arch):
    "By one for each member of an ensemble."
    learn = _trained(arch)
    extended = extend_vocab(learn, _other_dls(learn), seed=0)
    k = len(learn.dls.vocab)
    x = torch.randint(1, k, (5, learn.dls.seq_len))
    for old, new in zip(_members(learn.model), _members(extended.model)):
        old.eval().target = new.eval().target = learn.model.target
        a = old(x).detach()
        b = new(x).detach()
        assert b.shape[-1] == len(extended.dls.vocab) > k
        log_factors = b[..., :k] - a
        torch.testing.assert_close(log_factors, log_factors[..., :1].expand_as(log_factors), atol=1e-4, rtol=0)
        assert (log_factors < 0).all()
        torch.testing.assert_close(new.emb.weight[k], old.emb.weight[1:].mean(0))


CONFIGS = [{}, dict(tie_weights=True, n_layers=2, layer_norm=True)]


@pytest.mark.parametrize("config", CONFIGS)
def test_an_extended_model_learns_faster_than_a_new_one(config):
    learn = _trained(config=config)
    extended = extend_vocab(learn, _other_dls(learn), seed=0)
    new = char_learner(_other_dls(learn), "lstm", n_hid=24, emb_sz=24, config=config, seed=0)
    losses = [quiet_fit(o, 1, 3e-3)[-1]["valid_loss"] for o in (extended, new)]
    assert losses[0] < losses[1]
    assert len(extended.predict_next("ONE é", n=5)) == 10


@pytest.mark.parametrize("config", CONFIGS)
def test_the_learner_itself_is_not_changed(config):
    learn = _trained(config=config)
    before = weights(learn)
    extended = extend_vocab(learn, _other_dls(learn), seed=0)
    quiet_fit(extended, 1, 3e-3)
    assert torch.equal(before, weights(learn))
    assert "É" not in learn.dls.vocab
    tied = extended.model.out.weight is extended.model.emb.weight
    assert tied == bool(config)


def test_another_vocabulary_is_refused():
    with pytest.raises(VocabError, match="does not begin with the learner's"):
        extend_vocab(_trained(), CharDataLoaders.from_text(OTHER, bs=16, device="cpu"))


class Fixed(nn.Module):
    "Predicts without an embedding, for a vocabulary of 19."

    def __init__(self, vocab_sz, emb_sz, n_hid):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(50))

    def forward(self, x):
        return self.w[:19].expand(len(x), 19).log_softmax(-1)


def test_a_model_without_an_embedding_is_refused():
    dls = CharDataLoaders.from_text(NUMBERS, bs=16, device="cpu")
    other = CharDataLoaders.from_text(OTHER, bs=16, vocab=dls.vocab.extended(OTHER), device="cpu")
    learn = char_learner(dls, Fixed)
    with pytest.raises(ArchError, match="Fixed has no embedding"):
        extend_vocab(learn, other)


# dynamic evaluation


def _fixed_loss(learn, text):
    return learn.evaluate(text, by="streams")["streams_loss"]


def test_without_steps_it_is_the_loss_of_fixed_weights():
    learn = _trained()
    text = NUMBERS[-700:]
    found = dynamic_evaluation(learn, text, lr=0.0)
    assert found["dynamic_loss"] == pytest.approx(_fixed_loss(learn, text), abs=1e-5)
    assert found["dynamic_bits_per_char"] == pytest.approx(found["dynamic_loss"] / 0.6931472, abs=1e-5)


STRANGE = ("one hundred six " * 60)[:900]


def test_a_repetitive_text_is_predicted_better_than_by_fixed_weights():
    learn = _trained()
    assert dynamic_evaluation(learn, STRANGE, lr=1e-3)["dynamic_loss"] < learn.evaluate(STRANGE)["loss"]


def test_every_character_is_predicted_before_it_is_learnt():
    "So the loss of the first segment is that of fixed weights."
    learn = _trained()
    found = dynamic_evaluation(learn, STRANGE[:20], lr=1.0, segment=20)
    assert found["dynamic_loss"] == pytest.approx(_fixed_loss(learn, STRANGE[:20]), abs=1e-5)


def test_the_model_is_restored():
    learn = _trained()
    learn.model.train()
    before = weights(learn)
    dynamic_evaluation(learn, STRANGE, lr=1e-3)
    assert torch.equal(before, weights(learn))
    assert all(p.grad is None or not p.grad.isnan().any() for p in learn.model.parameters())
    assert all(m.training for m in learn.model.modules())
    assert learn.model.target == "every"
    assert learn.model.seq_len is None


def test_a_short_text_is_refused():
    with pytest.raises(DataError, match="the text has 1 characters"):
        dynamic_evaluation(_trained(), "o")


def test_a_model_without_steps_is_refused():
    learn = char_learner(CharDataLoaders.from_text(NUMBERS, bs=16, device="cpu"), Fixed)
    with pytest.raises(ArchError, match="Fixed cannot carry a state; derive it from CharModel"):
        dynamic_evaluation(learn, "one two")
    with pytest.raises(ArchError, match="Fixed can read only windows; derive it from CharModel"):
        learn.evaluate("one two three four five", by="streams")
