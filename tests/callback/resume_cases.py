"""What the tests of resuming share: tiny learners, a callback that keeps every checkpoint, and a comparison."""

import copy
import random

import numpy as np
import torch
from fastai.basics import Callback, L, noop
from fastai.callback.progress import ProgressCallback

from fastai_charrnn.all import CharDataLoaders, CheckpointCallback, char_learner, python_reference

READINGS = {
    "windows": dict(seq_len=6, bs=64, stride=8),
    "chunks": dict(seq_len=6, bs=64, stride=8, target="every"),
    "streams": dict(seq_len=32, bs=8, target="every", stateful=True),
    "shifted": dict(seq_len=32, bs=8, target="every", stateful=True, shift=True),
}


def make_dls(reading="windows", size=2_000, **kwargs):
    # the loader of the validation takes its seed from here
    random.seed(3)
    options = READINGS[reading] | dict(valid="tail", device="cpu") | kwargs
    return CharDataLoaders.from_text(python_reference()[:size], **options)


def make_learner(reading="windows", arch="gru", cbs=None, dls=None, **kwargs):
    learn = char_learner(dls or make_dls(reading), arch, n_hid=8, emb_sz=4, seed=1, cbs=cbs, **kwargs)
    learn.remove_cb(ProgressCallback)
    learn.logger = noop
    torch.manual_seed(7)
    return learn


class KeepAll(CheckpointCallback):
    "Write each checkpoint to a file of its own, one within a validation too."

    name = "checkpoint"

    def __init__(self, folder, every=1, **kwargs):
        super().__init__(folder / "0", every, **kwargs)
        self.folder = folder
        self.written = []

    def after_batch(self):
        super().after_batch()
        if not self.training:
            self.save()

    def save(self):
        # `setattr` warns, because learners have a path too
        vars(self)["path"] = self.folder / f"{len(self.written)}.safetensors"
        self.written.append(self.path)
        return super().save()


def outcome(learn):
    "Everything of a trained learner that must be equal."
    recorder = vars(learn.recorder)
    model_state = getattr(learn.model, "state", None)
    return {
        "weights": dict(learn.model.state_dict()),
        "optimizer": learn.opt.state_dict(),
        "trains": [p.requires_grad for p in learn.model.parameters()],
        "recorder": {k: recorder.get(k) for k in ("losses", "lrs", "iters", "values", "hps")},
        "rows": learn.training_log.rows,
        "samples": [tuple(sample) for sample in learn.predict_next_cb.samples],
        "state": model_state,
        "random": [torch.get_rng_state(), *(dl.rng.getstate() for dl in learn.dls if hasattr(dl, "rng"))],
        "lr": learn.lr,
    }


def differences(a, b, place=""):
    "The places at which two values differ, of equal types and bit by bit."
    if isinstance(a, torch.Tensor):
        return [] if isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b) else [place]
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{place} keys"]
        return [d for key in a for d in differences(a[key], b[key], f"{place}/{key}")]
    if isinstance(a, (list, tuple, L)):
        if len(a) != len(b):
            return [f"{place} length"]
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, f"{place}/{i}")]
    if isinstance(a, np.ndarray):
        return [] if np.array_equal(a, b) else [place]
    return [] if type(a) is type(b) and a == b else [place]


def kept(tmp_path, train, **options):
    "The outcome of a training that writes a checkpoint after each batch, and the files."
    keeper = KeepAll(tmp_path)
    learn = make_learner(cbs=keeper, **options)
    train(learn)
    return copy.deepcopy(outcome(learn)), keeper.written


def resumed(file, train, cbs=None, **options):
    learn = make_learner(cbs=cbs, **options).resume(file)
    # other random numbers than those of the checkpoint
    torch.manual_seed(99)
    train(learn)
    return learn


class Interrupt(Callback):
    "Ctrl-C in a batch of an epoch, once."

    name = "stop_on_signal"

    def __init__(self, epoch, batch):
        self.place = epoch, batch

    def before_batch(self):
        if self.training and (self.epoch, self.iter) == self.place:
            self.place = None
            raise KeyboardInterrupt
