"""Change the encoded text of a training while it runs: `try_one`.

A forked process trains on an encoded text. At a random moment its file is cut short, emptied, overwritten, replaced or
removed. The training must end with the weights of an undisturbed one, or with `CorpusError`: never by a signal, and
never with other weights.
"""

import functools
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import torch

from fastai_charrnn.all import CharDataLoaders, char_learner, encode_file
from fastai_charrnn.errors import CorpusError

_n_chars = 15_000
_modes = dict(windows=dict(stride=7), chunks=dict(target="every"), streams=dict(target="every", stateful=True))


def _text():
    return "".join(random.Random(0).choices("etaoin shrdlu\n.", k=_n_chars))


def _train(path, mode):
    "The weights after two epochs. The text is encoded already, or is encoded first."
    dls = CharDataLoaders.from_text(
        encode_file(path, cache=path.parent), seq_len=16, bs=16, device="cpu", path=path.parent, **_modes[mode]
    )
    learn = char_learner(dls, "rnn", n_hid=8, emb_sz=4, seed=0)
    n_threads = torch.get_num_threads()
    # the threads of OpenMP do not outlive a fork
    torch.set_num_threads(1)
    try:
        with learn.no_bar(), learn.no_logging():
            learn.fit(2, 1e-2)
    finally:
        torch.set_num_threads(n_threads)
    return torch.cat([p.detach().flatten() for p in learn.model.parameters()])


@functools.cache
def undisturbed() -> dict:  # for each mode the weights, and the seconds
    "Train in each mode without a disturbance."
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text(_text())
        for mode in _modes:
            start = time.perf_counter()
            weights = _train(path, mode)
            found[mode] = weights, time.perf_counter() - start
    return found


def _disturb(path, how, rng):
    "Do something to a file."
    raw = path.read_bytes()
    if how == "cut short":
        os.truncate(path, rng.randrange(len(raw)))
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "overwritten":
        with open(path, "r+b") as f:
            f.seek(rng.randrange(len(raw)))
            f.write(bytes(64))
    elif how == "removed":
        path.unlink()
    elif how == "replaced":
        other = path.with_name("other")
        other.write_bytes(raw[: rng.randrange(len(raw))] if rng.random() < 0.5 else bytes(len(raw)))
        other.replace(path)


def try_one(
    rng: random.Random,
    folder: Path,  # empty
) -> str:  # what happened, and how the training ended
    "Train in a forked process, and change the encoded text or its description at a random moment."
    mode = rng.choice(list(_modes))
    how = rng.choice(["cut short", "emptied", "overwritten", "removed", "replaced"])
    expected, seconds = undisturbed()[mode]
    path = folder / "text.txt"
    path.write_text(_text())
    encoded = encode_file(path, cache=folder)
    target = encoded.path if rng.random() < 0.8 else encoded.path.with_suffix(".json")
    pid = os.fork()
    if not pid:
        _child(path, mode, folder)
    try:
        time.sleep(rng.uniform(0, 1.2 * seconds))
        _disturb(target, how, rng)
    finally:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code >= 0, f"{how}: the process ended by {signal.Signals(-code).name}"
    outcome = (folder / "outcome").read_text()
    if outcome == "ok":
        assert torch.equal(torch.load(folder / "weights"), expected), f"{how}: other weights without an error"
        return f"{how}: equal weights"
    assert outcome == "CorpusError", outcome
    return f"{how}: CorpusError"


def _child(path, mode, folder):
    "In a forked process: train, and write how it ended."
    try:
        torch.save(_train(path, mode), folder / "weights")
        outcome = "ok"
    except CorpusError:
        outcome = "CorpusError"
    except BaseException as e:
        outcome = repr(e)
    (folder / "outcome").write_text(outcome)
    os._exit(0)
