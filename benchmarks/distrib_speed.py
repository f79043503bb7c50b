"""Claim: two processes with one thread each train an `lstm` nearly twice as fast as one process; an `rnn` gains less.

Each epoch is `learn.fit` over 60,000 characters of the corpus in windows of 8, and gradients are summed over gloo. One
process uses batches of 512, each of two processes 256, so both do the same steps. Where gradients are written by hand
(`rnn`, `loop`, `concat`, `char3`), windows of a batch that begin alike share products. Half a batch shares less and
takes 0.6 of the time of a whole one. The start of the processes is not counted. Two idle cores are needed.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from figures import Row, ratios

from fastai_charrnn.all import CharDataLoaders, char_learner, nietzsche, read_text

_archs = "lstm", "rnn"


def _epochs(arch, size, rounds, out):
    "Time epochs in each process. The first process writes the characters a second to the file `out`."
    world = int(os.environ.get("WORLD_SIZE", 1))
    text = read_text(nietzsche())[:size]
    batch_sizes = dict(bs=512 // world, val_bs=2048 // world)
    dls = CharDataLoaders.from_text(text, valid="tail", valid_pct=0.1, device="cpu", **batch_sizes)
    learn = char_learner(dls, arch, seed=0)
    seconds = []
    with learn.no_bar(), learn.no_logging(), learn.distrib_ctx():
        for _ in range(rounds + 1):
            start = perf_counter()
            learn.fit(1, 1e-3)
            seconds.append(perf_counter() - start)
    if os.environ.get("RANK", "0") == "0":
        Path(out).write_text(json.dumps([len(dls.train_ds) / s for s in seconds[1:]]))


def _rates(world, arch, size, rounds):
    "Training characters a second of `world` processes, one figure a round."
    python_path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    env = os.environ | dict(OMP_NUM_THREADS="1", PYTHONPATH=python_path)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rates"
        command = [*_launcher(world), __file__, arch, str(size), str(rounds), out]
        subprocess.run(command, env=env, check=True, capture_output=True)
        return json.loads(out.read_text())


def _launcher(world):
    "The beginning of the command that starts `world` processes."
    if world == 1:
        return [sys.executable]
    options = ["--nproc-per-node", str(world), "--master-port", str(_free_port())]
    return [sys.executable, "-m", "torch.distributed.run", *options]


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def measure(short: bool = False) -> list[Row]:
    "Characters a second of one process and of two, in turn."
    rows = []
    size = 5_000 if short else 60_000
    turns = 1 if short else 3
    for arch in _archs[:1] if short else _archs:
        one = []
        two = []
        for _ in range(turns):
            one += _rates(1, arch, size, 1 if short else 3)
            two += _rates(2, arch, size, 1 if short else 3)
        promise = dict(must=1.3, aim=1.7) if arch == "lstm" else {}
        rows += [
            Row(f"`{arch}`: one process, characters a second", one, "{:,.0f}", ""),
            Row(f"`{arch}`: two processes", two, "{:,.0f}", ""),
            Row(f"`{arch}`: two against one", ratios(two, one), **promise),
        ]
    return rows


if __name__ == "__main__":
    if len(sys.argv) == 5:
        _epochs(sys.argv[1], *map(int, sys.argv[2:4]), sys.argv[4])
    else:
        from figures import table

        print(table(measure("--short" in sys.argv)))
