"""Compiled and parallel models train, and are saved and loaded like plain ones, in both directions."""

import pytest
import torch
from fastai.basics import load_learner
from fastai.callback.tracker import SaveModelCallback
from fastai.learner import save_model as fastai_save_model
from learner_helpers import quiet_fit, weights
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fastai_charrnn.all import (
    CharDataLoaders,
    char_learner,
    describe_model,
    extend_vocab,
    human_numbers,
    load_model,
    plot_embeddings,
    save_model,
)
from fastai_charrnn.io.generator import load_generator


def compiled(model):
    "The backend runs the traced graph as it is, without a C compiler."
    torch.compiler.reset()
    return torch.compile(model, backend="eager")


wrappers = dict(plain=lambda model: model, compiled=compiled, parallel=torch.nn.DataParallel)
wrapped = pytest.mark.parametrize("wrap", [compiled, torch.nn.DataParallel])
both = pytest.mark.parametrize("writer, reader", [(a, b) for a in wrappers for b in wrappers if a != b])


@pytest.fixture(scope="module")
def text():
    return human_numbers()[:1500]


@pytest.fixture
def make(text, tmp_path):
    def learner(wrap=None, seed=0, **kwargs):
        dls = CharDataLoaders.from_text(text, seq_len=8, bs=64, device="cpu", path=tmp_path, **kwargs)
        learn = char_learner(dls, "gru", n_hid=8, emb_sz=4, seed=seed)
        learn.model = wrappers[wrap or "plain"](learn.model)
        return learn

    return learner


@both
def test_weights_and_optimizer_are_loaded_into_any_wrapper(make, writer, reader):
    learn = make()
    quiet_fit(learn, 1)
    learn.model = wrappers[writer](learn.model)
    learn.save("weights")
    other = make(reader, seed=1)
    other.load("weights")
    assert weights(other).equal(weights(learn))
    assert other.opt.state_dict()["state"][0]["grad_avg"].equal(learn.opt.state_dict()["state"][0]["grad_avg"])


@pytest.mark.parametrize("writer", ["compiled", "parallel"])
def test_model_files_hold_the_plain_names(make, writer, tmp_path):
    learn = make(writer)
    path = save_model(learn, tmp_path / "m")
    assert describe_model(path)["tensors"].keys() == make().model.state_dict().keys()
    prompt = dict(n=20, seed=1)
    text = str(learn.generate("one ", **prompt))
    assert str(load_model(path).generate("one ", **prompt)) == text
    assert str(load_generator(path, device="cpu").generate("one ", **prompt)) == text


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."])
def test_old_files_with_prefixes_are_read(make, prefix, tmp_path):
    learn = make()
    model_file = save_model(learn, tmp_path / "m")
    metadata = _metadata(model_file)
    save_file({prefix + name: w for name, w in load_file(model_file).items()}, model_file, metadata)
    assert weights(load_model(model_file)).equal(weights(learn))
    (tmp_path / "models").mkdir()
    torch.save({prefix + name: w for name, w in learn.model.state_dict().items()}, tmp_path / "models/old.pth")
    for reader in wrappers:
        other = make(reader, seed=1)
        assert weights(other.load("old")).equal(weights(learn))


def _metadata(path):
    with safe_open(path, "pt") as f:
        return f.metadata()


def test_a_file_that_fastai_wrote_of_a_compiled_model_is_read(make, tmp_path):
    learn = make()
    quiet_fit(learn, 1)
    learn.model = compiled(learn.model)
    (tmp_path / "models").mkdir()
    fastai_save_model(tmp_path / "models/theirs.pth", learn.model, learn.opt)
    assert weights(make(seed=1).load("theirs")).equal(weights(learn))


class Nested(torch.nn.Module):
    "A model whose own names begin with module."

    def __init__(self, vocab_sz, emb_sz=4, n_hid=8):
        super().__init__()
        self.module = torch.nn.Embedding(vocab_sz, vocab_sz)

    def forward(self, x):
        return self.module(x[:, -1]).log_softmax(-1)


def test_names_of_a_model_that_look_like_prefixes_stay(make):
    dls = make().dls
    learn = char_learner(dls, Nested, seed=0)
    learn.save("nested")
    assert weights(char_learner(dls, Nested, seed=1).load("nested")).equal(weights(learn))


@wrapped
def test_export_writes_a_plain_model(make, wrap, tmp_path):
    learn = make()
    plain = learn.model
    learn.model = wrap(plain)
    learn.export("learner.pkl")
    assert learn.model is not plain
    with pytest.warns(UserWarning, match="insecure pickle"):
        loaded = load_learner(tmp_path / "learner.pkl")
    assert type(loaded.model) is type(plain)
    assert str(loaded.generate("one ", 20, seed=1)) == str(learn.generate("one ", 20, seed=1))


slow = pytest.mark.slow
streams = dict(target="every", stateful=True)


@pytest.mark.parametrize(
    "kwargs", [streams, pytest.param({}, marks=slow), pytest.param(dict(target="every"), marks=slow)]
)
def test_a_compiled_model_trains_evaluates_and_keeps_the_best_as_a_plain_one(make, kwargs):
    plain, other = make(**kwargs), make("compiled", **kwargs)
    rows = [quiet_fit(learn, 2, cbs=SaveModelCallback(monitor="bits_per_char")) for learn in (plain, other)]
    assert rows[1][1]["valid_loss"] == pytest.approx(rows[0][1]["valid_loss"], abs=1e-4)
    with other.no_bar(), other.no_logging():
        before = weights(other)
        other.lr_find(num_it=3, show_plot=False)
        assert weights(other).equal(before)
    assert other.evaluate("one two three four ")["loss"] > 0
    assert "GRU" in str(other.summary())


def test_other_functions_look_inside(make, text):
    learn = make("compiled")
    extended = extend_vocab(
        learn, CharDataLoaders.from_text(text + "é", vocab=learn.dls.vocab.extended("é"), seq_len=8)
    )
    assert len(extended.dls.vocab) == len(learn.dls.vocab) + 1
    plot_embeddings(make("parallel"))
