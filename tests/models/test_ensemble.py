"""`ensemble`: several networks as one model. Its probabilities are the mean of theirs, its training is theirs side by side."""

import pytest
import torch
import torch.nn.functional as F
from oracles import step_by_step

from fastai_charrnn.all import (
    ArchError,
    CharDataLoaders,
    CharEnsemble,
    char_learner,
    get_arch,
    human_numbers,
    plot_embeddings,
)
from fastai_charrnn.models.build import build_model
from fastai_charrnn.recipes.optimizer import decay_groups

V = 30
archs = pytest.mark.parametrize(
    "arch", ["rnn", "concat", "lstm", "mullstm", "hawk"]
)  # a state of one tensor, of two, of more


def _model(arch, k=3, seq_len=None, **kw):
    torch.manual_seed(1)
    m = CharEnsemble(V, 7, 12, seq_len, arch=arch, n_models=k, **kw).double().eval()
    m.target = "every"
    return m


def _x(bs=4, n=9, seed=2):
    return torch.randint(V, (bs, n), generator=torch.Generator().manual_seed(seed))


def _alone(m, x):
    "What each member says by itself, (members, bs, n, V)."
    outs = []
    for o in m.members:
        o.target = "every"
        o.state = None
        outs.append(o(x))
    return torch.stack(outs)


@archs
def test_its_probability_is_the_mean_of_theirs(arch):
    m, x = _model(arch), _x()
    each = _alone(m, x)
    torch.testing.assert_close(m(x).exp(), each.exp().mean(0), atol=1e-12, rtol=0)
    assert all(not torch.allclose(each[0], o) for o in each[1:])  # they differ from the first


@archs
@pytest.mark.parametrize("k", [1, 2, 3])
def test_it_steps_as_it_reads_values_and_gradients(arch, k):
    m, x = _model(arch, k), _x()
    steps, whole = step_by_step(m, x), m(x)
    torch.testing.assert_close(steps, whole, atol=1e-10, rtol=0)
    w = torch.randn(steps.shape, dtype=steps.dtype)
    for a, b in zip(*(torch.autograd.grad((o * w).sum(), list(m.parameters())) for o in (steps, whole))):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)
    m.reset()
    torch.testing.assert_close(torch.cat([m(x[:, :4]), m(x[:, 4:])], 1), whole, atol=1e-10, rtol=0)


@archs
def test_a_window_is_the_same_read_at_once(arch):
    m, x = _model(arch, seq_len=9), _x()
    whole = m(x)[:, -1]
    m.target = "next"
    torch.testing.assert_close(m(x), whole, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    "arch,config", [("rnn", {}), ("mullstm", dict(output_p=0.0, hidden_p=0.0, embed_p=0.0))], ids=str
)
def test_in_training_its_loss_is_the_mean_of_their_losses(arch, config):
    "So that each has the gradient that it would have alone, over their number."
    m = _model(arch, seq_len=9, **config).train()
    x = _x()
    y = _x(seed=3)
    loss = lambda out: F.nll_loss(out.flatten(0, 1), y.flatten())
    loss(m(x)).backward()
    got = [p.grad.clone() for p in m.parameters()]
    m.zero_grad()
    each = [loss(o) for o in _alone(m, x)]
    torch.testing.assert_close(loss(m(x)), sum(each) / 3, atol=1e-12, rtol=0)
    sum(each).backward()
    for p, g in zip(m.parameters(), got):
        torch.testing.assert_close(p.grad / 3, g, atol=1e-12, rtol=0)


def test_it_is_never_worse_than_its_members_are_in_the_mean():
    "Jensen's inequality, and here strictly."
    text = human_numbers()[:12000]
    dls = CharDataLoaders.from_text(text, seq_len=16, bs=32, target="every", stateful=True, valid_pct=0.1, device="cpu")
    learn = char_learner(dls, "ensemble", n_hid=24, emb_sz=12, config=dict(arch="gru", n_models=3), seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2, 1e-2)
    ids = torch.from_numpy(dls.vocab.encode(text[-1000:]).astype("int64"))
    each = []
    with torch.no_grad():
        for m in learn.model.eval().members:
            each.append(float(F.nll_loss(m.head(m.forward_seq(ids[None, :-1], m.init_hidden(1))[0])[:, 0], ids[1:])))
    whole = learn.evaluate(text[-1000:], by="streams")["streams_loss"]
    assert max(each) < 2.6 and whole < sum(each) / 3 - 1e-3
    plot_embeddings(learn)  # the first one's
    learn.summary()


def test_a_seed_fixes_all_members():
    a, b = (build_model(CharEnsemble, V, dict(emb_sz=5, n_hid=6, arch="rnn"), 8, seed=3) for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters()))


def test_neither_embeddings_nor_read_outs_of_members_decay():
    m = _model("mullstm", 2)
    names = {id(p): k for k, p in m.named_parameters()}
    decays, rest = ([names[id(p)] for p in g] for g in decay_groups(m))
    assert decays == [f"members.{k}.{o}.0.weight" for k in (0, 1) for o in ("inp", "hid")]
    plain = {f"members.{k}.{o}.weight" for k in (0, 1) for o in ("emb", "out")}
    assert {k for k in rest if "bias" not in k} == plain


@pytest.mark.parametrize(
    "config,said",
    [
        (dict(n_models=0), "n_models=0 is not a whole number"),
        (dict(n_models=1.5), "n_models=1.5"),
        (dict(arch="char3"), "an ensemble of 'char3' cannot be made"),
        (dict(arch="ensemble"), "an ensemble of 'ensemble' cannot be made"),
        (dict(arch="gpt"), "no architecture is called 'gpt'"),
        (dict(arch="gru", hidden_p=0.1), "CharGru takes no argument hidden_p; it takes .*n_layers"),
        (dict(hidden_p=2.0), "hidden_p=2.0"),
        (dict(arch="gru", n_layers=0), "n_layers=0"),
    ],
    ids=str,
)
def test_what_cannot_be_one_says_so(config, said):
    with pytest.raises(ArchError, match=said):
        get_arch("ensemble").cls(V, 7, 12, **config)
