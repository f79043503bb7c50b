"""Prediction after every character: all architectures in all three modes, with layers and all options, equal to the layers written out."""

import copy

import pytest
import torch
from torch import nn

from fastai_charrnn.all import (
    ArchError,
    Callback,
    CharDataLoaders,
    CharModel,
    ModelResetter,
    char_learner,
    get_arch,
    human_numbers,
    list_archs,
    load_model,
    save_model,
)
from fastai_charrnn.io.generator import load_generator

five = pytest.mark.parametrize("arch", ["loop", "concat", "rnn", "gru", "lstm"])
V = 30


def _model(arch, seq_len=8, **kw):
    torch.manual_seed(1)
    m = get_arch(arch).cls(V, **dict(emb_sz=7, n_hid=16, seq_len=seq_len) | kw).double()
    m.target = "every"
    return m


def _x(bs=5, n=8, seed=2):
    return torch.randint(V, (bs, n), generator=torch.Generator().manual_seed(seed))


def _written_out(m, x):
    "The layers as the papers and the notebook have them, character by character."
    e = m.emb(x.t())
    for k, layer in enumerate((m, *m.upper)):
        if hasattr(layer, "rnn"):
            outs = layer.rnn(e)[0]
        else:
            h = torch.zeros(x.shape[0], m.n_hid, dtype=e.dtype)
            outs = []
            for c in e:
                if "Concat" in type(layer).__name__:
                    h = layer.hid(layer.inp(torch.cat([h, c], 1)).relu()).tanh()
                else:
                    h = layer.hid(h + layer.inp(c).relu()).tanh()
                outs.append(h)
            outs = torch.stack(outs)
        e = m.norms[k](outs) if len(m.norms) else outs
    return m.out(e).log_softmax(-1).transpose(0, 1)


@five
@pytest.mark.parametrize(
    "config",
    [
        {},
        dict(n_layers=2),
        dict(n_layers=3, layer_norm=True),
        dict(tie_weights=True, emb_sz=16),
        dict(identity=True, n_layers=2),
    ],
    ids=str,
)
def test_values_and_gradients_are_those_of_the_layers_written_out(arch, config):
    m = _model(arch, **config)
    plain, x = copy.deepcopy(m), _x()
    got, want = m(x), _written_out(plain, x)
    torch.testing.assert_close(got, want, atol=1e-10, rtol=0)
    w = torch.randn(got.shape, dtype=got.dtype)
    (got * w).sum().backward()
    (want * w).sum().backward()
    for (name, p), q in zip(m.named_parameters(), plain.parameters()):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-10, rtol=0, msg=name)


@five
@pytest.mark.parametrize("n_layers", [1, 2])
def test_the_last_of_every_is_next(arch, n_layers):
    m = _model(arch, n_layers=n_layers, layer_norm=True)
    every = m(_x())
    with m.reading("next", 8):
        torch.testing.assert_close(m(_x()), every[:, -1], atol=1e-12, rtol=0)


@five
@pytest.mark.parametrize("n_layers", [1, 2])
def test_a_carried_state_makes_two_batches_one(arch, n_layers):
    m = _model(arch, seq_len=None, n_layers=n_layers, layer_norm=True)
    x = _x(n=12)
    whole = m(x)
    m.reset()
    parts = torch.cat([m(x[:, :5]), m(x[:, 5:6]), m(x[:, 6:])], 1)
    torch.testing.assert_close(parts, whole, atol=1e-12, rtol=0)
    m.reset()
    m(x[:, :5])
    torch.testing.assert_close(m(x[:3, 5:]), whole[:3, 5:], atol=1e-12, rtol=0)  # a smaller batch is the first rows
    assert torch.equal(m(x), whole)  # a larger one has nothing to go on from
    assert not any(o.requires_grad for o in m.state)


@five
def test_stepping_is_reading(arch):
    m = _model(arch, n_layers=2, layer_norm=True, output_p=0.5).eval()
    x = _x()
    h = m.init_hidden(5)
    table = m.table()
    outs = []
    for c in x.t():
        h = m.step(table[c], h)
        outs.append(m.log_probs(h))
    torch.testing.assert_close(torch.stack(outs, 1), m(x), atol=1e-12, rtol=0)


@five
def test_dropout_is_for_training_alone(arch):
    m = _model(arch, n_layers=2, output_p=0.5)
    assert not torch.equal(m(_x()), m(_x())) and torch.equal(m.eval()(_x()), m(_x()))


def test_layer_drop_is_the_dropout_of_the_librarys_lstm():
    "Between layers alone, by the same masks for the same seed; `dropout` leaves out what is read out as well."
    m = _model("lstm", n_layers=3, layer_p=0.5).train()
    lib = nn.LSTM(7, 16, 3, dropout=0.5).double()
    x = _x()
    for k, layer in enumerate((m, *m.upper)):
        for name, p in layer.rnn.named_parameters():
            getattr(lib, name.replace("l0", f"l{k}")).data.copy_(p)
    torch.manual_seed(3)
    got = m(x)
    torch.manual_seed(3)
    want = m.out(lib(m.emb(x.t()))[0]).log_softmax(-1).transpose(0, 1)
    torch.testing.assert_close(got, want, atol=1e-12, rtol=0)
    assert not torch.equal(m(x), got) and torch.equal(m.eval()(x), m(x))
    one = _model("lstm", layer_p=0.5).train()
    assert torch.equal(one(x), one(x)) and _model("lstm", n_layers=2, output_p=0.3).layer_p == 0.3
    with pytest.raises(ArchError, match="layer_p=1.5 is not from 0 to below 1"):
        _model("gru", layer_p=1.5)


def test_identity_hands_the_state_on():
    m = _model("rnn", identity=True, n_layers=2)
    for layer in (m, *m.upper):
        assert torch.equal(layer.rnn.weight_hh_l0, torch.eye(16).double())
    m = _model("lstm", identity=True)
    assert torch.equal(m.rnn.weight_hh_l0[32:48], torch.eye(16).double()) and not torch.equal(
        m.rnn.weight_hh_l0[:16], torch.eye(16).double()
    )


@pytest.mark.parametrize("arch", [o for o in list_archs() if getattr(get_arch(o).cls, "fixed_seq_len", None) is None])
def test_a_batch_leaves_no_memory_behind(arch):
    "No graph keeps itself alive: the memory of a step is freed with it."
    m = get_arch(arch).cls(V, emb_sz=7, n_hid=256, seq_len=None)
    m.target = "every"

    def rss():
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * 4096

    def steps(k):
        for _ in range(k):
            m(_x(64, 32)).sum().backward()

    steps(5)
    before = rss()
    steps(15)
    assert (
        rss() - before < 80e6
    )  # what 15 steps keep while they run is 150 MB and more; the allocator may hold on to some


def test_options_that_do_not_go_together_are_said():
    for kw, words in (
        (dict(output_p=1), "output_p=1"),
        (dict(n_layers=0), "n_layers=0"),
        (dict(tie_weights=True), "pass emb_sz=16"),
    ):
        with pytest.raises(ArchError, match=words):
            _model("lstm", **kw)


# training


@pytest.fixture(scope="module")
def numbers():
    return human_numbers()[:12000]


def _dls(text, stateful, **kw):
    return CharDataLoaders.from_text(
        text, seq_len=16, bs=16, valid="tail", valid_pct=0.1, target="every", stateful=stateful, device="cpu", **kw
    )


def _fit(learn, epochs=1, lr=1e-2, **kw):
    with learn.no_bar(), learn.no_logging():
        learn.fit(epochs, lr, **kw)
    return learn


@five
@pytest.mark.parametrize("mode", ["next", "every", "streams"])
def test_all_architectures_learn_in_all_three_modes(numbers, arch, mode):
    if mode == "next":
        dls = CharDataLoaders.from_text(numbers, seq_len=8, bs=64, valid="tail", device="cpu")
    else:
        dls = _dls(numbers, mode == "streams")
    learn = _fit(
        char_learner(
            dls,
            arch,
            n_hid=32,
            emb_sz=32,
            config=dict(n_layers=2, output_p=0.1, layer_norm=True, tie_weights=True),
            seed=0,
        ),
        2,
        5e-3,
    )
    last = learn.training_log.rows[-1]["valid_loss"]
    assert last < 2.4 and learn.training_log.rows[-1]["bits_per_char"] == pytest.approx(last / 0.6931472, abs=1e-4)
    assert learn.predict_next("one tho", n=5).startswith("one tho") and len(learn.generate("one", 30, seed=1).new) == 30


class Losses(Callback):
    "Keeps the losses of training, and validates in the middle of epochs if asked."

    order = 60

    def __init__(self, validate):
        self.validating = validate
        self.kept = []

    def after_batch(self):
        if not self.training:
            return
        self.kept.append(float(self.learn.loss.detach()))
        if self.validating and self.iter % 5 == 2:
            self.learn.validate()


@pytest.mark.parametrize("stateful", [True, False])
def test_validating_in_mid_epoch_leaves_training_as_it_is(numbers, stateful):
    "Weights, losses, record and random numbers, with dropout on."
    got = []
    for on in (False, True):
        learn = char_learner(_dls(numbers, stateful), "lstm", n_hid=16, config=dict(n_layers=2, output_p=0.3), seed=0)
        cb = Losses(on)
        torch.manual_seed(3)
        _fit(learn, 2, cbs=cb)
        got.append(
            (
                cb.kept,
                learn.recorder.values,
                [float(o) for o in learn.recorder.losses],
                [p.tolist() for p in learn.model.parameters()],
            )
        )
    assert got[0] == got[1] and len(got[0][0]) == 2 * len(learn.dls.train)


def test_the_state_goes_on_within_an_epoch_and_no_further(numbers):
    seen = []

    class Look(Callback):
        def before_batch(self):
            seen.append((self.training, self.iter, self.learn.model.state is None))

    learn = _fit(char_learner(_dls(numbers, True), "rnn", n_hid=16, seed=0), 2, cbs=Look())
    assert all(none == (k == 0) for _, k, none in seen) and learn.model.state is None
    learn.validate()
    assert learn.model.state is None


def test_fastais_model_resetter_changes_nothing(numbers):
    a, b = (
        _fit(char_learner(_dls(numbers, True), "gru", n_hid=16, seed=0), cbs=cbs) for cbs in ([], [ModelResetter()])
    )
    assert all(torch.equal(p, q) for p, q in zip(a.model.parameters(), b.model.parameters()))


def test_losses_count_characters(numbers):
    "The validation loss is the mean over characters though the last batches of streams are smaller."
    learn = _fit(char_learner(_dls(numbers, True), "rnn", n_hid=16, seed=0))
    loss, acc, bits = learn.validate()
    nll = hits = 0
    learn.model.eval()
    with torch.no_grad():
        for x, y in learn.dls.valid:
            out = learn.model(x)
            nll += float(nn.functional.nll_loss(out.flatten(0, 1), y.flatten(), reduction="sum"))
            hits += int((out.argmax(-1) == y).sum())
    n = learn.dls.valid_ds.n_targets
    assert (
        n == 1200
        and loss == pytest.approx(nll / n, abs=1e-5)
        and acc == pytest.approx(hits / n, abs=1e-6)
        and bits == pytest.approx(loss / 0.6931472, abs=1e-5)
    )


def test_windows_chunks_and_streams_are_told_apart(numbers):
    learn = _fit(char_learner(_dls(numbers, True), "lstm", n_hid=32, seed=0), 3)
    text = numbers[-1500:]
    got = {by: learn.evaluate(text, by=by) for by in ("windows", "chunks", "streams")}
    assert [list(o)[0] for o in got.values()] == ["windows_loss", "chunks_loss", "streams_loss"]
    assert got["streams"]["streams_loss"] == pytest.approx(
        learn.evaluate(text)["loss"], abs=1e-6
    )  # its own way, by the plain name
    assert got["streams"]["streams_loss"] == pytest.approx(
        -float(learn.score(text).log_probs[1:].mean()), abs=1e-4
    )  # score carries the state too
    assert got["streams"]["streams_loss"] == pytest.approx(
        learn.evaluate(text, by="streams", bs=1)["streams_loss"], abs=1e-6
    )
    assert got["chunks"]["chunks_loss"] > got["streams"]["streams_loss"]
    assert learn.model.seq_len is None and learn.model.target == "every"
    windows = char_learner(CharDataLoaders.from_text(numbers, seq_len=8, bs=64, device="cpu"), "lstm", n_hid=16, seed=0)
    assert set(windows.evaluate(text)) == {"loss", "accuracy", "bits_per_char"} and "streams_loss" in windows.evaluate(
        text, by="streams"
    )
    with pytest.raises(ValueError, match=r'by must be "windows", "chunks" or "streams", got .rows.'):
        learn.evaluate(text, by="rows")


@five
def test_a_file_keeps_how_a_model_reads(numbers, arch, tmp_path):
    learn = _fit(
        char_learner(
            _dls(numbers, True),
            arch,
            n_hid=24,
            emb_sz=24,
            config=dict(n_layers=2, tie_weights=True, layer_norm=True),
            seed=0,
        )
    )
    path = save_model(learn, tmp_path / "m")
    again = load_model(path, device="cpu")
    assert again.model.seq_len is None and again.model.target == "every" and again.dls.stateful
    assert len({str(o.generate("one", 60, seed=1)) for o in (learn, again, load_generator(path, device="cpu"))}) == 1
    assert again.evaluate(numbers[:2000]) == pytest.approx(learn.evaluate(numbers[:2000]), abs=1e-6)
    more = _fit(load_model(path, dls=_dls(numbers, True, vocab=learn.dls.vocab)))
    assert (
        more.model.out.weight is more.model.emb.weight
        and more.training_log.rows[-1]["valid_loss"] < learn.training_log.rows[-1]["valid_loss"]
    )
    with pytest.raises(ValueError, match="stateful=True, and dls have target='every', stateful=False"):
        load_model(path, dls=_dls(numbers, False, vocab=learn.dls.vocab))


def test_an_architecture_of_ones_own_needs_no_more_than_a_step(numbers):
    class Bigram(CharModel):
        "Only the last character counts."

        def table(self):
            return self.emb.weight

        def step(self, inp, state):
            return (nn.functional.pad(inp, (0, self.n_hid - self.emb_sz)),)

    for stateful in (False, True):
        learn = _fit(char_learner(_dls(numbers, stateful), Bigram, n_hid=12, emb_sz=10, seed=0))
        assert learn.training_log.rows[-1]["accuracy"] > 0.2

    class Closed(nn.Module):
        def __init__(self, vocab_sz, emb_sz, n_hid):
            super().__init__()

    with pytest.raises(ArchError, match="Closed cannot carry its state"):
        char_learner(_dls(numbers, True), Closed)


@pytest.mark.gpu
@five
@pytest.mark.parametrize("n_layers", [1, 2])
def test_the_same_on_the_gpu(arch, n_layers):
    m = _model(arch, seq_len=None, n_layers=n_layers, layer_norm=True)
    there = copy.deepcopy(m).cuda()
    x = _x(n=12)
    for o, at in ((m, x), (there, x.cuda())):
        torch.cat([o(at[:, :5]), o(at[:, 5:])], 1)[:, :, 1].sum().backward()
    for p, q in zip(there.parameters(), m.parameters()):
        torch.testing.assert_close(p.grad.cpu(), q.grad, atol=1e-10, rtol=0)
