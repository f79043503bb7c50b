"""fastai's notebooks 34 and 37, callback.rnn and text.learner: states, regularisation, text after text, encoders."""

import pandas as pd
import pytest
import torch
from fastai.callback.rnn import ModelResetter, RNNCallback, RNNRegularizer, rnn_cbs
from tiny import Last, tiny_dls, tiny_learner

from fastai_charrnn.all import CharDataLoaders, char_learner, python_reference


def test_the_state_is_reset_before_each_part_and_after_the_fit(tmp_path):
    "34, ModelResetter: no state before training and validation, a state between batches, none after a fit."
    learn = tiny_learner("streams", tmp_path)
    seen = []
    watch = Last(before_batch=lambda self: seen.append((self.training, self.iter, self.learn.model.state is None)))
    learn.fit(1, cbs=[ModelResetter(), watch])
    assert all(is_none == (i == 0) for _, i, is_none in seen)
    assert {training for training, *_ in seen} == {True, False}
    assert learn.model.state is None


def test_the_outputs_of_the_layer_are_available(learn):
    "34, RNNCallback: raw and dropped-out outputs of the recurrent layer, one for each prediction."
    shapes = []
    cb = RNNCallback()
    watch = Last(after_loss=lambda self: shapes.append((cb.raw_out.shape, cb.out.shape, self.y.shape)))
    learn.fit(1, cbs=[cb, watch])
    assert learn.recorder.values[-1][1] < 4
    for raw, dropped, target in shapes:
        assert raw == dropped and raw[0] == target[0] and raw[-1] == 8


@pytest.mark.parametrize("setting", [dict(alpha=2.0), dict(beta=1.0), dict(alpha=2.0, beta=1.0)], ids=str)
def test_activations_are_regularised(tmp_path, setting):
    "34, RNNRegularizer and rnn_cbs: the penalties change the gradients, not the recorded loss."
    assert isinstance(rnn_cbs(**setting)[-1], RNNRegularizer)

    def sizes(cbs):
        learn = tiny_learner("streams", tmp_path)
        learn.fit(4, cbs=cbs)
        return learn.model.out.weight.detach(), learn.recorder.values[0][0]

    plain, loss = sizes([])
    regularised, loss_regularised = sizes(rnn_cbs(**setting))
    assert not plain.equal(regularised)
    assert loss_regularised == pytest.approx(loss, rel=0.05)


# text.learner


@pytest.fixture
def frame():
    "Twenty short documents, four of them for validation."
    text = python_reference()[:3000]
    return pd.DataFrame(
        dict(text=[text[i : i + 150] for i in range(0, 3000, 150)], is_valid=([False] * 4 + [True]) * 4)
    )


def test_a_learner_is_made_from_a_data_frame(frame, tmp_path):
    "37, language_model_learner: a column with texts, a column that says which are for validation."
    dls = CharDataLoaders.from_df(frame, text_col="text", valid_col="is_valid", seq_len=8, bs=64, path=tmp_path)
    learn = char_learner(dls, n_hid=8, seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1)
    n_valid = sum(y.numel() for _, y in dls.valid)
    assert 400 < n_valid <= 4 * 150


def test_a_text_is_continued(learn):
    "37, predict: returns the text and the words that come after, as a string; `temperature` makes it vary."
    found = learn.predict("import ", n_words=3, temperature=0.75)
    assert isinstance(found, str) and found.startswith("import ")
    assert len(found.split()) > 1


def test_only_the_last_character_is_fed(tmp_path):
    "37, predict with only_last_word: our stateful models always read one character at a time."
    learn = tiny_learner("streams", tmp_path)
    shapes = []
    step = learn.model.step
    learn.model.step = lambda inp, state: shapes.append(len(inp)) or step(inp, state)
    text = learn.generate("import ", 20, seed=0)
    del learn.model.step
    assert len(text) >= 20
    assert len(shapes) < 40


def test_an_encoder_is_saved_and_loaded(tmp_path):
    "37, save_encoder and load_encoder: everything but the output layer is loaded, and it is frozen."
    learn = tiny_learner("windows", tmp_path)
    learn.fit(1)
    learn.save_encoder("enc")
    assert (tmp_path / "models/enc.pth").exists()
    other = tiny_learner("windows", tmp_path, seed=5).load_encoder("enc")
    torch.testing.assert_close(other.model.emb.weight, learn.model.emb.weight)
    assert not other.model.out.weight.equal(learn.model.out.weight)
    embedding = other.model.emb.weight.detach().clone()
    other.fit(1)
    assert other.model.emb.weight.equal(embedding)


def test_a_trained_model_gets_another_vocabulary(tmp_path):
    "37, match_embeds and load_pretrained: known characters keep their rows, new ones get the mean of the others."
    from fastai_charrnn.all import extend_vocab

    learn = tiny_learner("windows", tmp_path)
    dls = tiny_dls("windows", tmp_path, vocab=learn.dls.vocab.extended("äö"))
    other = extend_vocab(learn, dls)
    old, new = learn.model.emb.weight, other.model.emb.weight
    torch.testing.assert_close(new[: len(old)], old)
    torch.testing.assert_close(new[len(old) :], old[1:].mean(0).expand(2, -1))
    assert len(new) == len(old) + 2


def test_results_are_shown_as_text(learn, capsys):
    "37, show_results: input, target and prediction as text."
    learn.show_results(max_n=2, shuffle=False)
    shown = capsys.readouterr().out
    assert len(shown.strip().splitlines()) >= 2
