"""Training and evaluation with windows, chunks and streams."""

import pytest
import torch
from model_checks import Bigram
from torch import nn
from training_modes import make_dls, quiet_fit

from fastai_charrnn.all import ArchError, Callback, ModelResetter, char_learner, human_numbers, load_model, save_model
from fastai_charrnn.io.generator import load_generator

five = pytest.mark.parametrize("arch", ["loop", "concat", "rnn", "gru", "lstm"])


@pytest.fixture(scope="module")
def numbers():
    return human_numbers()[:12000]


@five
@pytest.mark.parametrize("mode", ["next", "every", "streams"])
def test_all_architectures_learn_in_all_three_modes(arch, mode):
    config = dict(n_layers=2, output_p=0.1, layer_norm=True, tie_weights=True)
    dls = make_dls(mode, bs=64 if mode == "next" else 16)
    learn = quiet_fit(char_learner(dls, arch, n_hid=32, emb_sz=32, config=config, seed=0), 2, 5e-3)
    last = learn.training_log.rows[-1]
    assert last["valid_loss"] < 2.4
    assert last["bits_per_char"] == pytest.approx(last["valid_loss"] / 0.6931472, abs=1e-4)
    assert learn.predict_next("one tho", n=5).startswith("one tho")
    assert len(learn.generate("one", 30, seed=1).new) == 30


class KeepTrainLosses(Callback):
    "Keeps the losses of training, and validates in the middle of epochs if asked."

    order = 60

    def __init__(self, validate):
        self.validating = validate
        self.train_losses = []

    def after_batch(self):
        if not self.training:
            return
        self.train_losses.append(float(self.learn.loss.detach()))
        if self.validating and self.iter % 5 == 2:
            self.learn.validate()


@pytest.mark.parametrize("mode", ["every", "streams"])
def test_validating_in_mid_epoch_does_not_change_training(mode):
    "Weights, losses, record and random numbers are equal, with dropout on."
    results = []
    for validate in (False, True):
        learn = char_learner(make_dls(mode, bs=16), "lstm", n_hid=16, config=dict(n_layers=2, output_p=0.3), seed=0)
        cb = KeepTrainLosses(validate)
        torch.manual_seed(3)
        quiet_fit(learn, 2, cbs=cb)
        recorded = learn.recorder.values, [float(o) for o in learn.recorder.losses]
        results.append((cb.train_losses, recorded, [p.tolist() for p in learn.model.parameters()]))
    assert results[0] == results[1]
    assert len(results[0][0]) == 2 * len(learn.dls.train)


def test_the_state_is_carried_within_an_epoch_and_no_further():
    seen = []

    class Look(Callback):
        def before_batch(self):
            seen.append((self.iter, self.learn.model.state is None))

    learn = quiet_fit(char_learner(make_dls("streams", bs=16), "rnn", n_hid=16, seed=0), 2, cbs=Look())
    assert all(is_none == (k == 0) for k, is_none in seen)
    assert learn.model.state is None
    learn.validate()
    assert learn.model.state is None


def test_fastais_model_resetter_changes_nothing():
    def trained(cbs):
        return quiet_fit(char_learner(make_dls("streams", bs=16), "gru", n_hid=16, seed=0), cbs=cbs)

    a, b = trained([]), trained([ModelResetter()])
    assert all(torch.equal(p, q) for p, q in zip(a.model.parameters(), b.model.parameters()))


def test_losses_are_means_over_characters():
    "Also where the last batches of streams are smaller."
    learn = quiet_fit(char_learner(make_dls("streams", bs=16), "rnn", n_hid=16, seed=0))
    loss, acc, bits = learn.validate()
    nll = hits = 0
    learn.model.eval()
    with torch.no_grad():
        for x, y in learn.dls.valid:
            out = learn.model(x)
            nll += float(nn.functional.nll_loss(out.flatten(0, 1), y.flatten(), reduction="sum"))
            hits += int((out.argmax(-1) == y).sum())
    n = learn.dls.valid_ds.n_targets
    assert n == 1200
    assert loss == pytest.approx(nll / n, abs=1e-5)
    assert acc == pytest.approx(hits / n, abs=1e-6)
    assert bits == pytest.approx(loss / 0.6931472, abs=1e-5)


def test_windows_chunks_and_streams_have_their_own_losses(numbers):
    learn = quiet_fit(char_learner(make_dls("streams", bs=16), "lstm", n_hid=32, seed=0), 3)
    text = numbers[-1500:]
    got = {by: learn.evaluate(text, by=by) for by in ("windows", "chunks", "streams")}
    assert [list(o)[0] for o in got.values()] == ["windows_loss", "chunks_loss", "streams_loss"]
    streams_loss = got["streams"]["streams_loss"]
    # the mode of its data has the plain name
    assert streams_loss == pytest.approx(learn.evaluate(text)["loss"], abs=1e-6)
    # `score` carries the state too
    assert streams_loss == pytest.approx(-float(learn.score(text).log_probs[1:].mean()), abs=1e-4)
    assert streams_loss == pytest.approx(learn.evaluate(text, by="streams", bs=1)["streams_loss"], abs=1e-6)
    assert got["chunks"]["chunks_loss"] > streams_loss
    assert learn.model.seq_len is None
    assert learn.model.target == "every"


def test_a_model_of_windows_can_be_evaluated_on_streams(numbers):
    text = numbers[-1500:]
    learn = char_learner(make_dls("next", bs=64), "lstm", n_hid=16, seed=0)
    assert set(learn.evaluate(text)) == {"loss", "accuracy", "bits_per_char"}
    assert "streams_loss" in learn.evaluate(text, by="streams")
    with pytest.raises(ValueError, match=r'by must be "windows", "chunks" or "streams", got .rows.'):
        learn.evaluate(text, by="rows")


@five
def test_a_model_file_keeps_the_mode(numbers, arch, tmp_path):
    config = dict(n_layers=2, tie_weights=True, layer_norm=True)
    learn = quiet_fit(char_learner(make_dls("streams", bs=16), arch, n_hid=24, emb_sz=24, config=config, seed=0))
    path = save_model(learn, tmp_path / "m")
    loaded = load_model(path, device="cpu")
    assert loaded.model.seq_len is None
    assert loaded.model.target == "every"
    assert loaded.dls.stateful
    generator = load_generator(path, device="cpu")
    texts = {str(o.generate("one", 60, seed=1)) for o in (learn, loaded, generator)}
    assert len(texts) == 1
    assert loaded.evaluate(numbers[:2000]) == pytest.approx(learn.evaluate(numbers[:2000]), abs=1e-6)
    vocab = learn.dls.vocab
    trained_on = quiet_fit(load_model(path, dls=make_dls("streams", bs=16, vocab=vocab)))
    assert trained_on.model.out.weight is trained_on.model.emb.weight
    assert trained_on.training_log.rows[-1]["valid_loss"] < learn.training_log.rows[-1]["valid_loss"]
    with pytest.raises(ValueError, match="stateful=True, and dls have target='every', stateful=False"):
        load_model(path, dls=make_dls("every", bs=16, vocab=vocab))


@pytest.mark.parametrize("mode", ["every", "streams"])
def test_an_architecture_of_your_own_needs_only_a_table_and_a_step(mode):
    learn = quiet_fit(char_learner(make_dls(mode, bs=16), Bigram, n_hid=12, emb_sz=10, seed=0))
    assert learn.training_log.rows[-1]["accuracy"] > 0.2


def test_a_module_without_steps_cannot_carry_a_state():
    class Closed(nn.Module):
        def __init__(self, vocab_sz, emb_sz, n_hid):
            super().__init__()

    with pytest.raises(ArchError, match="Closed cannot carry its state"):
        char_learner(make_dls("streams", bs=16), Closed)
