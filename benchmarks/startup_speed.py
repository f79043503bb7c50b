"""Claim: the package adds very little to the start of fastai, `charrnn --help` answers at once, and `charrnn generate`
waits only for PyTorch."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import Row, in_turn

from fastai_charrnn.all import CharDataLoaders, char_learner, python_reference, save_model

_fastai = "from fastai.basics import *; from fastai.callback.all import *; from fastai.interpret import *"


def measure(short: bool = False) -> list[Row]:
    "Time whole processes."
    charrnn = Path(sys.executable).with_name("charrnn")
    dls = CharDataLoaders.from_text(python_reference()[:10_000], device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        model = save_model(char_learner(dls, seed=0), f"{folder}/model")
        runs = dict(
            fastai=_process(sys.executable, "-c", _fastai),
            ours=_process(sys.executable, "-c", "from fastai_charrnn.all import *"),
            torch=_process(sys.executable, "-c", "import torch"),
            help=_process(charrnn, "--help"),
            generate=_process(charrnn, "generate", model, "--prompt", "the", "-n", "100", "--seed", "1"),
        )
        times = in_turn(runs, 1 if short else 7)
    added = [ours - fastai for ours, fastai in zip(times["ours"], times["fastai"])]
    return [
        Row("fastai's own import, and what starts Python", times["fastai"], unit=" s"),
        Row("what `from fastai_charrnn.all import *` adds to it", added, unit=" s", must=0.3, at_most=True),
        Row("`charrnn --help`", times["help"], unit=" s", must=0.3, at_most=True),
        Row("`charrnn generate`, 100 characters", times["generate"], unit=" s"),
        Row("PyTorch's own import, likewise", times["torch"], unit=" s"),
    ]


def _process(*command):
    on_cpu = os.environ | dict(CUDA_VISIBLE_DEVICES="")
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=on_cpu)
