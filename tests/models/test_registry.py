"""Architectures by name: the registry, classes and functions of your own, and the names of version 0.1."""

import warnings

import pytest
import torch
from model_checks import Bigram
from oracles import ORACLES
from torch import nn

from fastai_charrnn.all import char_learner
from fastai_charrnn.errors import ArchError
from fastai_charrnn.models import registry
from fastai_charrnn.models.base import CharModel
from fastai_charrnn.models.build import build_model
from fastai_charrnn.models.registry import get_arch, list_archs, register_arch


def test_the_architectures_of_the_package():
    assert sorted([*ORACLES, "ensemble", "mullstm"]) == list_archs()


def test_an_unknown_name_lists_the_known_ones():
    known = "char3, concat, ensemble, gru, loop, lstm, mullstm, rnn"
    with pytest.raises(ArchError, match=f"no architecture is called 'rnnn'; known: {known}"):
        get_arch("rnnn")
    with pytest.raises(ArchError, match="neither the name"):
        get_arch(3)


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(ArchError, match="'rnn' is already fastai_charrnn.models.rnn.CharRnn; choose another name"):
        register_arch("rnn")(nn.Linear)


def test_a_class_can_be_registered_again():
    known = get_arch("rnn")
    register_arch("rnn")(known.cls)
    # learners made before can still be saved
    assert known.registered
    assert get_arch("rnn").registered


def _trained(dls, arch, lr=1e-2, **kw):
    learn = char_learner(dls, arch, seed=0, **kw)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, lr)
    return learn


@pytest.mark.parametrize("by_name", [True, False])
def test_a_class_of_your_own_trains_by_name_or_as_itself(dls, by_name, monkeypatch):
    monkeypatch.setattr(registry, "_archs", dict(registry._archs))
    register_arch("bigram", n_hid=10)(Bigram)
    assert "bigram" in list_archs()
    learn = _trained(dls, "bigram" if by_name else Bigram, emb_sz=10, n_hid=12)
    assert learn.training_log.rows[-1]["accuracy"] > 0.2
    assert len(learn.predict_next("the", n=5)) == 8


class Pool(nn.Module):
    "Any module: the mean of the embeddings, read out."

    def __init__(self, vocab_sz, emb_sz):
        super().__init__()
        self.emb = nn.Embedding(vocab_sz, emb_sz)
        self.out = nn.Linear(emb_sz, vocab_sz)

    def forward(self, x):
        return self.out(self.emb(x).mean(1)).log_softmax(-1)


def test_a_function_that_builds_any_module_works_too(dls):
    def pooled(vocab_sz, emb_sz, n_hid):
        return Pool(vocab_sz, emb_sz)

    assert len(_trained(dls, pooled).predict_next("the", n=5)) == 8


def test_a_missing_method_is_named(dls):
    class Empty(CharModel):
        "Neither table nor step."

    with pytest.raises(NotImplementedError, match="Empty needs a method table"):
        char_learner(dls, Empty).model(dls.one_batch()[0])


# names of version 0.1


def test_an_old_name_warns_once_at_the_callers_line(dls):
    with pytest.warns(DeprecationWarning) as caught:
        learn = char_learner(dls, "lstm", n_hid=16, config=dict(dropout=0.3))
    messages = [str(w.message) for w in caught if w.category is DeprecationWarning]
    assert messages == ["CharLstm(dropout=…) is now called output_p; the old name goes with version 0.3"]
    assert caught[0].filename == __file__
    assert learn.model.drop.p == 0.3


def test_a_learner_with_an_old_name_trains(dls):
    with pytest.warns(DeprecationWarning, match="dropout"):
        learn = _trained(dls, "lstm", n_hid=16, config=dict(dropout=0.3))
    assert learn.training_log.rows[-1]["accuracy"] > 0.1


class Dropped(CharModel):
    "A class with an argument of its own that is called `dropout`."

    def __init__(self, vocab_sz, emb_sz=42, n_hid=256, seq_len=8, dropout=0.0, output_p=0.0):
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len)
        self.dropout = dropout
        self.output_p = output_p


class Windowed(Pool):
    "A class of version 0.1, which takes `window`."

    def __init__(self, vocab_sz, emb_sz=42, n_hid=256, window=8):
        super().__init__(vocab_sz, emb_sz)
        self.window = window


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_a_class_that_takes_the_old_name_itself_keeps_it():
    model = build_model(Dropped, 30, dict(dropout=0.2), 8)
    assert model.dropout == 0.2
    assert model.output_p == 0.0


def test_a_class_that_takes_window_still_works(dls):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        learn = char_learner(dls, Windowed, seed=0)
    assert learn.model.window == dls.seq_len == 8
    assert torch.isfinite(learn.model(dls.one_batch()[0])).all()
    assert build_model(Windowed, 30, {}, None).window is None
