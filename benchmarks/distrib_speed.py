"""Claim: two processes of one thread each train an `lstm` nearly twice as fast as one; an `rnn` gains less.

Each epoch is `learn.fit` over 60,000 characters of the corpus, windows of 8, gradients summed over gloo; one process takes batches of 512,
two take 256 each, so that both do the same steps. Windows of a batch that begin alike share products where gradients are by hand (`rnn`, `loop`, `concat`,
`char3`), and those of half a batch share less: half of it takes 0.6 of its time. Started by torchrun and `python`; the starts are not counted. Two free cores are needed.
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
    "What each process does: epochs, timed; the first writes."
    world = int(os.environ.get("WORLD_SIZE", 1))
    dls = CharDataLoaders.from_text(
        read_text(nietzsche())[:size], bs=512 // world, val_bs=2048 // world, valid="tail", valid_pct=0.1, device="cpu"
    )
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
    "Training characters a second, one a round."
    with tempfile.TemporaryDirectory() as tmp, socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        s.close()
        if world == 1:
            start = [sys.executable]
        else:
            start = [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--nproc-per-node",
                str(world),
                "--master-port",
                str(port),
            ]
        folder = Path(__file__).parent
        env = os.environ | dict(
            OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        )
        subprocess.run(
            [*start, __file__, arch, str(size), str(rounds), f"{tmp}/rates"], env=env, check=True, capture_output=True
        )
        return json.loads((Path(tmp) / "rates").read_text())


def measure(short: bool = False) -> list[Row]:
    "Characters a second of one process and of two, in turn."
    rows = []
    size = 5_000 if short else 60_000
    turns = 1 if short else 3
    for arch in _archs[:1] if short else _archs:
        one, two = [], []
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
