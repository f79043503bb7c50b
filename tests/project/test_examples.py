"""The examples in the docstrings of modules run as written, on a small text, with two batches in each epoch."""

import ast
import importlib
import re
import textwrap
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.basics import Callback, CancelFitException, CancelTrainException, defaults

from fastai_charrnn import all as everything
from fastai_charrnn.all import CharDataLoaders, char_learner, save_model
from fastai_charrnn.models import registry

matplotlib.use("Agg")
root = Path(__file__).parents[2]
# modules whose indented blocks are tables or formulas
TABLES = {
    "analysis.ngrams",
    "callback.core",
    "cli.__init__",
    "data.corpus",
    "generation.decoders",
    "errors",
    "page.pack",
    "serve.api",
    "io.format",
    "io.tensor_file",
    "state.fit",
    "models.beginnings",
    "models.contexts",
    "models.gate",
    "models.witten_bell",
    "models.rnn",
    "models.mullstm",
    "data.streams",
    "data.reading",
    "data.protocol",
}
# modules whose examples run in the tests of their package: they need a server to stop, a Hub or trained learners
ELSEWHERE = {"analysis.compare", "serve.serve", "serve.watch", "share.hub", "share.onnx"}
# modules whose examples look at the gates and units of a network, over a short text
LOOKING = {f"analysis.{name}" for name in ("gates", "gate_plots", "text_picture", "tracking", "unit_plots")}


def _example(path):
    """The example in a module's docstring: its indented lines, or its paragraphs that are Python.

    The formatter removes the indentation if the example ends the docstring."""
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or ""
    code = [paragraph for paragraph in doc.split("\n\n")[1:] if _is_python(paragraph)]
    return "\n".join(code) or textwrap.dedent("".join(re.findall(r"^ {4}.*\n", doc, re.M)))


def _is_python(text):
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


package = root / "fastai_charrnn"
MODULES = {".".join(p.relative_to(package).with_suffix("").parts): p for p in sorted(package.rglob("*.py"))}
EXAMPLES = {name: code for name, p in MODULES.items() if name not in TABLES | ELSEWHERE and (code := _example(p))}


class TwoBatches(Callback):
    "End an epoch after two batches, also in a fit with a time limit."

    def after_batch(self):
        if hasattr(self.learn, "lr_finder"):
            return
        if self.training and self.train_iter % len(self.dls.train) >= 2:
            raise CancelFitException if self.n_epoch == 10**6 else CancelTrainException


def test_the_examples_are_found():
    packages = {"data.loaders", "models.registry", "generation.text", "callback.timed_fit", "analysis.plots"}
    assert packages | {"analysis.held_out", "recipes.best", "recipes.optimizer", "learner", "adapt"} <= set(EXAMPLES)


# without a GPU `CudaGraph` says that it has no effect
@pytest.mark.filterwarnings("ignore:.*torchrun", "ignore:(?s).*CudaGraph has no effect")
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_module_runs(name, small, tmp_path, monkeypatch):
    text = "It was for those who saw. " + small
    if name == "recipes.lesson6":
        text = (text * 17)[:510_000]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_archs", dict(registry._archs))
    dls = CharDataLoaders.from_text(text[:20_000], device="cpu")
    learn = char_learner(dls, n_hid=16, seed=0)
    save_model(learn, "my.safetensors")
    # trackers need whole epochs
    if name != "callback.trackers":
        monkeypatch.setattr(defaults, "callbacks", [*defaults.callbacks, TwoBatches])
    if name not in ("generation.text", "callback.trackers"):
        learn.add_cb(TwoBatches())
    module = importlib.import_module(f"fastai_charrnn.{name}")
    df = pd.DataFrame(dict(text=[text[i : i + 500] for i in range(0, 10_000, 500)]))
    values = np.zeros((2, 13))
    if name in LOOKING:
        learn = char_learner(dls, "lstm", n_hid=64, seed=0)
        text = text[:4000]
        values = np.zeros(len(text))
    ids = torch.from_numpy(dls.vocab.encode(text[:20_000]).astype("int64"))
    names = dict(text=text, df=df, other=text[:20_000] + "é", dls=dls, learn=learn, values=values, ids=ids)
    exec(EXAMPLES[name], vars(everything) | vars(module) | names)
