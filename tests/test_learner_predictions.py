"""Validation, evaluation, predictions, export and summary of a `CharLearner`."""

import subprocess
import sys
import warnings

import pytest
import torch
from fastai.basics import load_learner
from fastai.interpret import Interpretation

from fastai_charrnn.all import CharDataLoaders, char_learner, to_bits
from fastai_charrnn.errors import DataError, UnknownCharError


def _printed_lines(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line.strip()]


# losses


def test_validate_is_the_mean_over_all_windows(trained):
    loss, accuracy, bits_per_char = trained.validate()
    ds = trained.dls.valid_ds
    x, y = ds.batch(torch.arange(len(ds)))
    with torch.no_grad():
        log_probs = trained.model.eval()(x)
    nats = -log_probs[torch.arange(len(y)), y].mean().item()
    assert loss == pytest.approx(nats, abs=1e-4)
    assert accuracy == pytest.approx((log_probs.argmax(-1) == y).float().mean().item(), abs=1e-4)
    assert bits_per_char == pytest.approx(to_bits(nats), abs=1e-4)


def test_evaluate_scores_every_window_of_another_text(trained, small):
    text = small[:2_000]
    found = trained.evaluate(text)
    ids = torch.from_numpy(trained.dls.vocab.encode(text).astype("int64"))
    windows = ids.unfold(0, 9, 1)
    with torch.no_grad():
        nats = trained.loss_func(trained.model.eval()(windows[:, :8]), windows[:, 8]).item()
    assert list(found) == ["loss", "accuracy", "bits_per_char"]
    assert found["loss"] == pytest.approx(nats, abs=1e-4)
    assert found["bits_per_char"] == pytest.approx(to_bits(nats), abs=1e-3)


def test_evaluate_refuses_short_texts_and_unknown_characters(trained):
    with pytest.raises(DataError, match="8 characters; one window of 8 and its target need 9"):
        trained.evaluate("eight ch")
    with pytest.raises(DataError, match="1 characters; a character and its target need 2"):
        trained.evaluate("e", by="streams")
    with pytest.raises(UnknownCharError):
        trained.evaluate("漢" * 20)


def test_evaluate_refuses_an_unknown_mode(trained, small):
    with pytest.raises(DataError, match='by must be "windows", "chunks" or "streams", got \'rows\''):
        trained.evaluate(small[:99], by="rows")


def test_evaluate_does_not_change_how_the_model_reads(trained, small):
    before = trained.model.target, trained.model.seq_len, trained.dls.mode
    trained.evaluate(small[:999], by="streams")
    assert (trained.model.target, trained.model.seq_len, trained.dls.mode) == before
    assert before == ("next", 8, "windows")


# predictions


def test_get_preds_gives_probabilities_in_the_order_of_the_text(trained):
    probs, targets = trained.get_preds()
    assert probs.shape == (len(trained.dls.valid_ds), trained.dls.c)
    assert torch.allclose(probs.sum(1), torch.ones(len(probs)), atol=1e-4)
    assert torch.equal(targets, trained.dls.valid_ds.batch(torch.arange(len(targets)))[1])


def test_get_preds_restores_the_order_of_shuffled_windows(trained):
    _, targets = trained.get_preds(dl=trained.dls.train.new(), with_loss=False)
    assert torch.equal(targets, trained.dls.train_ds.batch(torch.arange(len(targets)))[1])


def test_show_results_shows_text_next_and_predicted(trained, capsys):
    with trained.no_bar():
        trained.show_results(max_n=4)
    lines = _printed_lines(capsys)
    assert lines[0].split() == ["text", "next", "predicted"]
    assert len(lines) == 5


def test_interpretation_finds_the_windows_with_the_largest_loss(trained, capsys):
    with trained.no_bar():
        interp = Interpretation.from_learner(trained)
    losses, _ = interp.top_losses(3)
    all_losses = trained.get_preds(with_loss=True)[2]
    assert torch.allclose(losses, all_losses.topk(3)[0], atol=1e-4)
    capsys.readouterr()
    with trained.no_bar():
        interp.plot_top_losses(3)
    lines = _printed_lines(capsys)
    assert lines[0].split() == ["text", "next", "predicted", "probability", "loss"]
    assert f"{losses[0]:.2f}" in lines[1]


# export


def _loaded(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_learner(path)


def test_export_holds_no_text(trained, tmp_path):
    path = tmp_path / "model.pkl"
    trained.export(path)
    assert path.stat().st_size < 2 * sum(p.numel() * 4 for p in trained.model.parameters()) + 60_000
    learn = _loaded(path)
    with learn.no_bar(), pytest.raises(DataError, match="no text to train on"):
        learn.fit(1)


def test_an_exported_learner_generates_in_another_process(trained, tmp_path):
    path = tmp_path / "model.pkl"
    trained.export(path)
    code = "import sys, warnings; warnings.simplefilter('ignore')\n"
    code += "from fastai.learner import load_learner\n"
    code += "print(load_learner(sys.argv[1]).predict_next('the valu', n=20), end='')"
    out = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert out.stdout == trained.predict_next("the valu", n=20)


# summary


def test_summary_counts_every_parameter(learn):
    text = str(learn.summary())
    total = sum(p.numel() for p in learn.model.parameters())
    assert f"Total params: {total:,}" in text
    assert "CharRnn (Input shape: 256 x 8)" in text
    assert "emb (Embedding)" in text
    assert "PredictNextCallback" in text


@pytest.mark.parametrize(
    "arch,config,parts",
    [
        ("lstm", dict(n_layers=2), {"upper.0.rnn", "out"}),
        ("ensemble", dict(n_layers=2), {"members.2.inp.1", "members.0.out"}),
    ],
)
def test_summary_has_a_line_for_every_part_of_a_deep_model(arch, config, parts, text):
    dls = CharDataLoaders.from_text(text[:20_000], device="cpu")
    learn = char_learner(dls, arch, n_hid=8, config=config)
    rows = [line.split() for line in learn.summary().splitlines() if line.endswith((" True", " False"))]
    counts = [int(row[-2].replace(",", "")) for row in rows]
    assert sum(counts) == sum(p.numel() for p in learn.model.parameters())
    modules = dict(learn.model.named_modules())
    assert all(row[1] == f"({type(modules[row[0]]).__name__})" for row in rows)
    assert parts <= {row[0] for row in rows}


def test_summary_says_which_weights_are_frozen(learn):
    learn.model.emb.weight.requires_grad_(False)
    text = str(learn.summary())
    assert [line for line in text.splitlines() if line.endswith(" False")][0].startswith("emb (Embedding)")
    assert f"Total non-trainable params: {learn.model.emb.weight.numel():,}" in text
