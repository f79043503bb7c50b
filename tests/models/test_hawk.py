"""`examples/hawk.py`, an architecture registered from outside of the package."""

import importlib.util
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from model_checks import ArchitectureTests, V, assert_batches_keep_no_memory
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from training_modes import assert_learns_and_writes, make_dls

from fastai_charrnn.all import ArchError, ModelFileError, char_learner, get_arch, list_archs, load_model, save_model
from fastai_charrnn.models import registry

EXAMPLE = Path(__file__).parents[2] / "examples/hawk.py"

configs = pytest.mark.parametrize(
    "arch,config",
    [("hawk", {}), ("hawk", dict(n_layers=1, n_mlp=5)), ("ensemble", dict(arch="hawk", n_models=2))],
    ids=str,
)


@pytest.fixture(scope="module", autouse=True)
def hawk():
    "The imported example. Its architecture is registered during the tests of this module."
    spec = importlib.util.spec_from_file_location("hawk", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del registry._archs["hawk"]


@configs
class TestHawk(ArchitectureTests):
    "The tests of every architecture, for the example."


@pytest.mark.parametrize("name", ["output_p", "layer_p"])
def test_a_dropout_above_1_is_refused(name):
    with pytest.raises(ArchError, match=f"{name}=1.5"):
        get_arch("hawk").cls(V, **{name: 1.5})


@pytest.mark.parametrize("mode", ["next", "every", "streams"])
def test_it_learns_and_writes_in_all_modes_and_from_a_file(mode, tmp_path):
    assert_learns_and_writes("hawk", mode, tmp_path, config=dict(output_p=0.1))


def _recurrence(a, b, h):
    "`h = a h + b` step by step."
    outs = []
    for x, y in zip(a, b):
        h = x * h + y
        outs.append(h)
    return torch.stack(outs)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("form", ["scan", "scan_by_doubling"])
@pytest.mark.parametrize("n", [1, 2, 7, 16, 32])
def test_both_scans_equal_the_loop(hawk, n, form, device):
    generator = torch.Generator().manual_seed(n)

    def random(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(device)

    args = [random(n, 3, 4).requires_grad_(), random(n, 3, 4).requires_grad_(), random(3, 4).requires_grad_()]
    weights = random(n, 3, 4)
    got = getattr(hawk, form)(*args)
    expected = _recurrence(*args)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)
    for p, q in zip(*[torch.autograd.grad((o * weights).sum(), args) for o in (got, expected)]):
        torch.testing.assert_close(p, q, atol=1e-12, rtol=0)


def test_the_summary_has_its_blocks():
    learn = char_learner(make_dls("next"), "hawk", n_hid=8)
    assert "blocks.1.mlp (Linear)" in learn.summary()


def test_a_batch_keeps_no_memory():
    assert_batches_keep_no_memory("hawk")


def _as_version_0_1(path):
    "Rewrite a model file with the names of version 0.1."
    with safe_open(path, "pt") as f:
        description = json.loads(f.metadata()["charrnn"])
    old_names = dict(output_p="dropout", layer_p="layer_drop")
    description["config"] = {old_names.get(name, name): v for name, v in description["config"].items()}
    description["format"] = 2
    description["window"] = description.pop("seq_len")
    save_file(load_file(path), path, metadata=dict(charrnn=json.dumps(description)))


def test_a_model_file_of_version_0_1_names_the_example(tmp_path, monkeypatch):
    learn = char_learner(make_dls("every"), "hawk", n_hid=8, emb_sz=8, config=dict(output_p=0.1, layer_p=0.0))
    path = save_model(learn, tmp_path / "m")
    _as_version_0_1(path)
    with monkeypatch.context() as m:
        m.delitem(registry._archs, "hawk")
        with pytest.raises(
            ModelFileError, match="'hawk' is no longer part of the package; import examples/hawk.py first"
        ):
            load_model(path)
        with pytest.raises(ArchError, match="import examples/hawk.py first"):
            char_learner(make_dls("next"), "hawk")
    loaded = load_model(path, device="cpu")
    assert loaded.model.output_p == 0.1
    assert loaded.predict_next("one", n=9) == learn.predict_next("one", n=9)


@pytest.mark.slow
def test_the_script_trains_and_prints_text(monkeypatch, capsys):
    monkeypatch.setattr(registry, "_archs", {k: v for k, v in registry._archs.items() if k != "hawk"})
    monkeypatch.setattr(sys, "argv", ["hawk.py", "--epochs", "1", "--chars", "20000"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert len(capsys.readouterr().out) > 200
    assert "hawk" in list_archs()
