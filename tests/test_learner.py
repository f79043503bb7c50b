"""Each verb of fastai does its job on a `CharLearner`: not that it returns, but what it changes."""

import os
import subprocess
import sys
import warnings

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch
from fastai.basics import load_learner, set_seed
from fastai.callback.all import minimum, slide, steep, valley
from fastai.interpret import Interpretation

from fastai_charrnn.all import BitsPerChar, CharDataLoaders, CharNLLLoss, char_learner, to_bits
from fastai_charrnn.errors import ArchError, CharRnnWarning, DataError, UnknownCharError
from fastai_charrnn.recipes.lesson6 import pytorch_adam

matplotlib.use("Agg")


def quiet_fit(learn, *args, **kw):
    with learn.no_bar(), learn.no_logging():
        learn.fit(*args, **kw)
    return learn.training_log.rows


def weights(learn):
    return torch.cat([p.detach().flatten().clone() for p in learn.model.parameters()])


# training


def test_training_lowers_the_loss_far_below_chance(learn):
    first, *_, last = quiet_fit(learn, 3, 5e-3)
    assert last["valid_loss"] < first["valid_loss"] < torch.tensor(float(learn.dls.c)).log()
    assert last["accuracy"] > 0.3 and last["bits_per_char"] == pytest.approx(to_bits(last["valid_loss"]), rel=1e-4)


def test_fit_one_cycle_warms_up_and_anneals(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    lrs = learn.recorder.lrs
    assert max(lrs) == pytest.approx(1e-2, rel=0.01) and lrs[0] < 1e-3 and lrs[-1] < 1e-5


def test_lr_find_suggests_plots_and_leaves_the_model_as_it_was(learn):
    before = weights(learn)
    with learn.no_bar():
        found = learn.lr_find(suggest_funcs=(valley, slide, minimum, steep))
    assert all(1e-6 < lr < 10 for lr in found) and found._fields == ("valley", "slide", "minimum", "steep")
    assert torch.equal(before, weights(learn)) and learn.training_log.rows == []
    plt.close("all")
    learn.recorder.plot_lr_find()
    assert plt.gca().get_xscale() == "log" and len(plt.gca().lines[0].get_xdata()) > 50


def _split_warnings(work):
    "How often `work()` warns about a random split."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    return sum(issubclass(o.category, CharRnnWarning) and "shares characters" in str(o.message) for o in caught)


def _small_learner(small, **kw):
    return char_learner(CharDataLoaders.from_text(small[:5_000], bs=256, device="cpu", **kw), n_hid=8, seed=0)


def test_a_random_split_warns_once_a_learner(small):
    for _ in range(2):
        learn = _small_learner(small, valid="random")
        assert [_split_warnings(lambda: quiet_fit(learn, 2)) for _ in range(2)] == [1, 0]  # noqa: B023


@pytest.mark.parametrize("valid", ["tail", "blocks", "last", [5, 6]])
def test_other_splits_do_not_warn(small, valid):
    learn = _small_learner(small, valid=valid, seq_len=4)
    assert _split_warnings(lambda: quiet_fit(learn, 1)) == 0


@pytest.mark.parametrize(
    "work",
    [
        lambda learn: learn.validate(),
        lambda learn: learn.get_preds(),
        lambda learn: learn.lr_find(num_it=10, show_plot=False),
        lambda learn: learn.predict("the"),
    ],
    ids=["validate", "get_preds", "lr_find", "predict"],
)
def test_only_a_fit_warns_about_a_random_split(small, work):
    learn = _small_learner(small, valid="random")
    with learn.no_bar():
        assert _split_warnings(lambda: work(learn)) == 0
    assert _split_warnings(lambda: quiet_fit(learn, 1)) == 1


def test_the_losses_are_plotted(learn):
    quiet_fit(learn, 1)
    _, ax = plt.subplots()
    learn.recorder.plot_loss(skip_start=5, ax=ax)
    assert [len(line.get_ydata()) for line in ax.lines] == [len(learn.dls.train) - 5, 1]


def test_set_lrs_changes_the_rate_of_the_next_fit_and_keeps_the_moments(learn):
    quiet_fit(learn, 1, 1e-2)
    moments = [s["grad_avg"].clone() for s in (learn.opt.state[p] for p, *_ in learn.opt.all_params())]
    assert learn.set_lrs(1e-4) is learn
    kept = [s["grad_avg"] for s in (learn.opt.state[p] for p, *_ in learn.opt.all_params())]
    assert all(torch.equal(a, b) and a.abs().sum() > 0 for a, b in zip(moments, kept))
    quiet_fit(learn, 1)
    assert {r for r in learn.recorder.lrs} == {1e-4} and learn.training_log.rows[-1]["lr"] == 1e-4


def test_set_lrs_takes_a_slice_and_works_before_the_first_fit(learn):
    learn.set_lrs(slice(1e-4, 1e-3))
    quiet_fit(learn, 1)
    assert learn.recorder.lrs[-1] == 1e-3


def test_the_references_adam_is_pytorchs(learn, dls):
    ours = char_learner(dls, n_hid=16, seed=0, opt_func=pytorch_adam)
    theirs = char_learner(dls, n_hid=16, seed=0)
    dls.train.seed(0)
    quiet_fit(ours, 1, 1e-2)
    dls.train.seed(0)
    opt = torch.optim.Adam(theirs.model.parameters(), lr=1e-2)
    for x, y in dls.train:
        theirs.loss_func(theirs.model(x), y).backward()
        opt.step()
        opt.zero_grad()
    torch.testing.assert_close(weights(ours), weights(theirs), atol=2e-3, rtol=0)


def test_a_seed_fixes_weights_order_and_text(small):
    def run(before):
        torch.manual_seed(before)
        dls = CharDataLoaders.from_text(small, bs=512, valid="tail", device="cpu")
        learn = char_learner(dls, n_hid=32, seed=5)
        return quiet_fit(learn, 1)[0]["train_loss"], weights(learn), learn.predict_next("the", n=20)

    a, b = run(1), run(2)
    assert a[0] == b[0] and torch.equal(a[1], b[1]) and a[2] == b[2]


def test_fastais_set_seed_fixes_everything_too(small):
    def run():
        set_seed(9, reproducible=True)
        learn = char_learner(CharDataLoaders.from_text(small, bs=512, valid="tail", device="cpu"), n_hid=32)
        quiet_fit(learn, 1)
        return weights(learn)

    assert torch.equal(run(), run())


def test_making_a_learner_with_a_seed_leaves_the_global_random_state_alone(dls):
    state = torch.random.get_rng_state()
    char_learner(dls, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())


# predictions


def test_validate_is_the_mean_over_all_windows(trained):
    loss, acc, bpc = trained.validate()
    ds = trained.dls.valid_ds
    x, y = ds.batch(torch.arange(len(ds)))
    with torch.no_grad():
        out = trained.model.eval()(x)
    nll = -out[torch.arange(len(y)), y].mean().item()
    assert (loss, acc, bpc) == pytest.approx((nll, (out.argmax(-1) == y).float().mean().item(), to_bits(nll)), abs=1e-4)


def test_get_preds_gives_probabilities_in_the_order_of_the_text(trained):
    probs, targs = trained.get_preds()
    assert probs.shape == (len(trained.dls.valid_ds), trained.dls.c) and torch.allclose(
        probs.sum(1), torch.ones(len(probs)), atol=1e-4
    )
    assert torch.equal(targs, trained.dls.valid_ds.batch(torch.arange(len(targs)))[1])
    shuffled, back = trained.get_preds(dl=trained.dls.train.new(), with_loss=False)
    assert torch.equal(back, trained.dls.train_ds.batch(torch.arange(len(back)))[1])


def test_predict_is_fastais_triple(trained):
    char, index, probs = trained.predict("the valu")
    assert (
        isinstance(char, (str, tuple))
        and trained.dls.vocab[int(index)] == "".join(char) == trained.predict_next("the valu")
        and probs.argmax() == index
    )
    with pytest.raises(UnknownCharError):
        trained.predict("漢")
    only_padding = torch.zeros(1, 8, dtype=torch.int64)
    with torch.no_grad():
        likeliest = trained.model.eval()(only_padding).argmax()
    assert trained.predict("")[1] == likeliest


def test_show_results_shows_text_next_and_predicted(trained, capsys):
    with trained.no_bar():
        trained.show_results(max_n=4)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].split() == ["text", "next", "predicted"] and len(lines) == 5


def test_evaluate_scores_every_window_of_another_text(trained, small):
    text = small[:2_000]
    got = trained.evaluate(text)
    ids = torch.from_numpy(trained.dls.vocab.encode(text).astype("int64"))
    w = ids.unfold(0, 9, 1)
    with torch.no_grad():
        nll = trained.loss_func(trained.model.eval()(w[:, :8]), w[:, 8]).item()
    assert (
        got["loss"] == pytest.approx(nll, abs=1e-4)
        and list(got) == ["loss", "accuracy", "bits_per_char"]
        and got["bits_per_char"] == pytest.approx(to_bits(nll), abs=1e-3)
    )
    with pytest.raises(DataError, match="8 characters; one window of 8"):
        trained.evaluate("eight ch")
    with pytest.raises(UnknownCharError):
        trained.evaluate("漢" * 20)


def test_interpretation_finds_the_windows_with_the_largest_loss(trained, capsys):
    with trained.no_bar():
        interp = Interpretation.from_learner(trained)
    losses, idxs = interp.top_losses(3)
    all_losses = trained.get_preds(with_loss=True)[2]
    assert torch.allclose(losses, all_losses.topk(3)[0], atol=1e-4)
    capsys.readouterr()
    with trained.no_bar():
        interp.plot_top_losses(3)
    out = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert out[0].split() == ["text", "next", "predicted", "probability", "loss"] and f"{losses[0]:.2f}" in out[1]


def test_summary_counts_every_parameter(learn):
    s = str(learn.summary())
    total = sum(p.numel() for p in learn.model.parameters())
    assert (
        f"Total params: {total:,}" in s
        and "CharRnn (Input shape: 256 x 8)" in s
        and "emb (Embedding)" in s
        and "PredictNextCallback" in s
    )


@pytest.mark.parametrize("arch", ["lstm", "hawk", "ensemble"])
def test_summary_has_a_line_for_every_part_of_a_deep_model(arch, text):
    learn = char_learner(
        CharDataLoaders.from_text(text, device="cpu"), arch, n_hid=8, config=dict(n_layers=2) if arch != "hawk" else {}
    )
    rows = [line.split() for line in learn.summary().splitlines() if line.endswith((" True", " False"))]
    assert sum(int(r[-2].replace(",", "")) for r in rows) == sum(p.numel() for p in learn.model.parameters())
    modules = dict(learn.model.named_modules())
    assert all(r[1] == f"({type(modules[r[0]]).__name__})" for r in rows)
    inner = dict(lstm="upper.0.rnn", hawk="blocks.1.mlp", ensemble="members.2.inp.1")[arch]
    last = "members.0.out" if arch == "ensemble" else "out"
    assert {inner, last} <= {r[0] for r in rows}


# keeping


def test_save_and_load_bring_weights_and_optimizer_back(learn):
    quiet_fit(learn, 1)
    saved = weights(learn)
    learn.save("one")
    quiet_fit(learn, 1)
    assert not torch.equal(saved, weights(learn))
    learn.load("one")
    assert (
        torch.equal(saved, weights(learn)) and learn.opt.state[learn.opt.all_params()[0][0]]["grad_avg"].abs().sum() > 0
    )


def test_export_carries_no_text_and_generates_in_another_process(trained, tmp_path):
    trained.export(path := tmp_path / "model.pkl")
    assert path.stat().st_size < 2 * sum(p.numel() * 4 for p in trained.model.parameters()) + 60_000
    code = (
        f"import warnings; warnings.simplefilter('ignore')\nfrom fastai.learner import load_learner\nlearn = load_learner({str(path)!r})\n"
        "print(learn.predict_next('the valu', n=20), end='')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == trained.predict_next("the valu", n=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = load_learner(path)
    with again.no_bar(), pytest.raises(DataError, match="no text to train on"):
        again.fit(1)


# loss and metrics


def test_the_loss_has_what_fastai_asks_of_one():
    loss = CharNLLLoss()
    out = torch.randn(5, 3, 7).log_softmax(-1)
    y = torch.randint(7, (5, 3))
    assert loss(out, y) == pytest.approx(torch.nn.functional.nll_loss(out.flatten(0, 1), y.flatten()).item())
    assert (
        CharNLLLoss("none")(out, y).shape == (15,)
        and torch.allclose(loss.activation(out).sum(-1), torch.ones(5, 3))
        and torch.equal(loss.decodes(out), out.argmax(-1))
    )


def test_bits_per_char_counts_characters_not_batches():
    m = BitsPerChar()
    m.reset()

    class Fake:
        to_detach = staticmethod(lambda t: t)

    out = torch.randn(6, 4)
    y = torch.randint(4, (6,))
    for part in ((0, 5), (5, 6)):
        Fake.pred = out[slice(*part)]
        Fake.y = y[slice(*part)]
        m.accumulate(Fake)
    assert float(m.value) == pytest.approx(to_bits(torch.nn.functional.cross_entropy(out, y).item()), rel=1e-5)


# wrong input


@pytest.mark.parametrize(
    "kw,error,says",
    [
        (dict(arch="transformer"), ArchError, "no architecture is called 'transformer'; known: char3"),
        (dict(arch="char3"), ArchError, "windows of 3 characters and these dls have 8.*seq_len=3"),
        (dict(config=dict(layers=3)), ArchError, "CharRnn takes no argument layers; it takes vocab_sz"),
        (dict(prompts=["漢"]), UnknownCharError, "'漢'"),
        (dict(arch=3), ArchError, "neither"),
        (dict(n_hid=0), ArchError, "n_hid=0 is not a whole number of at least 1"),
        (dict(emb_sz="big"), ArchError, "emb_sz='big'"),
    ],
)
def test_wrong_arguments_are_typed_errors_before_any_work(dls, kw, error, says):
    with pytest.raises(error, match=says):
        char_learner(dls, **kw)


def test_config_is_not_changed(dls):
    config = dict(n_hid=20)
    assert char_learner(dls, config=config).model.n_hid == 20 and config == dict(n_hid=20)


def test_nothing_is_written_outside_the_learners_path(learn, tmp_path, monkeypatch):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    with learn.no_bar():
        learn.lr_find(show_plot=False)
    assert os.listdir(elsewhere) == []
