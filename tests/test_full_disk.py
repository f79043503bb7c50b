"""A full disk: every writer raises one typed error, leaves no temporary file, and the old file stays whole."""

import numpy as np
import pytest
from fastai.basics import Callback
from learner_helpers import quiet_fit

from fastai_charrnn.all import (
    CharDataLoaders,
    CharRnnWarning,
    CorpusError,
    DataError,
    ModelFileError,
    PredictNextCallback,
    TrainingError,
    char_learner,
    load_model,
    read_text,
    save_model,
)
from fastai_charrnn.callback.checkpoint import CheckpointCallback
from fastai_charrnn.data.encoded import encode_file
from fastai_charrnn.io.checkpoint import SaveModelFile
from fastai_charrnn.state.checkpoint_file import previous_path, read_checkpoint


def _learner(text, folder, n_hid, **kwargs):
    dls = CharDataLoaders.from_text(text[:9000], bs=256, valid="tail", device="cpu", path=folder)
    return char_learner(dls, n_hid=n_hid, emb_sz=8, seed=0, **kwargs)


@pytest.fixture
def small_one(small, full_disk):
    "A learner whose files fit on the disk."
    return _learner(small, full_disk, 8)


@pytest.fixture
def large_one(small, full_disk):
    "A learner whose files do not fit."
    return _learner(small, full_disk, 400)


def _files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WRITERS = dict(
    save_model=lambda learn: save_model(learn, learn.path / "m.safetensors"),
    save=lambda learn: learn.save("m"),
    save_without_opt=lambda learn: learn.save("m", with_opt=False),
    export=lambda learn: learn.export("m.pkl"),
    save_encoder=lambda learn: learn.save_encoder("m"),
)


@pytest.mark.parametrize("name", WRITERS)
def test_the_old_file_of_a_model_stays(small_one, large_one, name):
    WRITERS[name](small_one)
    before = _files(small_one.path)
    assert len(before) == 1
    with pytest.raises(ModelFileError, match=r"cannot write .*m\.\w+: .*; free disk space"):
        WRITERS[name](large_one)
    assert _files(small_one.path) == before


def test_a_learner_that_could_not_be_exported_still_trains(large_one):
    with pytest.raises(ModelFileError):
        large_one.export("m.pkl")
    assert len(quiet_fit(large_one, 1)) == 1


# callbacks


class FillDisk(Callback):
    "Leaves no room on the disk of the learner during one epoch."

    order = -100

    def __init__(self, epoch):
        self.in_epoch = epoch

    def before_epoch(self):
        filler = self.learn.path / "filler"
        filler.unlink(missing_ok=True)
        if self.epoch == self.in_epoch:
            with pytest.raises(OSError), filler.open("wb", buffering=0) as f:
                while True:
                    f.write(bytes(4096))


def _names(folder):
    return {path.name for path in folder.iterdir()} - {"filler"}


def test_training_goes_on_when_a_checkpoint_cannot_be_written(small_one):
    path = small_one.path / "run.safetensors"
    saving = CheckpointCallback(path)
    with pytest.warns(CharRnnWarning, match=r"cannot write .*run.*; free disk space.*; training goes on"):
        quiet_fit(small_one, 3, cbs=[saving, FillDisk(1)])
    # the checkpoints of the second epoch are missing
    assert read_checkpoint(path)[1]["position"]["stage"] == "finished"
    assert read_checkpoint(previous_path(path))[1]["position"]["epoch"] == 3
    assert _names(small_one.path) == {"run.safetensors", "run.1.safetensors"}


def test_training_stops_when_a_checkpoint_cannot_be_written_if_that_was_chosen(small_one):
    path = small_one.path / "run.safetensors"
    with pytest.raises(ModelFileError, match=r"cannot write .*run.*; free disk space"):
        quiet_fit(small_one, 3, cbs=[CheckpointCallback(path, on_error="stop"), FillDisk(1)])
    assert read_checkpoint(path)[1]["position"]["epoch"] == 1
    assert _names(small_one.path) == {"run.safetensors"}


def test_all_samples_are_in_the_file_after_the_disk_was_full_for_an_epoch(small_one):
    showing = PredictNextCallback("the ", n=5, fname="samples.csv")
    with pytest.warns(CharRnnWarning, match=r"cannot write .*samples\.csv: .*; training goes on"):
        quiet_fit(small_one, 3, cbs=[showing, FillDisk(1)])
    assert len((small_one.path / "samples.csv").read_text().splitlines()) >= 4
    assert _names(small_one.path) == {"samples.csv"}


def test_training_stops_when_samples_cannot_be_written_if_that_was_chosen(small_one):
    showing = PredictNextCallback("the ", n=5, fname="samples.csv", on_error="stop")
    with pytest.raises(TrainingError, match=r"cannot write .*samples\.csv: .*; free disk space"):
        quiet_fit(small_one, 3, cbs=[showing, FillDisk(1)])
    # the samples of the first epoch
    assert len((small_one.path / "samples.csv").read_text().splitlines()) >= 2
    assert _names(small_one.path) == {"samples.csv"}


def test_a_model_that_could_not_be_saved_in_an_epoch_is_saved_in_the_next(small_one):
    saving = SaveModelFile(small_one.path / "m.safetensors")
    with pytest.warns(CharRnnWarning, match=r"cannot write .*m\.safetensors.*; training goes on"):
        quiet_fit(small_one, 2, cbs=[saving, FillDisk(1)])
    assert saving.failed
    assert len(load_model(saving.path).training_log.rows) == 1
    with pytest.raises(ModelFileError):
        saving.finish(small_one)
    (small_one.path / "filler").unlink()
    saving.finish(small_one)
    assert len(load_model(saving.path).training_log.rows) == 2


@pytest.mark.parametrize("callback", [CheckpointCallback, PredictNextCallback])
def test_only_warn_and_stop_are_accepted(callback):
    for on_error in (True, None, np.array([1, 2])):
        with pytest.raises(DataError, match='on_error must be "warn" or "stop", got '):
            callback("a", on_error=on_error)


def test_a_folder_that_cannot_be_written_is_an_error_before_training(learn, tmp_path):
    (tmp_path / "file").write_text("")
    for saving in (CheckpointCallback(tmp_path / "file" / "run"), SaveModelFile(tmp_path / "file" / "m.safetensors")):
        with pytest.raises(ModelFileError, match="cannot write"):
            quiet_fit(learn, 1, cbs=saving)
    assert learn.training_log.rows == []


# texts


def test_an_encoded_text_that_does_not_fit_is_an_error(small, full_disk):
    path = full_disk / "a.txt"
    path.write_text(small * 5, newline="")
    with pytest.raises(CorpusError, match="cannot write .*; pass cache="):
        encode_file(path)
    assert list(full_disk.iterdir()) == [path]
    assert read_text(path) == small * 5
