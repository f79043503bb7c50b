"""Model files of older formats load as they did, and newer ones are refused."""

import warnings

import pytest
from model_files import changed_copy, description_of, older_copy

from fastai_charrnn.all import CharDataLoaders, char_learner, describe_model, load_model, save_model
from fastai_charrnn.errors import ModelFileError
from fastai_charrnn.io.generator import load_generator
from fastai_charrnn.models.registry import RENAMED

# between them, every argument that had another name in version 0.1
CONFIGS = dict(
    lstm=dict(n_layers=2, output_p=0.1, layer_p=0.2, tie_weights=True),
    mullstm=dict(embed_p=0.1, hidden_p=0.1, weight_p=0.1, output_p=0.1),
)


def _saved(small, folder, arch="lstm", **data):
    dls = CharDataLoaders.from_text(small[:5_000], bs=64, valid="tail", device="cpu", **data)
    learn = char_learner(dls, arch, n_hid=16, emb_sz=16, config=CONFIGS[arch], seed=0)
    return learn, save_model(learn, folder / "new")


def test_the_configurations_have_all_renamed_arguments():
    used = set().union(*CONFIGS.values())
    assert set(RENAMED.values()) - used == {"seq_len"}


def _load_without_warnings(path, **kw):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_model(path, device="cpu", **kw), load_generator(path, device="cpu")


def _assert_generates_as(learn, path):
    expected = learn.generate("the valu", 40, seed=1).text
    for again in _load_without_warnings(path):
        assert again.generate("the valu", 40, seed=1).text == expected


@pytest.mark.parametrize("arch", CONFIGS)
@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_windows_in_an_older_format_generates_the_same_text(small, tmp_path, version, arch):
    learn, new = _saved(small, tmp_path, arch)
    old = older_copy(new, tmp_path / "old.safetensors", version)
    _assert_generates_as(learn, old)
    assert description_of(old) == description_of(new) | dict(format=version)


@pytest.mark.parametrize("data", [dict(target="every"), dict(target="every", stateful=True)], ids=["chunks", "streams"])
def test_a_file_in_format_2_keeps_how_its_model_reads(small, tmp_path, data):
    learn, new = _saved(small, tmp_path, **data)
    old = older_copy(new, tmp_path / "old.safetensors", 2)
    _assert_generates_as(learn, old)
    again, _ = _load_without_warnings(old)
    assert again.dls.mode == learn.dls.mode
    assert again.evaluate(small[:999]) == pytest.approx(learn.evaluate(small[:999]))


def test_an_older_file_is_saved_again_in_the_new_format(small, tmp_path):
    _, new = _saved(small, tmp_path)
    old = older_copy(new, tmp_path / "old.safetensors", 2)
    again = save_model(load_model(old, device="cpu"), tmp_path / "again")
    description = describe_model(again)
    assert description["format"] == 3
    assert description["config"] == dict(emb_sz=16, n_hid=16) | CONFIGS["lstm"]


def _empty_format_4(description):
    description.clear()
    description["format"] = 4


@pytest.mark.parametrize(
    "change",
    [lambda d: d.update(format=4), lambda d: d.update(format=0), _empty_format_4],
    ids=["newer", "zero", "newer with other fields"],
)
def test_another_format_is_refused(small, tmp_path, change):
    _, new = _saved(small, tmp_path)
    with pytest.raises(ModelFileError, match=r"has format [04], this package reads 3 and below; use .*fastai_charrnn"):
        load_model(changed_copy(new, tmp_path / "other.safetensors", change))
