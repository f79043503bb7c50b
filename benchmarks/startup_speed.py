"""Claim: the package adds next to nothing to the start of fastai, and `charrnn --help` answers at once."""
import subprocess,sys
from pathlib import Path

from figures import Row,in_turn

_fastai = "from fastai.basics import *; from fastai.callback.all import *; from fastai.interpret import *"


def measure(short:bool=False) -> list[Row]:
    "Whole processes, in turn."
    def process(*cmd): return lambda: subprocess.run(cmd, check=True, stdout=subprocess.DEVNULL)
    t = in_turn(dict(fastai=process(sys.executable, "-c", _fastai), ours=process(sys.executable, "-c", "from fastai_charrnn.all import *"),
                     help=process(Path(sys.executable).with_name("charrnn"), "--help")), 1 if short else 7)
    return [Row("fastai's own import, and what starts Python", t["fastai"], unit=" s"), Row("what `from fastai_charrnn.all import *` adds to it", [a-b for a,b in zip(t["ours"], t["fastai"])], unit=" s", must=.3, at_most=True),
            Row("`charrnn --help`", t["help"], unit=" s", must=.3, at_most=True)]
