"""`mullstm`, `hawk` and `ensemble`: character by character and all at once are the same, values and gradients; they learn, carry their state and write."""

import pytest
import torch
from oracles import step_by_step
from torch import nn

from fastai_charrnn.all import ArchError, CharDataLoaders, char_learner, get_arch, human_numbers, load_model, save_model
from fastai_charrnn.models.gated import lstm_steps
from fastai_charrnn.models.hawk import scan, scan_by_doubling

deep = pytest.mark.parametrize(
    "arch,config",
    [
        ("mullstm", {}),
        ("mullstm", dict(n_layers=3)),
        ("hawk", {}),
        ("hawk", dict(n_layers=1, n_mlp=5)),
        ("ensemble", {}),
        ("ensemble", dict(arch="hawk", n_models=2)),
    ],
    ids=str,
)
V = 30


def _model(arch, /, **kw):
    torch.manual_seed(1)
    m = get_arch(arch).cls(V, **dict(emb_sz=7, n_hid=16, seq_len=None) | kw).double()
    m.target = "every"
    for p in m.parameters():
        p.data.add_(torch.randn_like(p), alpha=0.1)
    return m


def _x(bs=5, n=11):
    return torch.randint(V, (bs, n), generator=torch.Generator().manual_seed(2))


@deep
def test_character_by_character_is_all_at_once(arch, config):
    m = _model(arch, **config).eval()
    x = _x()
    steps, whole = step_by_step(m, x), m(x)
    torch.testing.assert_close(steps, whole, atol=1e-10, rtol=0)
    w = torch.randn(steps.shape, dtype=steps.dtype)
    for name, a, b in zip(
        dict(m.named_parameters()), *(torch.autograd.grad((o * w).sum(), list(m.parameters())) for o in (steps, whole))
    ):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0, msg=name)


@deep
def test_a_carried_state_makes_two_batches_one(arch, config):
    m = _model(arch, **config).eval()
    x = _x()
    whole = m(x)
    m.reset()
    torch.testing.assert_close(torch.cat([m(x[:, :4]), m(x[:, 4:5]), m(x[:, 5:])], 1), whole, atol=1e-10, rtol=0)
    m.reset()
    m(x[:, :4])
    torch.testing.assert_close(m(x[:2, 4:]), whole[:2, 4:], atol=1e-10, rtol=0)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("n", [1, 2, 7, 16, 32])
def test_the_scan_by_doubling_is_the_scan(n, device):
    g = torch.Generator().manual_seed(n)
    ps = a, b, h = [
        torch.rand(*s, generator=g, dtype=torch.float64).to(device).requires_grad_()
        for s in ((n, 3, 4), (n, 3, 4), (3, 4))
    ]
    w = torch.rand(n, 3, 4, generator=g, dtype=torch.float64).to(device)

    def written_out(a, b, h):
        outs = [h]
        for x, y in zip(a, b):
            outs.append(x * outs[-1] + y)
        return torch.stack(outs[1:])

    for form in (scan, scan_by_doubling):
        got, want = form(*ps), written_out(*ps)
        torch.testing.assert_close(got, want, atol=1e-12, rtol=0)
        for p, q in zip(*(torch.autograd.grad((o * w).sum(), ps) for o in (got, want))):
            torch.testing.assert_close(p, q, atol=1e-12, rtol=0)


def test_the_scaled_lstm_is_the_loop_written_out():
    g = torch.Generator().manual_seed(0)
    inp, w, h, c, m = ps = [
        torch.randn(*s, generator=g, dtype=torch.float64).requires_grad_()
        for s in ((9, 3, 28), (28, 7), (3, 7), (3, 7), (9, 3, 7))
    ]
    got = lstm_steps(*ps)
    outs = []
    for x, k in zip(inp, m):
        i, f, z, o = (x + (h * k) @ w.t()).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * z.tanh()
        h = o.sigmoid() * c.tanh()
        outs.append(h)
    want = torch.stack(outs), h, c
    for a, b in zip(got, want):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    for a, b in zip(*(torch.autograd.grad(sum((t * (k + 1)).sum() for k, t in enumerate(o)), ps) for o in (got, want))):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


@pytest.mark.parametrize("arch", ["mullstm", "hawk", "ensemble"])
@pytest.mark.parametrize("mode", ["next", "every", "streams"])
def test_they_learn_and_write_in_all_modes_and_from_a_file(arch, mode, tmp_path):
    text = human_numbers()[:12000]
    kw = dict(seq_len=16, bs=32, valid="tail", valid_pct=0.1, device="cpu")
    dls = CharDataLoaders.from_text(
        text, **kw | (dict(seq_len=8) if mode == "next" else dict(target="every", stateful=mode == "streams"))
    )
    learn = char_learner(dls, arch, n_hid=32, emb_sz=24, config=dict(output_p=0.1), seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2, 1e-2)
    assert learn.training_log.rows[-1]["valid_loss"] < 2.3  # even odds: 3.0
    again = load_model(save_model(learn, tmp_path / "m"), device="cpu")
    assert str(again.generate("one", 40, seed=1)) == str(learn.generate("one", 40, seed=1)) and learn.predict_next(
        "one", n=9
    ) == again.predict_next("one", n=9)


@deep
def test_dropout_is_for_training_alone(arch, config):
    m = _model(arch, **config)
    m.seq_len = 8
    assert not torch.equal(m(_x()), m(_x())) and torch.equal(m.eval()(_x()), m(_x()))
    for k in ("output_p", "layer_p"):
        with pytest.raises(ArchError, match=f"{k}=1.5"):
            get_arch(arch).cls(V, **{k: 1.5})


@deep
def test_the_read_out_and_the_table_are_the_protocols(arch, config):
    m = _model(arch, **config)
    assert m.table().shape[0] == V and isinstance(m.out, nn.Linear) and all(len(o) == 3 for o in m.init_hidden(3))
