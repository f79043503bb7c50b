"""A trained model learns more characters, and learns from what it reads."""

import pytest
import torch
from torch import nn

from fastai_charrnn.adapt import dynamic_evaluation, extend_vocab
from fastai_charrnn.all import (
    ArchError,
    CharDataLoaders,
    CharVocab,
    VocabError,
    char_learner,
    human_numbers,
    list_archs,
)

NUMBERS = human_numbers()[:12000]
OTHER = NUMBERS[:4000].upper() + NUMBERS[:4000].replace("e", "é")


def _learn(arch="lstm", **kw):
    stateful = arch != "char3"
    dls = CharDataLoaders.from_text(
        NUMBERS,
        seq_len=16 if stateful else 3,
        bs=16,
        valid="tail",
        target="every" if stateful else "next",
        stateful=stateful,
        device="cpu",
    )
    learn = char_learner(dls, arch, n_hid=24, emb_sz=24, seed=0, **kw)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2, 1e-2)
    return learn


def _longer(learn):
    kw = dict(target="every", stateful=True) if learn.dls.stateful else {}
    return CharDataLoaders.from_text(
        OTHER, seq_len=learn.dls.seq_len, bs=16, valid="tail", vocab=learn.dls.vocab.extended(OTHER), device="cpu", **kw
    )


def test_an_extended_vocabulary_keeps_the_old_indices():
    v = CharVocab.from_text("cab")
    assert v.extended("zdab").itos == ["\0", "a", "b", "c", "d", "z"] and v.extended("bca") == v


@pytest.mark.parametrize("arch", list_archs())
def test_old_characters_lose_by_one_common_factor(arch):
    "Their probabilities change through the softmax's denominator alone; in an ensemble, through that of each network."
    learn = _learn(arch)
    more = extend_vocab(learn, _longer(learn), seed=0)
    k = len(learn.dls.vocab)
    x = torch.randint(1, len(learn.dls.vocab), (5, learn.dls.seq_len))
    for nets in zip(*(getattr(o.model, "members", [o.model]) for o in (learn, more))):
        for m in nets:
            m.eval().target = learn.model.target
        a, b = (m(x).detach() for m in nets)
        assert b.shape[-1] == len(more.dls.vocab) > k
        ratio = b[..., :k] - a
        torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio), atol=1e-4, rtol=0)
        torch.testing.assert_close(nets[1].emb.weight[k], nets[0].emb.weight[1:].mean(0))
        assert (ratio < 0).all()


@pytest.mark.parametrize("config", [{}, dict(tie_weights=True, n_layers=2, layer_norm=True)])
def test_training_goes_on_where_it_was(config):
    learn = _learn(config=config)
    before = [p.clone() for p in learn.model.parameters()]
    more = extend_vocab(learn, _longer(learn), seed=0)
    fresh = char_learner(_longer(learn), "lstm", n_hid=24, emb_sz=24, config=config, seed=0)
    losses = []
    for o in (more, fresh):
        with o.no_bar(), o.no_logging():
            o.fit(1, 3e-3)
        losses.append(o.training_log.rows[-1]["valid_loss"])
    assert losses[0] < losses[1]
    assert (
        all(torch.equal(a, b) for a, b in zip(before, learn.model.parameters()))
        and "É" not in learn.dls.vocab
        and len(more.predict_next("ONE é", n=5)) == 10
    )
    if config:
        assert more.model.out.weight is more.model.emb.weight


def test_what_cannot_be_extended_is_said():
    learn = _learn()
    with pytest.raises(VocabError, match="does not begin with the learner's"):
        extend_vocab(learn, CharDataLoaders.from_text(OTHER, bs=16, device="cpu"))

    class Fixed(nn.Module):
        def __init__(self, vocab_sz, emb_sz, n_hid):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(50))

        def forward(self, x):
            return self.w[:19].expand(len(x), 19).log_softmax(-1)

    dls = CharDataLoaders.from_text(NUMBERS, bs=16, device="cpu")
    other = CharDataLoaders.from_text(OTHER, bs=16, vocab=dls.vocab.extended(OTHER), device="cpu")
    learn = char_learner(dls, Fixed)
    with pytest.raises(ArchError, match="Fixed has no embedding"):
        extend_vocab(learn, other)


# dynamic evaluation


def test_without_steps_it_is_the_loss_of_fixed_weights():
    learn = _learn()
    text = NUMBERS[-700:]
    got = dynamic_evaluation(learn, text, lr=0.0)
    assert got["dynamic_loss"] == pytest.approx(learn.evaluate(text, by="streams")["streams_loss"], abs=1e-5)
    assert got["dynamic_bits_per_char"] == pytest.approx(got["dynamic_loss"] / 0.6931472, abs=1e-5)


def test_it_learns_from_what_it_has_read_and_from_nothing_else():
    learn = _learn()
    learn.model.train()
    strange = ("one hundred six " * 60)[:900]
    before = [p.clone() for p in learn.model.parameters()]
    fixed = learn.evaluate(strange)["loss"]
    dynamic = dynamic_evaluation(learn, strange, lr=1e-3)["dynamic_loss"]
    assert dynamic < fixed
    assert all(torch.equal(a, b) for a, b in zip(before, learn.model.parameters())) and all(
        p.grad is None or not p.grad.isnan().any() for p in learn.model.parameters()
    )
    start = strange[
        :20
    ]  # every character is predicted before it is learnt: the first segment's loss is that of fixed weights
    assert dynamic_evaluation(learn, start, lr=1.0, segment=20)["dynamic_loss"] == pytest.approx(
        learn.evaluate(start, by="streams")["streams_loss"], abs=1e-5
    )
    assert learn.model.target == "every" and learn.model.seq_len is None


def test_it_asks_for_a_text_and_a_model_with_steps():
    with pytest.raises(ValueError, match="the text has 1 characters"):
        dynamic_evaluation(_learn(), "o")
