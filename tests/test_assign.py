"""`learn.dls = other`, learners without default callbacks, and models of other classes."""

import pytest
import torch
from fastai.callback.rnn import ModelResetter, RNNCallback, RNNRegularizer
from fastai.data.core import DataLoaders
from fastai.text.models import AWD_LSTM, awd_lstm_lm_config, get_language_model
from learner_helpers import quiet_fit, weights
from torch import nn

from fastai_charrnn.all import CharDataLoaders, CharVocab, char_learner, extend_vocab, load_model, save_model
from fastai_charrnn.errors import ArchError, VocabError

VERSE = "the cat sat on the mat, and the dog lay on the log.\nso it was\n" * 8


def loaders(text=VERSE, **kwargs):
    return CharDataLoaders.from_text(text, device="cpu", **dict(seq_len=6, bs=32) | kwargs)


def small_learner(dls=None, arch="gru", **kwargs):
    return char_learner(dls or loaders(), arch, n_hid=16, emb_sz=8, seed=1, **kwargs)


def awd_lstm(n_chars):
    config = awd_lstm_lm_config | dict(emb_sz=8, n_hid=12, n_layers=2, pad_token=0)
    return get_language_model(AWD_LSTM, n_chars, config=config)


def test_two_loaders_of_one_part_train():
    learn = small_learner()
    dl = learn.dls.train
    learn.dls = DataLoaders(dl, dl)
    (row,) = quiet_fit(learn, 1, 1e-2)
    assert row["valid_loss"] > 0
    assert learn.evaluate(VERSE)["loss"] > 0
    assert learn.dls.mode == "windows"
    assert "6" in learn.summary().splitlines()[0]


def test_another_text_with_the_same_vocabulary_trains():
    learn = small_learner()
    learn.dls = loaders("so the cat was on the log. " * 20, vocab=learn.dls.vocab)
    assert quiet_fit(learn, 1)[0]["train_loss"] > 0


@pytest.mark.parametrize("vocab", [[*"\0 abcehmnost"], ["\0", *reversed(CharVocab.from_text(VERSE).itos[1:])]])
def test_another_vocabulary_is_an_error_that_names_the_ways_out(vocab):
    learn = small_learner()
    before = learn.dls
    other = loaders(vocab=CharVocab(vocab), unk="skip", bs=4)
    with pytest.raises(VocabError, match=r"vocab=learn.dls.vocab, or extend_vocab\(learn, dls\)"):
        learn.dls = other
    assert learn.dls is before
    assert quiet_fit(learn, 1)[0]["train_loss"] > 0


def test_an_extended_vocabulary_needs_an_extended_learner():
    learn = small_learner()
    other = loaders(VERSE + "xz" * 20, vocab=learn.dls.vocab.extended("xz"))
    with pytest.raises(VocabError, match="2 characters differ, such as 'x'"):
        learn.dls = other
    assert extend_vocab(learn, other).dls is other


def test_our_models_read_loaders_of_another_target_and_as_streams():
    learn = small_learner()
    before = weights(learn)
    learn.dls = loaders(target="every", seq_len=9)
    assert learn.model(learn.dls.one_batch()[0]).shape == (32, 9, len(learn.dls.vocab))
    learn.dls = loaders(target="every", stateful=True, bs=4)
    assert torch.equal(weights(learn), before)
    fresh = small_learner(loaders(target="every", stateful=True, bs=4))
    assert learn.validate() == fresh.validate()
    learn.dls = loaders()
    assert learn.validate() == small_learner().validate()


def test_a_model_of_one_window_length_reads_no_other():
    learn = char_learner(loaders(seq_len=3), "char3", n_hid=8)
    with pytest.raises(ArchError, match="Char3Model reads target='next', stateful=False, seq_len=3.*seq_len=6"):
        learn.dls = loaders()
    assert learn.dls.seq_len == 3


class LastCharacter(nn.Module):
    "Logits of the next character from the last one."

    def __init__(self, vocab_sz, emb_sz, n_hid):
        super().__init__()
        self.rows = nn.Embedding(vocab_sz, vocab_sz)

    def forward(self, x):
        return self.rows(x[:, -1])


def test_a_model_of_another_class_keeps_its_target():
    learn = small_learner(arch=LastCharacter)
    with pytest.raises(ArchError, match="LastCharacter reads target='next'.*target='every'"):
        learn.dls = loaders(target="every")
    learn.dls = loaders(seq_len=4)
    assert quiet_fit(learn, 1)[0]["train_loss"] > 0


def test_logits_train_and_are_scored_as_probabilities():
    learn = small_learner(arch=LastCharacter)
    rows = quiet_fit(learn, 8, 5e-2)
    assert 0 < rows[-1]["valid_loss"] < rows[0]["valid_loss"]
    assert rows[-1]["bits_per_char"] == pytest.approx(rows[-1]["valid_loss"] / 0.6931472, abs=1e-4)
    probs, _ = learn.get_preds()
    torch.testing.assert_close(probs.sum(-1), torch.ones(len(probs)))


@pytest.mark.parametrize("stateful", [False, True])
def test_the_language_model_of_fastai_trains_and_generates(stateful):
    dls = loaders(target="every", stateful=stateful, bs=4)
    learn = char_learner(
        dls, awd_lstm(len(dls.vocab)), seed=1, cbs=[ModelResetter(), RNNCallback(), RNNRegularizer(2, 1)]
    )
    rows = quiet_fit(learn, 3, 2e-2)
    assert rows[-1]["valid_loss"] < rows[0]["valid_loss"]
    learn.remove_cbs([ModelResetter, RNNCallback, RNNRegularizer])
    assert quiet_fit(learn, 1)[-1]["train_loss"] > 0
    assert learn.predict_next("the c", n=9) == learn.predict_next("the c", n=9)
    assert len(learn.generate(["the c", "so"], 7, seed=1)) == 2
    assert learn.score(VERSE[:40]).bits_per_char == learn.score(VERSE[:40]).bits_per_char
    assert learn.evaluate(VERSE)["loss"] > 0


def test_generation_in_a_fit_does_not_change_the_state_of_a_language_model():
    dls = loaders(target="every", stateful=True, bs=4)
    learn = char_learner(dls, awd_lstm(len(dls.vocab)), seed=1)
    learn.model.eval()
    x = dls.one_batch()[0]
    learn.model(x)
    expected = learn.model(x)[0]
    learn.model.reset()
    learn.model(x)
    learn.generate("the c", 9, seed=1)
    learn.score(VERSE[:40])
    learn.next_probs("so")
    torch.testing.assert_close(learn.model(x)[0], expected)


def test_a_learner_without_default_callbacks_works(tmp_path):
    learn = small_learner(default_cbs=False)
    before = weights(learn)
    learn.fit(1, 1e-2)
    assert not torch.equal(weights(learn), before)
    assert learn.training_log.rows[0]["lr"] == pytest.approx(1e-2)
    learn.validate()
    assert learn.evaluate(VERSE)["loss"] > 0
    assert learn.predict_next("the") == load_model(save_model(learn, tmp_path / "m")).predict_next("the")
    assert learn.get_preds()[0].shape[1] == len(learn.dls.vocab)
