"""Every architecture computes what the notebook's layers compute, values and gradients; and the registry is a registry."""

import copy

import pytest
import torch
from oracles import ORACLES
from torch import nn

from fastai_charrnn.all import char_learner
from fastai_charrnn.errors import ArchError
from fastai_charrnn.models.base import CharModel
from fastai_charrnn.models.registry import _archs, get_arch, list_archs, register_arch

ours = pytest.mark.parametrize("arch", sorted(ORACLES))


def _model(arch, **kw):
    torch.manual_seed(1)
    return get_arch(arch).cls(30, **dict(emb_sz=7, n_hid=16) | kw).double()


def _x(m, bs=20):
    return torch.randint(30, (bs, m.seq_len or 8), generator=torch.Generator().manual_seed(2))


def test_all_architectures_are_tested():
    assert sorted([*ORACLES, "ensemble", "hawk", "mullstm"]) == list_archs()  # these three in test_deep.py


@ours
@pytest.mark.parametrize(
    "bs,n,kinds",
    [(1, 8, 30), (20, 8, 30), (300, 8, 30), (5, 1, 30), (5, 2, 30), (7, 8, 1), (64, 8, 2), (200, 3, 4), (200, 1, 4)],
)
def test_values_and_gradients_are_the_oracles(arch, bs, n, kinds):
    "Also where windows begin alike (few `kinds` of characters), so that what they share is computed once."
    m = _model(arch)
    plain = copy.deepcopy(m)
    x = _x(m, bs) % kinds
    if arch != "char3":
        x = x[:, :n]
    y = torch.randint(30, (bs,))
    for out in (m(x), ORACLES[arch](plain, x)):
        nn.functional.nll_loss(out, y).backward()
    torch.testing.assert_close(m(x), ORACLES[arch](plain, x), atol=1e-10, rtol=0)
    for (name, p), q in zip(m.named_parameters(), plain.parameters()):
        assert q.grad.abs().sum() > 0 or n == 1 and name in ("hid.weight", "inp.weight", "rnn.weight_hh_l0"), name
        torch.testing.assert_close(torch.zeros_like(p) if p.grad is None else p.grad, q.grad, atol=1e-10, rtol=0)


@ours
def test_called_with_n_tensors_as_the_reference_does(arch):
    m = _model(arch)
    x = _x(m)
    assert torch.equal(m(*x.t()), m(x))


@ours
def test_the_same_with_and_without_gradients(arch):
    m = _model(arch)
    x = _x(m)
    with torch.no_grad():
        plain = m(x)
    torch.testing.assert_close(m(x), plain, atol=1e-12, rtol=0)


@ours
def test_stepping_is_the_whole_window(arch):
    m = _model(arch)
    x, table = _x(m), m.table()
    h = m.init_hidden(len(x))
    for c in x.t():
        h = m.step(table[c], h)
    torch.testing.assert_close(m.log_probs(h), m(x), atol=1e-12, rtol=0)
    assert table.shape[0] == 30
    grads = [
        torch.autograd.grad(out.sum(), list(m.parameters()), allow_unused=True)
        for out in (m.log_probs(h)[:, 1], m(x)[:, 1])
    ]
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


@ours
def test_rows_of_a_batch_do_not_touch(arch):
    m = _model(arch)
    x = _x(m)
    torch.testing.assert_close(torch.cat([m(r[None]) for r in x]), m(x), atol=1e-12, rtol=0)


@ours
def test_any_window_but_char3s(arch):
    m = _model(arch)
    x = torch.randint(30, (4, 13))
    if arch == "char3":
        with pytest.raises(ValueError):
            m(x)
    else:
        torch.testing.assert_close(m(x), ORACLES[arch](m, x), atol=1e-10, rtol=0)


def test_char3_is_loop_of_three():
    a, b = _model("char3"), _model("loop", seq_len=3)
    b.load_state_dict(a.state_dict())
    assert torch.equal(a(_x(a)), b(_x(a)))


@pytest.mark.gpu
@ours
def test_the_same_values_and_gradients_on_the_gpu(arch):
    m = _model(arch)
    there = copy.deepcopy(m).cuda()
    x = _x(m)
    torch.testing.assert_close(there(x.cuda()).cpu(), m(x), atol=1e-10, rtol=0)
    for o, at in ((m, x), (there, x.cuda())):
        o(at)[:, 1].sum().backward()
    for p, q in zip(there.parameters(), m.parameters()):
        torch.testing.assert_close(p.grad.cpu(), q.grad, atol=1e-10, rtol=0)


# the registry


def test_unknown_names_list_the_known_ones():
    with pytest.raises(
        ArchError,
        match="no architecture is called 'rnnn'; known: char3, concat, ensemble, gru, hawk, loop, lstm, mullstm, rnn",
    ):
        get_arch("rnnn")
    with pytest.raises(ArchError, match="neither the name"):
        get_arch(3)


def test_taken_names_are_refused_and_registering_again_is_not():
    with pytest.raises(ArchError, match="'rnn' is taken by fastai_charrnn.models.rnn.CharRnn"):
        register_arch("rnn")(nn.Linear)
    old = get_arch("rnn")
    register_arch("rnn")(old.cls)
    assert old.registered and get_arch("rnn").registered  # learners made before can still be saved


class Bigram(CharModel):
    "Only the last character counts."

    def table(self):
        return self.emb.weight

    def step(self, inp, state):
        return (nn.functional.pad(inp, (0, self.n_hid - self.emb_sz)),)


def test_a_class_of_ones_own_trains_by_name_or_as_itself(dls):
    register_arch("bigram", n_hid=10)(Bigram)
    try:
        assert "bigram" in list_archs()
        for arch in ("bigram", Bigram):
            learn = char_learner(dls, arch, emb_sz=10, n_hid=12, seed=0)
            with learn.no_bar(), learn.no_logging():
                learn.fit(1, 1e-2)
            assert learn.training_log.rows[-1]["accuracy"] > 0.2 and len(learn.predict_next("the", n=5)) == 8
    finally:
        del _archs["bigram"]


def test_a_function_that_builds_any_module_works_too(dls):
    def pooled(vocab_sz, emb_sz, n_hid):
        class Pool(nn.Module):
            def __init__(self):
                super().__init__()
                self.emb = nn.Embedding(vocab_sz, emb_sz)
                self.out = nn.Linear(emb_sz, vocab_sz)

            def forward(self, x):
                return self.out(self.emb(x).mean(1)).log_softmax(-1)

        return Pool()

    learn = char_learner(dls, pooled, seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-2)
    assert len(learn.predict_next("the", n=5)) == 8


def test_what_an_architecture_lacks_is_said(dls):
    class Empty(CharModel):
        "Neither table nor step."

    with pytest.raises(NotImplementedError, match="Empty needs a method table"):
        char_learner(dls, Empty).model(dls.one_batch()[0])
