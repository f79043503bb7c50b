"""ONNX files give PyTorch's numbers: every architecture, every reading mode, windows and steps, any batch size."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_models import CONFIGS, CarriedGru, Whole, build

from fastai_charrnn.all import ArchError, CharDataLoaders, ShareError, char_learner
from fastai_charrnn.share import onnx as share_onnx

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

N = 3
MODES = dict(windows={}, chunks=dict(target="every"), streams=dict(target="every", stateful=True))


@pytest.fixture(scope="module")
def loaders(small):
    "Loaders of each mode, made once."
    text = small[:2000]
    made = {mode: CharDataLoaders.from_text(text, seq_len=N, bs=8, device="cpu", **kw) for mode, kw in MODES.items()}
    return made | dict(char3=CharDataLoaders.from_text(text, seq_len=3, bs=8, device="cpu"))


def learner(loaders, arch, config, mode):
    "A small model whose weights all have an effect."
    learn = char_learner(loaders["char3" if arch == "char3" else mode], arch, n_hid=6, emb_sz=5, config=config, seed=1)
    for p in learn.model.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
    return learn


def session_of(path):
    return runtime.InferenceSession(path, providers=["CPUExecutionProvider"])


def windows(learn, bs, n):
    return torch.randint(len(learn.dls.vocab), (bs, n), generator=torch.Generator().manual_seed(bs))


def stepwise(session, x):
    "Log-probabilities after each character of windows, with the state fed back from step to step."
    inputs = {o.name: np.zeros((len(x), *o.shape[1:]), np.float32) for o in session.get_inputs()[1:]}
    outs = []
    for c in x.t().numpy():
        log_probs, *state = session.run(None, dict(inputs, chars=c))
        inputs = dict(zip(inputs, state))
        outs.append(log_probs)
    return torch.as_tensor(np.stack(outs, 1))


@pytest.mark.parametrize(
    "arch,config,mode", [(a, c, m) for a, c in CONFIGS for m in MODES if a != "char3" or m == "windows"], ids=str
)
def test_a_file_gives_the_numbers_of_pytorch(arch, config, mode, loaders, tmp_path):
    learn = learner(loaders, arch, config, mode)
    session = session_of(learn.to_onnx(tmp_path / "model"))
    learn.model.eval()
    for bs in (2, 5):
        x = windows(learn, bs, learn.dls.seq_len)
        if mode == "streams":
            learn.model.reset()
            found = stepwise(session, x)
        else:
            found = torch.as_tensor(session.run(["log_probs"], dict(chars=x.numpy()))[0])
        torch.testing.assert_close(found, learn.model(x).detach(), atol=2e-5, rtol=0)


@pytest.mark.parametrize("arch", ["char3", "lstm"])
def test_a_windowed_model_can_be_exported_as_a_step(arch, loaders, tmp_path):
    learn = learner(loaders, arch, {}, "windows")
    session = session_of(learn.to_onnx(tmp_path / "model", step=True))
    x = windows(learn, 3, learn.dls.seq_len)
    learn.model.eval()
    torch.testing.assert_close(stepwise(session, x)[:, -1], learn.model(x).detach(), atol=2e-5, rtol=0)


def test_the_metadata_tells_how_to_use_a_file(loaders, tmp_path):
    learn = learner(loaders, "lstm", {}, "streams")
    session = session_of(learn.to_onnx(tmp_path / "model"))
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["vocab"]) == list(learn.dls.vocab)
    expected = dict(arch="lstm", kind="step", seq_len="3", target="every", stateful="true")
    assert {name: metadata[name] for name in expected} == expected
    assert [o.name for o in session.get_inputs()] == ["chars", "state0", "state1"]
    assert [o.name for o in session.get_outputs()] == ["log_probs", "next_state0", "next_state1"]


def test_a_model_of_another_class_is_exported_as_a_window(small, tmp_path):
    model = Whole(build(small, "gru").model)
    learn = char_learner(build(small, "gru").dls, lambda *args, **kwargs: model)
    session = session_of(learn.to_onnx(tmp_path / "whole.onnx"))
    x = windows(learn, 3, 8)
    found = torch.as_tensor(session.run(None, dict(chars=x.numpy()))[0])
    torch.testing.assert_close(found, model.eval()(x).detach(), atol=2e-5, rtol=0)
    with pytest.raises(ArchError, match="Whole has no steps to export"):
        learn.to_onnx(tmp_path / "whole.onnx", step=True)


def test_an_export_changes_nothing_of_the_learner(small, tmp_path):
    dls = CharDataLoaders.from_text(small[:2000], seq_len=N, bs=8, device="cpu", **MODES["streams"])
    learn = char_learner(dls, CarriedGru, n_hid=6, emb_sz=5, seed=1)
    learn.model.train()
    learn.model(windows(learn, 8, N))
    before = learn.model.state
    learn.to_onnx(tmp_path / "model.onnx")
    assert learn.model.state is before
    assert learn.model.training


@pytest.mark.parametrize(
    "change,options,error,message",
    [
        (None, dict(step=1), ShareError, "step=1 is not True, False or None"),
        (None, dict(path=""), ShareError, "'.' is a folder; give a file name"),
        (None, dict(path="/proc/nothing/model.onnx"), ShareError, "cannot write /proc/nothing/model.onnx"),
        ("nan", {}, ShareError, "the weights contain NaN or infinity: out.bias"),
        ("long", {}, ShareError, "seq_len=600 is too long.*pass step=True"),
        ("streams", dict(step=False), ShareError, "carries its state has no window"),
    ],
    ids=str,
)
def test_what_cannot_be_exported_is_told(change, options, error, message, loaders, small, tmp_path):
    learn = learner(loaders, "gru", {}, "streams" if change == "streams" else "windows")
    if change == "nan":
        learn.model.out.bias.data[0] = float("nan")
    if change == "long":
        learn = char_learner(CharDataLoaders.from_text(small, seq_len=600, bs=8, device="cpu"), "gru", n_hid=6)
    with pytest.raises(error, match=message):
        learn.to_onnx(**(dict(path=tmp_path / "model.onnx") | options))
    assert not any(tmp_path.iterdir())


class Counting(torch.nn.Module):
    "A model whose loop over its data cannot be traced."

    def __init__(self, vocab_sz, **kwargs):
        super().__init__()
        self.out = torch.nn.Embedding(vocab_sz, vocab_sz)

    def forward(self, x):
        total = self.out(x[:, -1])
        for _ in range(int(x.sum()) % 7):
            total = total * 1.5
        return total


def test_a_file_that_differs_from_pytorch_is_not_written(loaders, tmp_path):
    learn = char_learner(loaders["windows"], Counting)
    with pytest.raises(ShareError, match="was not written: its numbers differ from PyTorch's by"):
        learn.to_onnx(tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())


def test_without_the_extra_the_error_says_what_to_install(loaders, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    learn = learner(loaders, "gru", {}, "windows")
    with pytest.raises(ShareError, match=r'install it with: pip install "fastai_charrnn\[onnx\]"'):
        learn.to_onnx(tmp_path / "model.onnx")


def test_the_programs_of_the_docstring_write_text_without_torch(small, tmp_path):
    "The first one writes what `predict_next` writes, the second one draws characters."
    blocks = re.findall(r"((?:^    .*\n|\n)+)", share_onnx.__doc__, re.M)
    window, step = ["\n".join(line[4:] for line in o.splitlines()) for o in blocks if "session.run" in o]
    windowed = build(small, "gru")
    windowed.to_onnx(tmp_path / "model.onnx")
    checked = f"{window}\nimport sys; assert 'torch' not in sys.modules and 'fastai_charrnn' not in sys.modules"
    cmd = [sys.executable, "-c", checked]
    done = subprocess.run(cmd, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == windowed.predict_next("The ", n=100) + "\n"
    dls = CharDataLoaders.from_text(small, seq_len=16, bs=8, device="cpu", **MODES["streams"])
    char_learner(dls, "lstm", n_hid=16, seed=1).to_onnx(tmp_path / "model.onnx")
    prepared = "".join(line + "\n" for line in window.strip("\n").splitlines()[:4])
    done = subprocess.run([sys.executable, "-c", prepared + step], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 1 + 100 + 1
