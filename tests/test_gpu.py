"""On a GPU: batches, losses, texts and files equal those of a CPU, a seed fixes them, no batch waits for the GPU."""

import numpy as np
import pytest
import torch
from fastai.basics import Callback
from learner_helpers import AllowWaiting
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

MODES = {"windows": {}, "chunks": dict(target="every"), "streams": dict(target="every", stateful=True, shift=True)}
# char3 reads windows only
CASES = [(arch, mode) for arch in list_archs() for mode in MODES if arch != "char3" or mode == "windows"]
all_archs_and_modes = pytest.mark.parametrize("arch,mode", CASES)


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    "Products in 32 bits. cuDNN would round to 19 bits (TF32)."
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def build(arch, mode, device, dropout=False):
    "A small untrained learner, by default without dropout, whose random numbers differ between devices."
    text = python_reference()[:6_000]
    seq_len = 3 if arch == "char3" else 8
    bs = 32 if mode == "streams" else 256
    dls = CharDataLoaders.from_text(text, seq_len=seq_len, bs=bs, valid="tail", seed=1, device=device, **MODES[mode])
    config = None if dropout else CALM.get(arch)
    return char_learner(dls, arch, n_hid=32, emb_sz=16, seed=0, config=config)


def fit(learn, **kwargs):
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, 5e-3, **kwargs)
    return torch.stack(learn.recorder.losses)


@all_archs_and_modes
def test_losses_are_those_of_a_cpu(arch, mode):
    cpu = build(arch, mode, "cpu")
    gpu = build(arch, mode, "cuda")
    for (x, y), (gpu_x, gpu_y) in zip(cpu.dls.valid, gpu.dls.valid):
        assert gpu_x.is_cuda
        assert torch.equal(x, gpu_x.cpu())
        assert torch.equal(y, gpu_y.cpu())
    torch.testing.assert_close(fit(gpu), fit(cpu), atol=2e-3, rtol=0)
    for name, value in cpu.training_log.rows[-1].items():
        assert gpu.training_log.rows[-1][name] == pytest.approx(value, abs=5e-3), name
    assert all(p.is_cuda for p in gpu.model.parameters())


@all_archs_and_modes
def test_a_seed_fixes_losses_and_weights_bit_for_bit(arch, mode):
    "Dropout included."
    a = build(arch, mode, "cuda", dropout=True)
    b = build(arch, mode, "cuda", dropout=True)
    for learn in (a, b):
        torch.manual_seed(5)
        fit(learn)
    assert torch.equal(torch.stack(a.recorder.losses), torch.stack(b.recorder.losses))
    for p, q in zip(a.model.parameters(), b.model.parameters()):
        assert torch.equal(p, q)


class ForbidWaiting(Callback):
    """Make it an error to wait for the GPU, from the end of an epoch's first batch on.

    For the first batch the order of the epoch is moved to the GPU."""

    order = 100
    run_valid = False

    def after_batch(self):
        torch.cuda.set_sync_debug_mode("error")


@all_archs_and_modes
def test_no_batch_of_training_waits_for_the_device(arch, mode):
    learn = build(arch, mode, "cuda", dropout=True)
    try:
        fit(learn, cbs=[ForbidWaiting(), AllowWaiting()])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(loss.device.type == "cpu" for loss in learn.recorder.losses)
    assert learn.training_log.rows[-1]["valid_loss"] < 5


class ForbidWaitingInValidation(Callback):
    "Make it an error to wait for the GPU, from the end of the first batch of a validation to its last batch."

    order = 100

    def after_batch(self):
        is_inside = not self.training and self.iter < self.n_iter - 1
        torch.cuda.set_sync_debug_mode("error" if is_inside else "default")


@pytest.mark.parametrize("mode", MODES)
def test_no_batch_of_validation_waits_for_the_device(mode):
    text = python_reference()[:6_000]
    dls = CharDataLoaders.from_text(text, bs=32, val_bs=16, valid="tail", device="cuda", **MODES[mode])
    learn = char_learner(dls, "rnn", n_hid=32, seed=0)
    try:
        fit(learn, cbs=ForbidWaitingInValidation())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert learn.training_log.rows[-1]["valid_loss"] < 5


@pytest.mark.parametrize("mode", MODES)
def test_batches_of_a_text_on_disk_are_those_of_a_text_in_memory(small, tmp_path, mode):
    (tmp_path / "a.txt").write_text(small, encoding="utf-8")

    def batches(text):
        dls = CharDataLoaders.from_text(text, bs=64, valid="tail", seed=1, device="cuda", **MODES[mode])
        return dls.train.seed(2)

    for (x, y), (disk_x, disk_y) in zip(batches(small), batches(encode_file(tmp_path / "a.txt"))):
        assert disk_x.is_cuda
        assert torch.equal(x, disk_x)
        assert torch.equal(y, disk_y)


SAMPLING = [dict(temperature=0.8, top_p=0.9, seed=3), dict(temperature=0.6, top_k=5, seed=4)]


@pytest.mark.parametrize("arch", list_archs())
def test_texts_and_scores_are_those_of_a_cpu_and_of_a_loaded_model(arch, tmp_path):
    learn = build(arch, "windows", "cuda")
    fit(learn)
    save_model(learn, tmp_path / "m")
    learn.path = tmp_path
    learn.export()
    on_cpu = load_model(tmp_path / "m", device="cpu")
    exported = load_learner(tmp_path / "export.pkl")
    on_gpu = load_model(tmp_path / "m", device="cuda")
    for other in (on_cpu, exported, on_gpu):
        for options in SAMPLING:
            text = str(other.generate("the value", 120, **options))
            assert text == str(learn.generate("the value", 120, **options))
        nll = other.score("the value of it").nll
        np.testing.assert_allclose(learn.score("the value of it").nll, nll, atol=1e-4)
    assert learn.predict_next("the value", n=40) == on_gpu.predict_next("the value", n=40)
    assert next(on_gpu.model.parameters()).is_cuda


def test_generating_and_evaluating_leave_the_random_state_of_the_gpu():
    learn = build("lstm", "streams", "cuda", dropout=True)
    fit(learn)
    before = torch.cuda.get_rng_state()
    learn.generate("the", 50, temperature=1.0)
    learn.evaluate(python_reference()[:2_000])
    assert torch.equal(before, torch.cuda.get_rng_state())


ARCHS = ["rnn", "gru", "lstm", "mullstm"]
UNSEEN = python_reference()[6_000:8_000]


def _equal_learners(arch):
    cpu = build(arch, "streams", "cpu")
    gpu = build(arch, "streams", "cuda")
    gpu.model.load_state_dict(cpu.model.state_dict())
    return cpu, gpu


@pytest.mark.parametrize("arch", ARCHS)
def test_evaluation_gives_the_numbers_of_a_cpu(arch):
    cpu, gpu = _equal_learners(arch)
    for by in ("windows", "chunks", "streams"):
        assert cpu.evaluate(UNSEEN, by=by, unk="skip") == pytest.approx(
            gpu.evaluate(UNSEEN, by=by, unk="skip"), abs=1e-4
        )
    adapted = dynamic_evaluation(gpu, UNSEEN, unk="skip")
    assert dynamic_evaluation(cpu, UNSEEN, unk="skip") == pytest.approx(adapted, abs=1e-3)
    probs, targs = cpu.get_preds()
    gpu_probs, gpu_targs = gpu.get_preds()
    assert torch.equal(targs, gpu_targs)
    assert (probs - gpu_probs).abs().max() < 1e-4


@pytest.mark.parametrize("arch", ARCHS)
def test_a_model_with_more_characters_trains_on_the_gpu(arch):
    learn = build(arch, "streams", "cuda")
    text = UNSEEN + "é"
    vocab = learn.dls.vocab.extended(text)
    dls = CharDataLoaders.from_text(text, vocab=vocab, bs=32, device="cuda", **MODES["streams"])
    extended = extend_vocab(learn, dls)
    assert fit(extended).isfinite().all()
    assert next(extended.model.parameters()).is_cuda


def test_the_best_recipe_trains_for_a_given_time():
    recipe = best_recipe(0.05, speed=200)
    learn = recipe.learner(recipe.dls(python_reference()[:60_000], device="cuda"))
    row = learn.fit_minutes(0.05, recipe.lr)
    assert row["valid_loss"] < 4.5
    assert row["epochs"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("arch", list_archs())
def test_a_compiled_model_has_equal_outputs_and_gradients(arch):
    learn = build(arch, "windows", "cuda")
    model = learn.model.cuda()
    x, y = learn.dls.one_batch()

    def run(m):
        model.zero_grad()
        out = m(x)
        learn.loss_func(out, y).backward()
        return out.detach(), *(p.grad.clone() for p in model.parameters())

    for compiled, plain in zip(run(torch.compile(model)), run(model)):
        torch.testing.assert_close(compiled, plain, atol=1e-5, rtol=1e-4)
    torch.compiler.reset()
