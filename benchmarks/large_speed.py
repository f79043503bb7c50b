"""Claim: training on a text of 1 GB for 2,000 steps, in windows and in streams, needs no more memory than training on
1 MB, and stays within 100 MB.

The texts are those of "scale speed", encoded to disk beforehand. One process with one thread trains an `rnn` of 256
units on batches of 512 windows of 8, or on 64 streams of 64. Memory is the peak above what was in use after the
imports. It includes `dls`, network, optimizer, activations, and what glibc's heap keeps of them.
"""

import json
import tempfile
from pathlib import Path

from figures import Row
from scale_speed import measured, start_code, write_text

_modes = {
    "windows": dict(seq_len=8, bs=512, valid="random", valid_pct=0.2),
    "streams": dict(seq_len=64, bs=64, target="every", stateful=True),
}
_train = (
    start_code
    + """
import torch
from fastai_charrnn.all import Callback, CancelFitException, CharDataLoaders, char_learner

options = json.loads(sys.argv[3])
base = mb("VmRSS")
torch.set_num_threads(1)
dls = CharDataLoaders.from_file(fname, mmap=True, device="cpu", **options)
learn = char_learner(dls, "rnn", seed=0)

class Steps(Callback):
    def after_batch(self):
        if self.train_iter == 1:
            self.start = now()
            self.early = mb("VmHWM") - base
        if self.train_iter < n:
            return
        step = (now() - self.start) / (n - 1)
        loss = float(self.learn.smooth_loss)
        print(json.dumps(dict(step=step, loss=loss, early=self.early, peak=mb("VmHWM") - base)))
        raise CancelFitException

with learn.no_bar():
    learn.fit(10**6, 2e-3, cbs=Steps())
"""
)


def measure(short: bool = False) -> list[Row]:
    "Train on both sizes in both modes."
    sizes = {"1 MB": 10**6} if short else {"1 MB": 10**6, "1 GB": 10**9}
    rows = []
    with tempfile.TemporaryDirectory() as tmp:
        for name, size in sizes.items():
            path = Path(tmp) / f"{size}.txt"
            write_text(path, size)
            for mode, options in _modes.items():
                n_steps = 20 if short else 2000
                runs = [measured(_train, path, n_steps, json.dumps(options)) for _ in range(1 if short else 2)]
                rows += _rows(f"{name}, {mode}", runs)
    return rows


def _rows(name, runs):
    def values(key):
        return [run[key] for run in runs]

    return [
        Row(f"{name}: a step", [1e3 * s for s in values("step")], "{:.1f}", " ms"),
        Row(f"{name}: training loss at the end", values("loss"), "{:.3f}", " nats"),
        Row(f"{name}: memory at the first step", values("early"), "{:,.0f}", " MB"),
        Row(f"{name}: memory at its peak", values("peak"), "{:,.0f}", " MB", must=100, aim=50, at_most=True),
    ]
