"""A model file gives the model back, runs nothing, and a wrong one is refused with words."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fastai_charrnn.all import CharDataLoaders, char_learner, describe_model, list_archs, load_model, save_model
from fastai_charrnn.errors import DataError, ModelFileError


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory):
    return save_model(trained, tmp_path_factory.mktemp("models") / "model")


@pytest.mark.parametrize("arch", [a for a in list_archs() if a != "char3"])
def test_every_architecture_comes_back_equal(dls, tmp_path, arch):
    learn = char_learner(dls, arch, n_hid=24, emb_sz=9, seed=0)
    again = load_model(save_model(learn, tmp_path / "m"))
    assert all(torch.equal(p, q) for p, q in zip(learn.model.state_dict().values(), again.model.state_dict().values()))
    assert type(again.model) is type(learn.model) and again.predict_next("the valu", n=15) == learn.predict_next(
        "the valu", n=15
    )
    assert again.dls.vocab == dls.vocab and again.dls.seq_len == 8 and not again.model.training


def test_a_loaded_model_evaluates_and_remembers_its_training(path, trained, small):
    again = load_model(path)
    assert (
        again.evaluate(small[:999]) == pytest.approx(trained.evaluate(small[:999]))
        and again.training_log.rows == trained.training_log.rows[:2]
    )


def test_a_loaded_model_trains_on_with_new_text_of_the_same_vocabulary(path, trained, small):
    dls = CharDataLoaders.from_text(small[:20_000], vocab=trained.dls.vocab, bs=256, valid="tail", device="cpu")
    for learn in (load_model(path, dls=dls), load_model(path)):
        learn.dls = dls
        before = learn.validate()[0]
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, 1e-3)
        assert learn.training_log.rows[-1]["valid_loss"] < before and len(learn.training_log.rows) == 3


def test_training_without_text_or_with_another_vocabulary_is_refused(path):
    learn = load_model(path)
    with learn.no_bar(), pytest.raises(DataError, match="no text to train on"):
        learn.fit(1)
    with pytest.raises(ModelFileError, match=r"vocabulary of dls is not the model's \(.* characters differ"):
        load_model(path, dls=CharDataLoaders.from_text("another text of few characters " * 50, bs=64))


def test_the_file_says_what_it_is_without_weights_being_read(path, trained):
    d = describe_model(path)
    assert (
        d["arch"] == "rnn"
        and d["config"] == dict(emb_sz=42, n_hid=64)
        and d["seq_len"] == 8
        and d["vocab"] == trained.dls.vocab.itos
        and d["format"] == 2
    )
    assert (
        d["training"]["epochs"] >= 2
        and "last 10%" in d["data"]["split"]
        and set(d["versions"]) == {"fastai_charrnn", "fastai", "torch"}
    )
    assert d["tensors"]["rnn.weight_hh_l0"] == [64, 64]


def test_the_file_is_about_as_large_as_its_weights(path, trained):
    assert path.stat().st_size < 1.1 * sum(p.numel() * 4 for p in trained.model.parameters())


def test_it_is_read_in_a_process_that_never_saw_the_training(path, trained):
    code = f"from fastai_charrnn.io.model_file import load_model; print(load_model({str(path)!r}).predict_next('the valu', n=20), end='')"
    assert subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout == trained.predict_next("the valu", n=20)


def test_the_suffix_is_added_and_an_older_file_replaced_whole(trained, tmp_path):
    (tmp_path / "m.safetensors").write_text("old")
    assert save_model(trained, tmp_path / "m") == tmp_path / "m.safetensors" and os.listdir(tmp_path) == [
        "m.safetensors"
    ]
    assert load_model(tmp_path / "m").predict_next("the") == trained.predict_next("the")


def test_an_architecture_without_a_name_is_refused(dls, tmp_path):
    learn = char_learner(dls, lambda vocab_sz, **kw: torch.nn.Sequential(torch.nn.Embedding(vocab_sz, 4)))
    with pytest.raises(ModelFileError, match="Sequential is not a registered architecture.*register_arch"):
        save_model(learn, tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_an_unwritable_place_is_said(trained, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelFileError, match="cannot write"):
        save_model(trained, tmp_path / "file" / "m")


def _forged(path, to, change=None, tensors=None):
    "A copy with another description or other tensors."
    d = json.loads(json.dumps({k: v for k, v in describe_model(path).items() if k not in ("tensors", "dtypes")}))
    if change:
        change(d)
    t = load_file(path) | (tensors or {})
    save_file({k: v for k, v in t.items() if v is not None}, to, metadata=dict(charrnn=json.dumps(d)))
    return to


@pytest.mark.parametrize(
    "change,says",
    [
        (lambda d: d.update(format=3), "format 3, this package reads 2"),
        (lambda d: d.update(arch="gpt"), "no architecture is called 'gpt'"),
        (lambda d: d["config"].update(n_hid=65), "its description calls for"),
        (lambda d: d["config"].update(n_hid=10**8), "its description calls for"),
        (lambda d: d["config"].update(n_hid=-1), "cannot be built|n_hid=-1"),
        (lambda d: d["config"].update(layers=2), "takes no argument layers"),
        (lambda d: d.pop("vocab"), "cannot be read"),
        (lambda d: d.update(vocab=["\0", "a"]), "tensor 'emb.weight' is"),
        (lambda d: d.update(vocab=["a"]), "starts with the padding"),
        (lambda d: d.update(seq_len="8"), "seq_len of the wrong kind"),
        (lambda d: d.update(seq_len=0), "seq_len=0"),
        (lambda d: d.update(arch="lstm"), "its description calls for"),
        (lambda d: d.update(config=[]), "config of the wrong kind"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(path, tmp_path, change, says):
    with pytest.raises(ModelFileError, match=says):
        load_model(_forged(path, tmp_path / "m.safetensors", change))


@pytest.mark.parametrize(
    "tensors,says",
    [
        (dict(extra=torch.zeros(3)), "'extra' is .3. in the file, and its description calls for none of that name"),
        ({"out.bias": None}, "'out.bias' is missing"),
        ({"out.bias": torch.zeros(7)}, "'out.bias' is .7. in the file"),
        ({"rnn.bias_hh_l0": torch.zeros(64, dtype=torch.int64)}, "is I64, not a float"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(path, tmp_path, tensors, says):
    with pytest.raises(ModelFileError, match=says):
        load_model(_forged(path, tmp_path / "m.safetensors", tensors=tensors))


def test_damaged_foreign_and_missing_files_are_refused(path, tmp_path):
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    damaged = dict(
        cut=raw[:-100],
        head=raw[:5],
        text=b"just a text that is long enough",
        huge=struct.pack("<Q", 10**15) + raw[8:],
        json=raw[:8] + b"x" * size + raw[8 + size :],
    )
    for name, data in damaged.items():
        (tmp_path / f"{name}.safetensors").write_bytes(data)
        with pytest.raises(ModelFileError, match="damaged"):
            load_model(tmp_path / name)
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelFileError, match="no description of a character model"):
        load_model(tmp_path / "foreign")
    with pytest.raises(ModelFileError, match="there is no model file"):
        load_model(Path("nowhere"))


def test_pickles_are_not_opened(trained, tmp_path):
    trained.export(tmp_path / "m.pkl")
    with pytest.raises(ModelFileError, match="damaged or not a model file"):
        load_model(tmp_path / "m.pkl")
