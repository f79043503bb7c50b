"""One model in one file: loading does not mix two models, and a model that predicts nothing is not saved."""

import os

import pytest
import torch

from fastai_charrnn.all import (
    CharDataLoaders,
    ModelFileError,
    char_learner,
    get_arch,
    load_model,
    register_arch,
    save_model,
)
from fastai_charrnn.io.format import describe_model, open_model
from fastai_charrnn.io.generator import load_generator


class Replacing(get_arch("rnn").cls):
    "When it is built on the CPU, another program replaces the file that is being loaded."

    replace = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if Replacing.replace and self.emb.weight.device.type == "cpu":
            os.replace(*Replacing.replace)


@pytest.fixture
def two_files(monkeypatch, tmp_path):
    "The files of two models with weights of equal shapes and different vocabularies."
    monkeypatch.setattr("fastai_charrnn.models.registry._archs", {})
    monkeypatch.setattr(Replacing, "replace", None)
    register_arch("replacing")(Replacing)
    paths = []
    for text in ("abcdef" * 60, "uvwxyz" * 60):
        dls = CharDataLoaders.from_text(text, bs=64, device="cpu")
        learn = char_learner(dls, "replacing", n_hid=8, emb_sz=4, seed=len(paths))
        paths.append(save_model(learn, tmp_path / text[0]))
    return paths


@pytest.mark.parametrize("load", [load_model, load_generator])
def test_a_file_that_is_replaced_while_it_is_loaded_gives_one_model(two_files, load):
    old, new = two_files
    expected = load_model(old, device="cpu")
    Replacing.replace = new, old
    found = load(old, device="cpu")
    assert found.dls.vocab == expected.dls.vocab
    weights = zip(found.model.state_dict().values(), expected.model.state_dict().values())
    assert all(torch.equal(a, b) for a, b in weights)
    # the other model is there now
    assert describe_model(old)["vocab"][1] == "u"


@pytest.mark.parametrize("change", [lambda path: os.utime(path, ns=(0, 0)), lambda path: os.truncate(path, 900)])
def test_a_file_that_is_written_in_place_while_it_is_read_is_refused(two_files, change):
    old, _ = two_files
    model = load_model(old).model
    with pytest.raises(ModelFileError, match="(changed|cut) while it was read"), open_model(old) as file:
        change(old)
        file.load_weights(model)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_do_not_replace_a_model(dls, tmp_path, value):
    learn = char_learner(dls, "rnn", n_hid=8, emb_sz=4, seed=0)
    path = save_model(learn, tmp_path / "m")
    before = path.read_bytes()
    with torch.no_grad():
        learn.model.out.bias[3] = value
    with pytest.raises(ModelFileError, match=r"m.safetensors was not written, .* NaN or infinity: out.bias; load an"):
        save_model(learn, path)
    assert path.read_bytes() == before


def test_a_model_beyond_the_limits_of_a_file_is_not_saved(dls, tmp_path):
    learn = char_learner(dls, "rnn", n_hid=8, emb_sz=4, seed=0)
    learn.dls.train_ds.info["split"] = "x" * 2000
    with pytest.raises(ModelFileError, match="cannot be described in a file: data has split='xxx"):
        save_model(learn, tmp_path / "m")
    assert not (tmp_path / "m.safetensors").exists()
