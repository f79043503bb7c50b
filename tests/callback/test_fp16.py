"""Mixed precision trains to nearly equal numbers, or raises a typed error; torch.compile changes no number."""

import shutil
import warnings

import pytest
import torch
from small_models import CALM

from fastai_charrnn.all import CharDataLoaders, char_learner, list_archs, load_learner
from fastai_charrnn.callback.fp16 import DeviceMixedPrecision
from fastai_charrnn.errors import DataError


def build(small, arch, size=4_000, **kw):
    dls = CharDataLoaders.from_text(
        small[:size], seq_len=3 if arch == "char3" else 8, bs=256, valid="tail", device="cpu"
    )
    return char_learner(dls, arch, **dict(n_hid=32, emb_sz=16, seed=0, config=CALM.get(arch)) | kw)


def gradients(learn, x, y, dtype=None):
    learn.model.zero_grad()
    with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        out = learn.model(x)
    learn.loss_func(out, y).backward()
    return out.detach(), torch.cat([p.grad.flatten() for p in learn.model.parameters()])


def fit(learn, lr=5e-3):
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, lr)
    return torch.stack(learn.recorder.losses)


@pytest.mark.parametrize("arch", list_archs())
def test_gradients_in_bf16_are_close_to_those_in_32_bits(small, arch):
    learn = build(small, arch, n_hid=64)
    x, y = learn.dls.train_ds.batch(torch.arange(512))
    out, g = gradients(learn, x, y)
    out16, g16 = gradients(learn, x, y, torch.bfloat16)
    assert out16.dtype == g16.dtype == torch.float32
    assert 0 < (g - g16).norm() < 0.02 * g.norm()
    assert (out - out16).abs().max() < 0.05


@pytest.mark.parametrize("arch", list_archs())
def test_to_bf16_trains_on_a_cpu_and_to_fp32_ends_it(small, arch, tmp_path):
    learn = build(small, arch)
    plain = build(small, arch)
    with warnings.catch_warnings():
        # fastai's callback would warn, and compute in 32 bits
        warnings.simplefilter("error", UserWarning)
        assert learn.to_bf16() is learn
        losses = fit(learn)
    exact = fit(plain)
    assert not torch.equal(losses, exact)
    torch.testing.assert_close(losses, exact, atol=0.02, rtol=0)
    assert all(p.dtype == torch.float32 for p in learn.model.parameters())
    assert learn.validate()[0] == pytest.approx(plain.validate()[0], abs=0.03)
    learn.path = tmp_path
    learn.export()
    assert not hasattr(load_learner(tmp_path / "export.pkl"), "mixed_precision")
    assert not hasattr(learn.to_fp32(), "mixed_precision")
    assert fit(learn).isfinite().all()


@pytest.mark.parametrize("arch", list_archs())
def test_autocast_reaches_the_recurrence(small, arch):
    """The table is the input of the recurrence, where most of the work is, and its dtype decides.

    A bias added in 32 bits would give a table in 32 bits."""
    model = build(small, arch).model
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.table().dtype == torch.bfloat16


def test_fp16_on_a_cpu_is_a_typed_error(small):
    learn = build(small, "rnn")
    with pytest.raises(DataError, match=r"fp16 needs a CUDA device.*'cpu'; use learn.to_bf16"):
        learn.to_fp16()
    learn.add_cb(DeviceMixedPrecision())
    with pytest.raises(DataError, match="needs a CUDA device"):
        fit(learn)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["to_bf16", "to_fp16"])
@pytest.mark.parametrize("arch", list_archs())
def test_mixed_precision_trains_on_a_gpu(small, arch, mode):
    dls = CharDataLoaders.from_text(small, seq_len=3 if arch == "char3" else 8, bs=256, valid="tail", device="cuda")
    learn, plain = (char_learner(dls, arch, n_hid=64, seed=0) for _ in range(2))
    getattr(learn, mode)()
    assert (fit(learn)[-1] - fit(plain)[-1]).abs() < 0.1


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs g++ on a CPU")
# inductor generates code, which takes too long for all architectures; `char3` has the layers and steps of `loop`
@pytest.mark.parametrize(
    "arch,backend", [("loop", "inductor"), *((a, "aot_eager") for a in list_archs() if a not in ("char3", "loop"))]
)
def test_a_compiled_model_has_equal_outputs_gradients_and_training(small, arch, backend):
    # the layers of the members of an ensemble are those of `mullstm`
    config = CALM.get(arch, {}) | (dict(n_layers=1) if arch == "ensemble" else {})
    learn, plain = (build(small, arch, 2_000, n_hid=16, emb_sz=8, config=config) for _ in range(2))
    learn.model = torch.compile(learn.model, backend=backend)
    x, y = plain.dls.train_ds.batch(torch.arange(256))
    for a, b in zip(gradients(learn, x, y), gradients(plain, x, y)):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fit(learn), fit(plain), atol=1e-5, rtol=1e-5)
    for a, b in zip(learn.model.parameters(), plain.model.parameters()):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    torch.compiler.reset()
