"""Claim: the package adds next to nothing to the start of fastai, `charrnn --help` answers at once, and `charrnn generate` waits for PyTorch alone."""

import subprocess
import sys
import tempfile
from pathlib import Path

from figures import Row, in_turn

from fastai_charrnn.all import CharDataLoaders, char_learner, python_reference, save_model

_fastai = "from fastai.basics import *; from fastai.callback.all import *; from fastai.interpret import *"


def measure(short: bool = False) -> list[Row]:
    "Whole processes, in turn."

    def process(*cmd):
        return lambda: subprocess.run(cmd, check=True, stdout=subprocess.DEVNULL)

    charrnn = Path(sys.executable).with_name("charrnn")
    with tempfile.TemporaryDirectory() as tmp:
        model = save_model(
            char_learner(CharDataLoaders.from_text(python_reference()[:10_000], device="cpu"), seed=0), f"{tmp}/model"
        )
        t = in_turn(
            dict(
                fastai=process(sys.executable, "-c", _fastai),
                ours=process(sys.executable, "-c", "from fastai_charrnn.all import *"),
                torch=process(sys.executable, "-c", "import torch"),
                help=process(charrnn, "--help"),
                generate=process(charrnn, "generate", model, "--prompt", "the", "-n", "100", "--seed", "1"),
            ),
            1 if short else 7,
        )
    added = [a - b for a, b in zip(t["ours"], t["fastai"])]
    return [
        Row("fastai's own import, and what starts Python", t["fastai"], unit=" s"),
        Row("what `from fastai_charrnn.all import *` adds to it", added, unit=" s", must=0.3, at_most=True),
        Row("`charrnn --help`", t["help"], unit=" s", must=0.3, at_most=True),
        Row("`charrnn generate`, 100 characters", t["generate"], unit=" s"),
        Row("PyTorch's own import, likewise", t["torch"], unit=" s"),
    ]
