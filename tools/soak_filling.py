"""Fill the disk of a training at a random moment: `try_one`. The disk is a small tmpfs where one may be mounted.

The training writes checkpoints, a model and samples. Whatever is on the disk at the end must be whole.
"""

import random
import warnings
from pathlib import Path

from fastai.basics import Callback
from small_disk import small_disk

from fastai_charrnn.all import CharDataLoaders, CheckpointCallback, PredictNextCallback, char_learner, load_model
from fastai_charrnn.errors import CharRnnWarning, ModelFileError, TrainingError
from fastai_charrnn.io.checkpoint import SaveModelFile
from fastai_charrnn.state.checkpoint_file import previous_path, read_checkpoint

_text = "the quick brown fox jumps over the lazy dog. " * 12


class FillDisk(Callback):
    "Fills the disk before one batch, all of it or a part, and frees it before another."

    order = -100

    def __init__(self, folder, rng):
        self.filler = folder / "filler"
        self.begin = rng.randrange(30)
        self.end = self.begin + rng.randrange(1, 30)
        self.left = rng.choice([0, 0, 4096, 16384, 32768])

    def before_batch(self):
        if self.training and self.train_iter == self.begin:
            self._fill()
        if self.training and self.train_iter == self.end:
            self.filler.unlink(missing_ok=True)

    def _fill(self):
        with self.filler.open("wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                f.truncate(max(f.tell() - self.left, 0))

    def state_dict(self) -> dict:
        "Nothing: another training may fill its disk at another time."
        return {}

    def load_state_dict(self, state: dict):
        "Set nothing."


def try_one(
    rng: random.Random,
    folder: Path,  # empty
) -> str:  # whether training stopped or went on, and what happened to its files
    "Train on a disk that is full for some time, then read all its files."
    on_error = rng.choice(["warn", "stop"])
    every = rng.choice(["epoch", 1, 3, 7])
    with small_disk(folder, rng.randrange(60, 400) * 1024) as disk:
        dls = CharDataLoaders.from_text(_text, seq_len=8, bs=32, valid="tail", device="cpu", path=disk)
        learn = char_learner(dls, "rnn", n_hid=8, emb_sz=8, seed=0, metrics=[])
        cbs = [
            CheckpointCallback(disk / "run", every=every, on_error=on_error),
            SaveModelFile(disk / "m.safetensors"),
            PredictNextCallback("the", n=3, fname="samples.csv", on_error=on_error),
            FillDisk(disk, rng),
        ]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stopped = _train(learn, cbs)
        failed = any(issubclass(o.category, CharRnnWarning) and "cannot write" in str(o.message) for o in caught)
        assert not (stopped and on_error == "warn"), "training stopped although a warning was chosen"
        _check_files(disk)
    outcome = "a write failed" if failed or stopped else "all was written"
    return f"{'stopped' if stopped else 'trained on'}, {outcome}"


def _train(learn, cbs):
    "Train two epochs. Returns whether an error of writing stopped that."
    with learn.no_bar(), learn.no_logging():
        try:
            learn.fit(2, 1e-2, cbs=cbs)
        except (ModelFileError, TrainingError) as error:
            assert "cannot write" in str(error), error
            return True
    return False


def _check_files(disk):
    "All files can be read, and no temporary file or lock is left."
    names = {path.name for path in disk.iterdir()} - {"filler"}
    assert names <= {"run.safetensors", "run.1.safetensors", "m.safetensors", "samples.csv"}, names
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in (disk / "run.safetensors", previous_path(disk / "run.safetensors")):
            if path.exists():
                read_checkpoint(path)
        if "m.safetensors" in names:
            load_model(disk / "m.safetensors", device="cpu")
    if "samples.csv" in names:
        assert (disk / "samples.csv").read_text(encoding="utf-8").startswith("epoch,prompt,text,")
