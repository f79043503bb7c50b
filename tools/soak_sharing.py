"""Two processes that use one folder at the same time: `try_download`, `try_encode`, `try_save`, `try_replace`.

Each function makes one try for `tools/soak.py`: it returns the kind of its outcome, and raises `AssertionError` for a
wrong file.
"""

import functools
import hashlib
import os
import random
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import torch

from fastai_charrnn.all import CharDataLoaders, char_learner, encode_file, load_model, save_model
from fastai_charrnn.data.download import fetch_url


def at_once(
    *jobs: Callable[[], object],  # what each process does
):
    "Run functions at the same time, each in a forked process. Raises `AssertionError` if one of them raises or ends."
    wait_end, go_end = os.pipe()
    error_ends, pids = [], []
    for job in jobs:
        read_end, write_end = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(go_end)
            _run(job, wait_end, write_end)
        os.close(write_end)
        error_ends.append(read_end)
        pids.append(pid)
    os.close(wait_end)
    # all processes wait until this end is closed
    os.close(go_end)
    errors = [os.fdopen(end).read() for end in error_ends]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert not any(errors), "\n".join(errors)
    assert codes == [0] * len(jobs)


def _run(job, wait_end, error_end):
    "In a forked process: wait for the start, run, write the traceback of an error, end."
    os.read(wait_end, 1)
    try:
        job()
    except BaseException:
        os.write(error_end, traceback.format_exc().encode())
    os._exit(0)


def _text(rng, n):
    "A text of n characters, not all of them ASCII."
    return "".join(rng.choices("etaoin shrdlu\n.äß€", k=n))


def _names(folder):
    "The names of all files in a folder."
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def try_download(
    rng: random.Random,
    folder: Path,  # empty
) -> str:
    "Two processes download a file to the same path from a server on this machine."
    content = _text(rng, rng.randrange(1, 300_000)).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    with serve(content) as url:

        def download():
            path = fetch_url(url, folder / "text.txt", sha256)
            assert path.read_bytes() == content

        at_once(download, download)
    assert (folder / "text.txt").read_bytes() == content
    assert _names(folder) == ["text.txt"]
    return "one right file"


@contextmanager
def serve(
    content: bytes,  # of the file
) -> Iterator[str]:  # its address
    "Serve one file from a forked process. Downloads are allowed in this process from then on."
    os.environ.pop("CHARRNN_OFFLINE", None)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            "Print nothing."

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        pid = os.fork()
        if not pid:
            server.serve_forever()
        try:
            yield f"http://127.0.0.1:{server.server_port}/text.txt"
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def try_encode(
    rng: random.Random,
    folder: Path,  # empty
) -> str:
    "Two processes encode a text into the same cache folder, and read what they got."
    text = _text(rng, rng.randrange(1, 200_000))
    (folder / "text.txt").write_bytes(text.encode())
    cache = folder / "cache"

    def encode():
        encoded = encode_file(folder / "text.txt", cache=cache)
        ids = np.load(encoded.path)
        assert len(ids) == encoded.n_chars
        assert "".join(encoded.vocab.itos[i] for i in ids) == text

    at_once(encode, encode)
    # what is left is complete, so that the next call uses it
    [data] = cache.glob("*.npy")
    before = data.stat().st_mtime_ns
    encode()
    assert data.stat().st_mtime_ns == before, "the text was encoded again"
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".npy"]
    return "one right file"


@functools.cache
def two_models() -> list:
    "Two learners with as many characters each, but not the same ones. All weights of the first are 1, of the second 2."
    learners = []
    for value, letters in enumerate(["abcdefgh", "stuvwxyz"], 1):
        dls = CharDataLoaders.from_text(letters * 40, seq_len=8, bs=8, valid="tail", device="cpu")
        learn = char_learner(dls, "rnn", n_hid=16, emb_sz=8, seed=0)
        for weight in learn.model.parameters():
            torch.nn.init.constant_(weight, value)
        learners.append(learn)
    return learners


def _check_loaded(path):
    "Load a model and check that it is the first or the second, not something of both."
    learn = load_model(path, device="cpu")
    [value] = {float(v) for weight in learn.model.parameters() for v in weight.detach().unique()}
    assert learn.dls.vocab == two_models()[int(value) - 1].dls.vocab, (
        "the vocabulary of one model, weights of the other"
    )


def try_save(
    rng: random.Random,
    folder: Path,  # empty
) -> str:
    "Two processes save different models to the same path, ten times each."

    def save(learn):
        for _ in range(10):
            save_model(learn, folder / "model")

    at_once(*[functools.partial(save, learn) for learn in two_models()])
    _check_loaded(folder / "model")
    assert _names(folder) == ["model.safetensors"]
    return "one right file"


n_loads = 25  # of a model file in a try


def try_replace(
    rng: random.Random,
    folder: Path,  # empty
) -> str:
    "A process loads a model file 25 times while another one replaces it by turns with two different models."
    models = two_models()
    done = folder / "done"
    save_model(models[0], folder / "model")

    def replace():
        while not done.exists():
            for learn in models:
                save_model(learn, folder / "model")

    def load():
        try:
            for _ in range(n_loads):
                _check_loaded(folder / "model")
        finally:
            done.touch()

    at_once(replace, load)
    return f"{n_loads} right loads"
