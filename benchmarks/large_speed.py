"""Claim: a text of 1 GB is trained on for 2,000 steps, in windows and in streams, in the memory that a text of 1 MB takes: within the 100 MB that drawing batches may take.

The texts are those of "scale speed", encoded to disk beforehand. A process of one thread trains an `rnn` of 256
(batches of 512 windows of 8, or 64 streams of 64); memory is the peak above what the imports left in use:
`dls`, network, optimizer, activations, and what glibc's heap keeps of them.
"""

import json
import tempfile
from pathlib import Path

from figures import Row
from scale_speed import _start, _text, measured

_modes = {
    "windows": dict(seq_len=8, bs=512, valid="random", valid_pct=0.2),
    "streams": dict(seq_len=64, bs=64, target="every", stateful=True),
}
_train = (
    _start
    + """
import torch
from fastai_charrnn.all import CharDataLoaders,Callback,CancelFitException,char_learner
kw,base = json.loads(sys.argv[3]),mb("VmRSS")
torch.set_num_threads(1)
learn = char_learner(CharDataLoaders.from_file(fname, mmap=True, device="cpu", **kw), "rnn", seed=0)
class Steps(Callback):
    def after_batch(self):
        if self.train_iter == 1: self.began,self.first = now(),mb("VmHWM")-base
        if self.train_iter < n: return
        out = dict(step=(now()-self.began)/(n-1), loss=float(self.learn.smooth_loss), early=self.first, peak=mb("VmHWM")-base)
        print(json.dumps(out))
        raise CancelFitException
with learn.no_bar(): learn.fit(10**6, 2e-3, cbs=Steps())
"""
)


def measure(short: bool = False) -> list[Row]:
    "Both sizes, both ways, in turn."
    sizes = {"1 MB": 10**6} if short else {"1 MB": 10**6, "1 GB": 10**9}
    rows = []
    with tempfile.TemporaryDirectory() as tmp:
        for name, size in sizes.items():
            path = Path(tmp) / f"{size}.txt"
            _text(path, size)
            for mode, kw in _modes.items():
                found = [
                    measured(_train, path, 20 if short else 2000, json.dumps(kw)) for _ in range(1 if short else 2)
                ]
                peaks = [o["peak"] for o in found]
                rows += [
                    Row(f"{name}, {mode}: a step", [1e3 * o["step"] for o in found], "{:.1f}", " ms"),
                    Row(f"{name}, {mode}: training loss at the end", [o["loss"] for o in found], "{:.3f}", " nats"),
                    Row(f"{name}, {mode}: memory at the first step", [o["early"] for o in found], "{:,.0f}", " MB"),
                    Row(f"{name}, {mode}: memory at its peak", peaks, "{:,.0f}", " MB", 100, 50, True),
                ]
    return rows
