"""Learners that are dropped leave nothing behind: no object, no thread, no open file."""

import gc
import os
import threading
import weakref
from pathlib import Path

import pytest
from fastai.basics import Callback
from fastai.callback.progress import CSVLogger
from fastai.callback.rnn import rnn_cbs
from fastai.callback.tracker import SaveModelCallback
from learner_helpers import quiet_fit

from fastai_charrnn.all import CharDataLoaders, char_learner, list_archs, load_model, save_model
from fastai_charrnn.callback.checkpoint import CheckpointCallback

TEXT = "the quick brown fox jumps over the lazy dog. " * 4


class Interrupt(Callback):
    def after_pred(self):
        raise KeyboardInterrupt


def _interrupted(learn):
    with pytest.raises(KeyboardInterrupt):
        quiet_fit(learn.to_bf16(), 1, cbs=[CSVLogger(), Interrupt()])


def _by_the_clock(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit_minutes(1e-4, 1e-3, cbs=SaveModelCallback())


def _looked_for(learn):
    with learn.no_bar():
        learn.lr_find(num_it=12, show_plot=False)


def _unfinished_stream(learn):
    learn.stream = learn.generate("the ", n=None, stream=True, seed=1)
    next(learn.stream)


def _evaluated(learn):
    learn.evaluate(TEXT)
    learn.score("fox")
    learn.get_preds()


# ways to use a learner
USES = dict(
    fit=lambda learn: quiet_fit(learn, 1),
    checkpoints=lambda learn: quiet_fit(learn, 1, cbs=CheckpointCallback(learn.path / "run")),
    regularized=lambda learn: quiet_fit(learn, 1, cbs=rnn_cbs()),
    interrupted=_interrupted,
    by_the_clock=_by_the_clock,
    looked_for=_looked_for,
    unfinished_stream=_unfinished_stream,
    evaluated=_evaluated,
    saved=lambda learn: load_model(save_model(learn, learn.path / "model")).generate("the ", 3),
)


def _use(use, arch, folder):
    "Make a learner, use it and drop it. Returns weak references to it and its parts."
    dls = CharDataLoaders.from_text(TEXT, seq_len=3, bs=32, valid="tail", device="cpu", path=folder)
    learn = char_learner(dls, arch, n_hid=4, emb_sz=4, seed=0, prompts="the ", n=2)
    USES[use](learn)
    return [weakref.ref(o) for o in (learn, learn.model, dls, dls.train, learn.recorder)]


def _n_handles():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted on Linux")
def test_learners_that_are_dropped_leave_nothing(tmp_path):
    cases = [(use, "gru") for use in USES] + [("fit", arch) for arch in list_archs()]
    # what the libraries make once, such as threads of autograd
    _use("fit", "rnn", tmp_path)
    gc.collect()
    before = threading.active_count(), _n_handles()
    references = {case: _use(*case, tmp_path) for case in cases}
    gc.collect()
    assert [case for case, refs in references.items() if any(o() is not None for o in refs)] == []
    assert (threading.active_count(), _n_handles()) == before
