"""`ensemble`: its probabilities are the means of its members', and its loss in training is the mean of their losses."""

import pytest
import torch
import torch.nn.functional as F
from model_checks import V, assert_equal_gradients, random_windows
from oracles import step_by_step
from training_modes import make_dls

from fastai_charrnn.all import ArchError, CharEnsemble, char_learner, get_arch, human_numbers, plot_embeddings
from fastai_charrnn.models.build import build_model
from fastai_charrnn.recipes.optimizer import decay_groups

# states of one tensor and of two
archs = pytest.mark.parametrize("arch", ["rnn", "concat", "lstm", "mullstm"])


def _model(arch, n_models=3, seq_len=None, **kw):
    torch.manual_seed(1)
    model = CharEnsemble(V, 7, 12, seq_len, arch=arch, n_models=n_models, **kw).double().eval()
    model.target = "every"
    return model


def _windows(seed=2):
    return random_windows(4, 9, seed)


def _member_outputs(model, x):
    "The log-probabilities of each member, (members, bs, n, V)."
    outs = []
    for member in model.members:
        member.target = "every"
        member.state = None
        outs.append(member(x))
    return torch.stack(outs)


@archs
def test_its_probability_is_the_mean_of_the_members(arch):
    model, x = _model(arch), _windows()
    outs = _member_outputs(model, x)
    torch.testing.assert_close(model(x).exp(), outs.exp().mean(0), atol=1e-12, rtol=0)
    assert all(not torch.allclose(outs[0], other) for other in outs[1:])


@archs
@pytest.mark.parametrize("n_models", [1, 2, 3])
def test_steps_equal_the_sequence_in_values_and_gradients(arch, n_models):
    model, x = _model(arch, n_models), _windows()
    stepped, whole = step_by_step(model, x), model(x)
    torch.testing.assert_close(stepped, whole, atol=1e-10, rtol=0)
    weights = torch.randn(stepped.shape, dtype=stepped.dtype)
    assert_equal_gradients(model, (stepped * weights).sum(), (whole * weights).sum())
    model.reset()
    torch.testing.assert_close(torch.cat([model(x[:, :4]), model(x[:, 4:])], 1), whole, atol=1e-10, rtol=0)


@archs
def test_a_window_equals_the_last_of_a_sequence(arch):
    model, x = _model(arch, seq_len=9), _windows()
    last = model(x)[:, -1]
    model.target = "next"
    torch.testing.assert_close(model(x), last, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    "arch,config", [("rnn", {}), ("mullstm", dict(output_p=0.0, hidden_p=0.0, embed_p=0.0))], ids=str
)
def test_in_training_its_loss_is_the_mean_of_the_members_losses(arch, config):
    "Each member has the gradient that it would have by itself, divided by their number."
    model = _model(arch, seq_len=9, **config).train()
    x, y = _windows(), _windows(seed=3)

    def loss(out):
        return F.nll_loss(out.flatten(0, 1), y.flatten())

    loss(model(x)).backward()
    grads = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    losses = [loss(out) for out in _member_outputs(model, x)]
    torch.testing.assert_close(loss(model(x)), sum(losses) / 3, atol=1e-12, rtol=0)
    sum(losses).backward()
    for p, grad in zip(model.parameters(), grads):
        torch.testing.assert_close(p.grad / 3, grad, atol=1e-12, rtol=0)


def _stream_loss(model, ids):
    "The loss of a model that reads a text as one stream."
    outs, _ = model.forward_seq(ids[None, :-1], model.init_hidden(1))
    return float(F.nll_loss(model.head(outs)[:, 0], ids[1:]))


def test_its_loss_is_below_the_mean_of_the_members():
    "By Jensen's inequality."
    text = human_numbers()[:12000]
    dls = make_dls("streams", text)
    learn = char_learner(dls, "ensemble", n_hid=24, emb_sz=12, config=dict(arch="gru", n_models=3), seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2, 1e-2)
    ids = torch.from_numpy(dls.vocab.encode(text[-1000:]).astype("int64"))
    with torch.no_grad():
        losses = [_stream_loss(member, ids) for member in learn.model.eval().members]
    whole = learn.evaluate(text[-1000:], by="streams")["streams_loss"]
    assert max(losses) < 2.6
    assert whole < sum(losses) / 3 - 1e-3
    # these use the first member
    plot_embeddings(learn)
    learn.summary()


def test_a_seed_fixes_all_members():
    config = dict(emb_sz=5, n_hid=6, arch="rnn")
    a = build_model(CharEnsemble, V, config, 8, seed=3)
    b = build_model(CharEnsemble, V, config, 8, seed=3)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters()))


def test_embeddings_and_output_layers_of_members_do_not_decay():
    model = _model("mullstm", 2)
    names = {id(p): name for name, p in model.named_parameters()}
    decaying_names, other_names = [[names[id(p)] for p in group] for group in decay_groups(model)]
    assert decaying_names == [f"members.{k}.{layer}.0.weight" for k in (0, 1) for layer in ("inp", "hid")]
    expected = {f"members.{k}.{layer}.weight" for k in (0, 1) for layer in ("emb", "out")}
    assert {name for name in other_names if "bias" not in name} == expected


@pytest.mark.parametrize(
    "config,message",
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
def test_invalid_members_are_refused(config, message):
    with pytest.raises(ArchError, match=message):
        get_arch("ensemble").cls(V, 7, 12, **config)
