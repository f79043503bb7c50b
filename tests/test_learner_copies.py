"""Deep copies and pickles of a learner continue as the learner does, and apart from it."""

import copy
import pickle

import pytest
import torch
from learner_helpers import quiet_fit, weights

from fastai_charrnn.all import CharDataLoaders, char_learner, get_arch, human_numbers, save_model

copies = pytest.mark.parametrize(
    "make", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deep", "pickle"]
)


@pytest.fixture
def learn(tmp_path):
    text = human_numbers()[:3000]
    dls = CharDataLoaders.from_text(text, seq_len=8, bs=64, device="cpu", path=tmp_path)
    learn = char_learner(dls, "gru", n_hid=16, seed=0, prompts="one ")
    quiet_fit(learn, 1)
    return learn


@copies
def test_a_copy_generates_equal_text_and_trains_on_its_own(learn, make):
    before = weights(learn)
    new = make(learn)
    assert str(new.generate("two ", 20, seed=1)) == str(learn.generate("two ", 20, seed=1))
    quiet_fit(new, 1)
    assert weights(learn).equal(before)
    assert len(learn.training_log.rows) == 1
    quiet_fit(learn, 1)
    assert weights(new).equal(weights(learn))
    assert new.training_log.rows == learn.training_log.rows
    assert new.predict_next_cb.samples == learn.predict_next_cb.samples


@copies
def test_a_copy_of_an_architecture_is_registered(learn, make, tmp_path):
    assert make(learn).arch == get_arch("gru")
    assert save_model(make(learn), tmp_path / "m").is_file()


def test_default_arguments_of_an_architecture_are_read_only():
    for arch in (get_arch("mullstm"), copy.deepcopy(get_arch("mullstm"))):
        with pytest.raises(TypeError):
            arch.config["n_hid"] = 1


def test_a_compiled_learner_is_copied(learn):
    learn.model = torch.compile(learn.model, backend="eager")
    new = copy.deepcopy(learn)
    assert str(new.generate("two ", 20, seed=1)) == str(learn.generate("two ", 20, seed=1))
    assert next(new.model.parameters()) is not next(learn.model.parameters())
