"""Models that return logits, tuples, or one prediction for each character generate and score."""

import pytest
import torch
from fastai.text.models import AWD_LSTM, awd_lstm_lm_config, get_language_model
from torch import nn

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.errors import ArchError
from fastai_charrnn.generation.outputs import last_log_probs, read_windows


def awd_lstm(vocab_sz, emb_sz=8, n_hid=12, n_layers=2):
    config = awd_lstm_lm_config | dict(emb_sz=emb_sz, n_hid=n_hid, n_layers=n_layers, pad_token=0)
    return get_language_model(AWD_LSTM, vocab_sz, config=config)


class EveryLogits(nn.Module):
    "Logits (bs, n, V), not normalised, without steps."

    def __init__(self, vocab_sz, emb_sz=8, n_hid=12):
        super().__init__()
        self.emb = nn.Embedding(vocab_sz, emb_sz)
        self.rnn = nn.GRU(emb_sz, n_hid, batch_first=True)
        self.out = nn.Linear(n_hid, vocab_sz)

    def forward(self, x):
        return self.out(self.rnn(self.emb(x))[0])


def test_the_last_position_of_logits_is_normalised():
    logits = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    expected = logits[:, -1].softmax(-1).log()
    for output in (logits, (logits, "raw", "dropped"), [logits], logits[:, -1], logits[:, -1].log_softmax(-1)):
        torch.testing.assert_close(last_log_probs(output), expected)


@pytest.mark.parametrize("output", [None, "text", torch.zeros(7), torch.zeros(1, 2, 3, 4), (), (None,)])
def test_other_outputs_are_an_error_that_names_the_shapes(output):
    with pytest.raises(ArchError, match=r"\(bs, vocab\) or \(bs, n, vocab\)"):
        last_log_probs(output)


def test_a_model_that_flattens_rows_and_positions_is_an_error():
    flat = nn.Sequential(nn.Embedding(7, 7), nn.Flatten(0, 1))
    with pytest.raises(ArchError, match="20 rows for 4 rows"):
        read_windows(flat, torch.zeros(4, 5, dtype=torch.int64))


def test_reading_starts_afresh_and_restores_the_state():
    model = awd_lstm(9).eval()
    ids = torch.arange(12).view(2, 6) % 9
    with torch.no_grad():
        model(ids[:1])
        before = [[h.clone() for h in layer] for layer in model[0].hidden]
        first = read_windows(model, ids)
        again = read_windows(model, ids)
    assert torch.equal(first, again)
    assert model[0].bs == 1
    for layer, old in zip(model[0].hidden, before):
        assert all(torch.equal(a, b) for a, b in zip(layer, old))


@pytest.mark.parametrize("arch", ["gru", "mullstm", "ensemble", EveryLogits, awd_lstm])
def test_predictions_after_every_character_use_the_last_one(small, arch):
    dls = CharDataLoaders.from_text(small[:3000], seq_len=6, bs=32, target="every", device="cpu")
    learn = char_learner(dls, arch, n_hid=12, emb_sz=8, seed=1)
    probs = learn.next_probs("the value")
    assert sum(probs.values()) == pytest.approx(1, abs=1e-5)
    likeliest = max(probs, key=probs.get)
    assert learn.predict_next("the value") == likeliest
    text = learn.generate("the value", 5, temperature=0)
    scored = learn.score(str(text))
    # after the first window the score reads what generation read
    assert scored.log_probs[-5:] == pytest.approx(text.log_probs, abs=1e-4)
    assert str(learn.generate("the value", 30, seed=3)) == str(learn.generate("the value", 30, seed=3))
