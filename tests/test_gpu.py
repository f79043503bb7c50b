"""A GPU does what a CPU does: the same batches, losses, texts and files; the same again from the same seed; and no batch waits for it. Skipped where there is none."""

import numpy as np
import pytest
import torch
from fastai.basics import Callback
from small_models import CALM

from fastai_charrnn.all import (
    CharDataLoaders,
    best_recipe,
    char_learner,
    dynamic_evaluation,
    encode_file,
    extend_vocab,
    list_archs,
    load_learner,
    load_model,
    python_reference,
    save_model,
)

pytestmark = pytest.mark.gpu

MODES = dict(windows={}, chunks=dict(target="every"), streams=dict(target="every", stateful=True, shift=True))
everywhere = pytest.mark.parametrize(
    "arch,mode", [(a, m) for a in list_archs() for m in MODES if a != "char3" or m == "windows"]
)


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    "Products in 32 bits: cuDNN would round to 19 (TF32)."
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def build(arch, mode, device, calm=True, **kw):
    text = python_reference()[:6_000]
    n = 3 if arch == "char3" else 8
    bs = 32 if mode == "streams" else 256
    dls = CharDataLoaders.from_text(text, seq_len=n, bs=bs, valid="tail", seed=1, device=device, **MODES[mode])
    return char_learner(dls, arch, **dict(n_hid=32, emb_sz=16, seed=0, config=CALM.get(arch) if calm else None) | kw)


def fit(learn, epochs=2, lr=5e-3, **kw):
    with learn.no_bar(), learn.no_logging():
        learn.fit(epochs, lr, **kw)
    return torch.stack(learn.recorder.losses)


@everywhere
def test_the_curve_is_that_of_a_cpu(arch, mode):
    here = build(arch, mode, "cpu")
    there = build(arch, mode, "cuda")
    for (x, y), (u, v) in zip(here.dls.valid, there.dls.valid):
        assert u.is_cuda and torch.equal(x, u.cpu()) and torch.equal(y, v.cpu())
    torch.testing.assert_close(fit(there), fit(here), atol=2e-3, rtol=0)
    for k, v in here.training_log.rows[-1].items():
        assert there.training_log.rows[-1][k] == pytest.approx(v, abs=5e-3), k
    assert all(p.is_cuda for p in there.model.parameters())


@everywhere
def test_a_seed_fixes_the_curve_and_the_weights_bit_for_bit(arch, mode):
    "Dropout included."
    a = build(arch, mode, "cuda", calm=False)
    b = build(arch, mode, "cuda", calm=False)
    for learn in (a, b):
        torch.manual_seed(5)
        fit(learn)
    assert torch.equal(torch.stack(a.recorder.losses), torch.stack(b.recorder.losses))
    for p, q in zip(a.model.parameters(), b.model.parameters()):
        assert torch.equal(p, q)


class Strict(Callback):
    "Waiting for the device between two batches, or within one, is an error; an epoch's first batch apart, for which what the text is cut into is moved there."

    order, run_valid = 100, False

    def after_batch(self):
        torch.cuda.set_sync_debug_mode("error")


class Mild(Callback):
    "Before whatever fetches an epoch's numbers."

    order = -100

    def after_train(self):
        torch.cuda.set_sync_debug_mode("default")


@everywhere
def test_no_batch_of_training_waits_for_the_device(arch, mode):
    learn = build(arch, mode, "cuda", calm=False)
    try:
        fit(learn, cbs=[Strict(), Mild()])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(o.device.type == "cpu" for o in learn.recorder.losses) and learn.training_log.rows[-1]["valid_loss"] < 5


def test_a_text_on_disk_gives_the_batches_of_one_in_memory(small, tmp_path):
    (tmp_path / "a.txt").write_text(small, encoding="utf-8")
    for kw in MODES.values():
        a, b = (
            CharDataLoaders.from_text(o, bs=64, valid="tail", seed=1, device="cuda", **kw)
            for o in (small, encode_file(tmp_path / "a.txt"))
        )
        for (x, y), (u, v) in zip(a.train.seed(2), b.train.seed(2)):
            assert u.is_cuda and torch.equal(x, u) and torch.equal(y, v)


@pytest.mark.parametrize("arch", list_archs())
def test_texts_scores_and_probabilities_are_those_of_a_cpu_and_go_by_file(arch, tmp_path):
    learn = build(arch, "windows", "cuda")
    fit(learn)
    save_model(learn, tmp_path / "m")
    learn.path = tmp_path
    learn.export()
    for other in (
        load_model(tmp_path / "m", device="cpu"),
        load_learner(tmp_path / "export.pkl"),
        load_model(tmp_path / "m", device="cuda"),
    ):
        for how in (dict(temperature=0.8, top_p=0.9, seed=3), dict(temperature=0.6, top_k=5, seed=4)):
            assert str(learn.generate("the value", 120, **how)) == str(other.generate("the value", 120, **how))
        np.testing.assert_allclose(learn.score("the value of it").nll, other.score("the value of it").nll, atol=1e-4)
    assert (
        learn.predict_next("the value", n=40) == other.predict_next("the value", n=40)
        and next(learn.model.parameters()).is_cuda
    )


def test_writing_leaves_the_devices_random_state_alone():
    learn = build("lstm", "streams", "cuda", calm=False)
    fit(learn)
    before = torch.cuda.get_rng_state()
    learn.generate("the", 50, temperature=1.0)
    learn.evaluate(python_reference()[:2_000])
    assert torch.equal(before, torch.cuda.get_rng_state())


@pytest.mark.parametrize("arch", ["rnn", "lstm", "mullstm", "hawk"])
def test_evaluation_and_adapting_give_the_numbers_of_a_cpu(arch):
    here, there = build(arch, "streams", "cpu"), build(arch, "streams", "cuda")
    there.model.load_state_dict(here.model.state_dict())
    text = python_reference()[6_000:8_000]
    for by in ("windows", "chunks", "streams"):
        a, b = (o.evaluate(text, by=by, unk="skip") for o in (here, there))
        assert a == pytest.approx(b, abs=1e-4)
    assert dynamic_evaluation(here, text, unk="skip") == pytest.approx(
        dynamic_evaluation(there, text, unk="skip"), abs=1e-3
    )
    (p, t), (q, u) = here.get_preds(), there.get_preds()
    assert torch.equal(t, u) and (p - q).abs().max() < 1e-4
    wider = extend_vocab(
        there,
        CharDataLoaders.from_text(
            text + "é", vocab=there.dls.vocab.extended(text + "é"), bs=32, device="cuda", **MODES["streams"]
        ),
    )
    assert fit(wider).isfinite().all() and next(wider.model.parameters()).is_cuda


def test_the_recipe_trains_by_the_clock():
    recipe = best_recipe(0.05, speed=200)
    learn = recipe.learner(recipe.dls(python_reference()[:60_000], device="cuda"))
    row = learn.fit_minutes(0.05, recipe.lr)
    assert row["valid_loss"] < 4.5 and row["epochs"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("arch", list_archs())
def test_a_compiled_model_has_the_same_outputs_and_gradients(arch):
    learn = build(arch, "windows", "cuda")
    model, (x, y) = learn.model.cuda(), learn.dls.one_batch()

    def found(m):
        model.zero_grad()
        out = m(x)
        learn.loss_func(out, y).backward()
        return out.detach(), *(p.grad.clone() for p in model.parameters())

    for a, b in zip(found(torch.compile(model)), found(model)):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    torch.compiler.reset()
