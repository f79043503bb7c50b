"""A model file restores the model and its training log, and is written completely or not at all."""

import os
import subprocess
import sys

import pytest
import torch

from fastai_charrnn.all import CharDataLoaders, char_learner, describe_model, list_archs, load_model, save_model
from fastai_charrnn.errors import DataError, ModelFileError


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory):
    return save_model(trained, tmp_path_factory.mktemp("models") / "model")


@pytest.mark.parametrize("arch", [a for a in list_archs() if a != "char3"])
def test_every_architecture_is_restored(dls, tmp_path, arch):
    learn = char_learner(dls, arch, n_hid=24, emb_sz=9, seed=0)
    again = load_model(save_model(learn, tmp_path / "m"))
    weights = zip(learn.model.state_dict().values(), again.model.state_dict().values())
    assert all(torch.equal(p, q) for p, q in weights)
    assert type(again.model) is type(learn.model)
    assert again.predict_next("the valu", n=15) == learn.predict_next("the valu", n=15)
    assert again.dls.vocab == dls.vocab
    assert again.dls.seq_len == 8
    assert not again.model.training


def test_a_loaded_model_evaluates_and_keeps_its_training_log(path, trained, small):
    again = load_model(path)
    assert again.evaluate(small[:999]) == pytest.approx(trained.evaluate(small[:999]))
    assert again.training_log.rows == trained.training_log.rows[:2]


@pytest.mark.parametrize("when", ["at loading", "after loading"])
def test_a_loaded_model_can_be_trained_on_new_text_of_the_same_vocabulary(path, trained, small, when):
    dls = CharDataLoaders.from_text(small[:20_000], vocab=trained.dls.vocab, bs=256, valid="tail", device="cpu")
    learn = load_model(path, dls=dls if when == "at loading" else None)
    learn.dls = dls
    # on the training part: whether the validation loss falls too depends on the text
    before = learn.validate(ds_idx=0)[0]
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3)
        after = learn.validate(ds_idx=0)[0]
    assert after < before - 0.01
    assert len(learn.training_log.rows) == 3


def test_training_without_text_is_refused(path):
    learn = load_model(path)
    with learn.no_bar(), pytest.raises(DataError, match="no text to train on"):
        learn.fit(1)


def test_loaders_with_another_vocabulary_are_refused(path):
    other = CharDataLoaders.from_text("another text of few characters " * 50, bs=64)
    with pytest.raises(ModelFileError, match=r"vocabulary of dls is not the model's \(.* characters differ"):
        load_model(path, dls=other)


def test_the_description_is_read_without_the_weights(path, trained):
    d = describe_model(path)
    assert d["arch"] == "rnn"
    assert d["config"] == dict(emb_sz=42, n_hid=64)
    assert d["seq_len"] == 8
    assert d["vocab"] == trained.dls.vocab.itos
    assert d["format"] == 3
    assert d["training"]["epochs"] >= 2
    assert "last 10%" in d["data"]["split"]
    assert set(d["versions"]) == {"fastai_charrnn", "fastai", "torch"}
    assert d["tensors"]["rnn.weight_hh_l0"] == [64, 64]


def test_the_file_is_about_as_large_as_its_weights(path, trained):
    assert path.stat().st_size < 1.1 * sum(p.numel() * 4 for p in trained.model.parameters())


def test_another_process_can_load_the_file(path, trained):
    code = "import sys; from fastai_charrnn.io.model_file import load_model\n"
    code += "print(load_model(sys.argv[1]).predict_next('the valu', n=20), end='')"
    out = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    assert out == trained.predict_next("the valu", n=20)


def test_the_suffix_is_added_and_an_existing_file_replaced(trained, tmp_path):
    (tmp_path / "m.safetensors").write_text("old")
    assert save_model(trained, tmp_path / "m") == tmp_path / "m.safetensors"
    assert os.listdir(tmp_path) == ["m.safetensors"]
    assert load_model(tmp_path / "m").predict_next("the") == trained.predict_next("the")


def test_an_architecture_that_is_not_registered_cannot_be_saved(dls, tmp_path):
    learn = char_learner(dls, lambda vocab_sz, **kw: torch.nn.Sequential(torch.nn.Embedding(vocab_sz, 4)))
    with pytest.raises(ModelFileError, match="Sequential is not a registered architecture.*register_arch"):
        save_model(learn, tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_written_is_an_error(trained, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelFileError, match="cannot write"):
        save_model(trained, tmp_path / "file" / "m")
