"""Buffers that are whole numbers or booleans are saved and loaded, and compared by dtype and shape."""

import pytest
import torch
from model_files import changed_copy

from fastai_charrnn.all import (
    CharDataLoaders,
    char_learner,
    get_arch,
    human_numbers,
    load_model,
    register_arch,
    save_model,
)
from fastai_charrnn.errors import ModelFileError
from fastai_charrnn.io.generator import load_generator


class Counting(get_arch("rnn").cls):
    "Counts the batches that it has read."

    def layers(self, emb_sz, n_hid):
        super().layers(emb_sz, n_hid)
        self.register_buffer("n_batches", torch.tensor(0))
        self.register_buffer("used", torch.zeros(3, dtype=torch.bool))

    def forward(self, x):
        self.n_batches += 1
        self.used[1] = True
        return super().forward(x)


@pytest.fixture
def path(monkeypatch, tmp_path):
    monkeypatch.setattr("fastai_charrnn.models.registry._archs", {})
    register_arch("counting")(Counting)
    dls = CharDataLoaders.from_text(human_numbers()[:1000], bs=64, device="cpu")
    learn = char_learner(dls, "counting", n_hid=8, emb_sz=4, seed=0)
    learn.model(dls.one_batch()[0])
    learn.model(dls.one_batch()[0])
    return save_model(learn, tmp_path / "m")


def test_buffers_are_restored(path):
    for model in (load_model(path).model, load_generator(path).model):
        assert model.n_batches.equal(torch.tensor(2).to(model.n_batches.device))
        assert model.used.tolist() == [False, True, False]


@pytest.mark.parametrize(
    "tensors, message",
    [
        (dict(n_batches=torch.tensor(2.0)), "'n_batches' is F32 in the file, and its description needs torch.int64"),
        (
            dict(n_batches=torch.tensor(2).int()),
            "'n_batches' is I32 in the file, and its description needs torch.int64",
        ),
        (dict(used=torch.zeros(3)), "'used' is F32 in the file, and its description needs torch.bool"),
        (dict(used=torch.zeros(4).bool()), r"'used' is \[4\] in the file, and its description needs \[3\]"),
        ({"out.bias": torch.zeros(4).bool()}, r"'out.bias' is \[4\] in the file"),
    ],
)
def test_buffers_of_another_kind_are_refused(path, tmp_path, tensors, message):
    with pytest.raises(ModelFileError, match=message):
        load_model(changed_copy(path, tmp_path / "other.safetensors", tensors=tensors))
