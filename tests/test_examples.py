"""The examples in the docstrings of modules run as they are written, on a small text, each fit ended after two batches."""
import ast,importlib,re,textwrap
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fastai.basics import Callback,CancelFitException,CancelTrainException,defaults
from fastai_charrnn import all as everything
from fastai_charrnn import archs
from fastai_charrnn.all import CharDataLoaders,char_learner,save_model

matplotlib.use("Agg")
root = Path(__file__).parent.parent
# the modules whose indented blocks are tables or formulas
TABLES = {"baseline", "callbacks", "corpus", "decoders", "errors", "hawk", "modelfile", "models", "mullstm", "streams"}


def _example(path):
    "The indented lines of a module's docstring."
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or ""
    return textwrap.dedent("".join(re.findall(r"^ {4}.*\n", doc, re.M)))


EXAMPLES = {p.stem:code for p in sorted((root/"fastai_charrnn").glob("*.py")) if p.stem not in TABLES and (code := _example(p))}


class TwoBatches(Callback):
    "End an epoch after two batches, and a fit by the clock too."
    def after_batch(self):
        if hasattr(self.learn, "lr_finder"): return
        if self.training and self.train_iter % len(self.dls.train) >= 2:
            raise CancelFitException if self.n_epoch == 10**6 else CancelTrainException


def test_the_examples_are_found(): assert {"data", "learner", "generate", "recipes", "timed", "plots", "archs", "adapting"} <= set(EXAMPLES)


@pytest.mark.filterwarnings("ignore:.*torchrun")
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_module_runs(name, small, tmp_path, monkeypatch):
    text = "It was for those who saw. "+small
    if name == "lessons": text = (text*17)[:510_000]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(archs, "_archs", dict(archs._archs))
    dls = CharDataLoaders.from_text(text[:20_000], device="cpu")
    learn = char_learner(dls, n_hid=16, seed=0)
    save_model(learn, "my.safetensors")
    monkeypatch.setattr(defaults, "callbacks", [*defaults.callbacks, TwoBatches])
    if name != "generate": learn.add_cb(TwoBatches())
    given = dict(text=text, other=text[:20_000]+"é", dls=dls, learn=learn, values=np.zeros((2, 13)))
    exec(EXAMPLES[name], vars(everything) | vars(importlib.import_module(f"fastai_charrnn.{name}")) | given)
