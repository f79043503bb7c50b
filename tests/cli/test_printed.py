"""Nothing from a model file reaches a terminal unescaped. In a pipe, generated text is what the model wrote."""

import io
import sys

import pytest
import torch
from model_files import changed_copy

from fastai_charrnn import cli
from fastai_charrnn.all import load_model, save_model

# the title of the terminal, a carriage return, 8-bit escapes, an override of the direction of writing
EVIL = "\x1b]0;title\x07\r\x9b2J\u202e"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory):
    return save_model(trained, tmp_path_factory.mktemp("printed") / "model")


def _evil_vocab(description):
    "Spell other characters of the vocabulary with those of EVIL."
    vocab = description["vocab"]
    chars = [c for c in dict.fromkeys(EVIL) if c not in vocab]
    vocab[1 : 1 + len(chars)] = chars


@pytest.fixture(scope="module")
def evil_model(path, tmp_path_factory):
    "A model that is most likely to write control characters."
    bias = torch.zeros(len(load_model(path).dls.vocab))
    bias[1:8] = 50
    to = tmp_path_factory.mktemp("evil") / "model.safetensors"
    return changed_copy(path, to, _evil_vocab, {"out.bias": bias})


def _is_harmless(text, lines="\n\t"):
    return all(c.isprintable() or c in lines for c in text)


def _run(monkeypatch, *args, terminal=True, status=0):
    out = Terminal() if terminal else io.StringIO()
    err = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert cli.main([*map(str, args)]) == status, err.getvalue()
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        _evil_vocab,
        lambda d: d["data"].update(split=EVIL, earlier=[dict(n_chars=1, split=EVIL)]),
        lambda d: d["versions"].update({EVIL: f"1\n  trained     100 epochs{EVIL}"}),
        lambda d: d["training"].update(opt=EVIL, loss=EVIL, log=[{EVIL: 1.0, "valid_loss": float("nan")}]),
    ],
)
def test_info_escapes_what_a_file_says(monkeypatch, path, tmp_path, change):
    before, _ = _run(monkeypatch, "info", path)
    out, err = _run(monkeypatch, "info", changed_copy(path, tmp_path / "m.safetensors", change))
    assert _is_harmless(out + err, "\n")
    n_more = "before  " in out
    assert out.count("\n") == before.count("\n") + n_more


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(arch=EVIL),
        lambda d: d["config"].update({EVIL: EVIL}),
        lambda d: d["config"].update(n_hid=EVIL),
        lambda d: d.update(format=9, versions=dict(fastai_charrnn=EVIL)),
        lambda d: d.update(target=EVIL),
        lambda d: d.update(vocab=["\0", EVIL]),
        lambda d: d.update(data=EVIL),
        lambda d: d.update(arch="x" * 10**6),
        lambda d: d["config"].update({"x" * 100: "y" * 1000}),
        lambda d: d.update(vocab=["\0", "xx" + "y" * 10**6]),
    ],
)
@pytest.mark.parametrize(
    "command", [["generate", "--prompt", ""], ["evaluate", __file__]], ids=["generate", "evaluate"]
)
def test_errors_are_short_and_escaped(monkeypatch, path, tmp_path, change, command):
    name, *options = command
    model = changed_copy(path, tmp_path / "m.safetensors", change)
    out, err = _run(monkeypatch, name, model, *options, status=1)
    assert _is_harmless(out + err, "\n")
    assert err.startswith(f"charrnn: {model}")
    assert err.count("\n") == 1
    assert len(err) < 600 + len(str(model))


def test_names_of_tensors_are_escaped_in_errors(monkeypatch, path, tmp_path):
    model = changed_copy(path, tmp_path / "m.safetensors", tensors={EVIL: torch.zeros(1)})
    _, err = _run(monkeypatch, "generate", model, "--prompt", "", status=1)
    assert _is_harmless(err, "\n")


@pytest.mark.parametrize("options", [[], ["--stream"], ["--beam", 2]], ids=str)
def test_generated_text_is_escaped_on_a_terminal_only(monkeypatch, evil_model, options):
    if "--beam" not in options:
        options = [*options, "--seed", 1]
    command = ["generate", evil_model, "--prompt", "", "-n", 40, *options]
    shown, err = _run(monkeypatch, *command)
    piped, _ = _run(monkeypatch, *command, terminal=False)
    assert _is_harmless(shown + err)
    assert set(EVIL) & set(piped)
    assert len(shown) > len(piped)


def test_write_escapes_on_a_terminal_only(monkeypatch, evil_model):
    command = ["write", evil_model]
    for terminal in (True, False):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\n")))
        out, _ = _run(monkeypatch, *command, terminal=terminal)
        assert _is_harmless(out) == terminal


def test_a_notebook_and_a_prompt_of_python_show_escapes(evil_model):
    learn = load_model(evil_model, device="cpu")
    text = learn.generate("", 40, seed=1)
    assert set(EVIL) & set(str(text))
    assert _is_harmless(repr(text))
    assert _is_harmless(text._repr_html_())
    assert _is_harmless(repr(learn.dls) + repr(learn.dls.vocab))
