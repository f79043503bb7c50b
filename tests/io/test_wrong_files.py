"""Files that do not hold a model of ours, or not the one they describe, are refused with a `ModelFileError`."""

import struct
from pathlib import Path

import pytest
import torch
from model_files import changed_copy
from safetensors.torch import save_file

from fastai_charrnn.all import load_model, save_model
from fastai_charrnn.errors import ModelFileError


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory):
    return save_model(trained, tmp_path_factory.mktemp("models") / "model")


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda d: d.update(arch="gpt"), r"no architecture is called 'gpt'.*@register_arch\('gpt'\)"),
        (lambda d: d["config"].update(n_hid=65), "its description needs"),
        (lambda d: d["config"].update(n_hid=10**8), "its description needs"),
        (lambda d: d["config"].update(n_hid=-1), "cannot be built|n_hid=-1"),
        (lambda d: d["config"].update(layers=2), "takes no argument layers"),
        (lambda d: d.pop("vocab"), "cannot be read"),
        (lambda d: d.pop("format"), "cannot be read"),
        (lambda d: d.update(vocab=["\0", "a"]), "tensor 'emb.weight' is"),
        (lambda d: d.update(vocab=["a"]), "tensor .emb.weight. is"),
        (lambda d: d.update(seq_len="8"), "seq_len='8' has the wrong type"),
        (lambda d: d.update(seq_len=0), "seq_len=0"),
        (lambda d: d.update(format="3"), "format='3' has the wrong type"),
        (lambda d: d.update(target="all"), "target='all'"),
        (lambda d: d.update(stateful=1), "stateful=1"),
        (lambda d: d.update(arch="lstm"), "its description needs"),
        (lambda d: d.update(config=[]), r"config=\[\] has the wrong type"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(path, tmp_path, change, message):
    with pytest.raises(ModelFileError, match=message):
        load_model(changed_copy(path, tmp_path / "m.safetensors", change))


@pytest.mark.parametrize(
    "tensors,message",
    [
        (dict(extra=torch.zeros(3)), "'extra' is .3. in the file, and its description needs no tensor of this name"),
        ({"out.bias": None}, "'out.bias' is missing"),
        ({"out.bias": torch.zeros(7)}, "'out.bias' is .7. in the file"),
        ({"rnn.bias_hh_l0": torch.zeros(64, dtype=torch.int64)}, "is I64, not a float"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(path, tmp_path, tensors, message):
    with pytest.raises(ModelFileError, match=message):
        load_model(changed_copy(path, tmp_path / "m.safetensors", tensors=tensors))


def _damaged(path):
    "The bytes of a model file, damaged in five ways."
    raw = path.read_bytes()
    (header_size,) = struct.unpack("<Q", raw[:8])
    return dict(
        cut=raw[:-100],
        head=raw[:5],
        text=b"just a text that is long enough",
        huge=struct.pack("<Q", 10**15) + raw[8:],
        json=raw[:8] + b"x" * header_size + raw[8 + header_size :],
    )


@pytest.mark.parametrize("kind", ["cut", "head", "text", "huge", "json"])
def test_damaged_files_are_refused(path, tmp_path, kind):
    (tmp_path / "m.safetensors").write_bytes(_damaged(path)[kind])
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(tmp_path / "m")


def test_safetensors_files_of_other_programs_are_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelFileError, match="no description of a character model"):
        load_model(tmp_path / "foreign")


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match="there is no model file"):
        load_model(Path("nowhere"))
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(ModelFileError, match="is a folder, not a model file; give the path of the file"):
        load_model(tmp_path / "folder")


def test_pickles_are_not_opened(trained, tmp_path):
    trained.export(tmp_path / "m.pkl")
    with pytest.raises(ModelFileError, match="damaged or not a model file"):
        load_model(tmp_path / "m.pkl")
