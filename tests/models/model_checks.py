"""What every architecture must do, as assertions that several test modules share."""

import torch
from oracles import step_by_step
from torch import nn

from fastai_charrnn.all import CharModel, get_arch

V = 30


class Bigram(CharModel):
    "A network of your own: only the last character counts."

    def table(self):
        return self.emb.weight

    def step(self, inp, state):
        return (nn.functional.pad(inp, (0, self.n_hid - self.emb_sz)),)


def make_model(arch, /, seq_len=None, **kw):
    "A small model in float64 that predicts after every character."
    torch.manual_seed(1)
    sizes = dict(emb_sz=7, n_hid=16, seq_len=seq_len)
    model = get_arch(arch).cls(V, **(sizes | kw)).double()
    model.target = "every"
    return model


def with_noise(model):
    "Change every weight, zeros and ones too, so that each has an effect."
    for p in model.parameters():
        p.data.add_(torch.randn_like(p), alpha=0.1)
    return model


def random_windows(bs=5, n=11, seed=2):
    return torch.randint(V, (bs, n), generator=torch.Generator().manual_seed(seed))


def assert_steps_equal_sequence(model, x):
    "Reading step by step and reading at once give equal values and gradients."
    stepped, whole = step_by_step(model, x), model(x)
    torch.testing.assert_close(stepped, whole, atol=1e-10, rtol=0)
    weights = torch.randn(stepped.shape, dtype=stepped.dtype)
    assert_equal_gradients(model, (stepped * weights).sum(), (whole * weights).sum())


def assert_equal_gradients(model, a, b, atol=1e-10):
    "Two scalars have equal gradients with respect to the model's weights."
    names = dict(model.named_parameters())
    weights = list(model.parameters())
    grads_a = torch.autograd.grad(a, weights, allow_unused=True)
    grads_b = torch.autograd.grad(b, weights, allow_unused=True)
    for name, grad_a, grad_b in zip(names, grads_a, grads_b):
        torch.testing.assert_close(grad_a, grad_b, atol=atol, rtol=0, msg=name)


def assert_state_is_carried(model, x, atol=1e-10):
    "Batches that continue each other are read like one. A smaller batch continues the first rows."
    whole = model(x)
    model.reset()
    parts = [model(x[:, :4]), model(x[:, 4:5]), model(x[:, 5:])]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=atol, rtol=0)
    model.reset()
    model(x[:, :4])
    torch.testing.assert_close(model(x[:2, 4:]), whole[:2, 4:], atol=atol, rtol=0)
    # a larger batch has no state to continue
    torch.testing.assert_close(model(x), whole, atol=atol, rtol=0)
    assert isinstance(model.state, tuple)
    assert not any(o.requires_grad for o in model.state)


def assert_dropout_is_for_training_only(model, x):
    model.seq_len = x.shape[1]
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def assert_protocol(model):
    "The table has a row for each character, and the state is a tuple of tensors with the rows of the batch."
    assert model.table().shape[0] == V
    assert isinstance(model.out, nn.Linear)
    state = model.init_hidden(3)
    assert isinstance(state, tuple)
    assert all(len(o) == 3 for o in state)


class ArchitectureTests:
    "Tests of any architecture. Subclasses parametrize `arch` and `config`."

    def test_steps_equal_the_sequence(self, arch, config):
        assert_steps_equal_sequence(with_noise(make_model(arch, **config)).eval(), random_windows())

    def test_a_carried_state_makes_two_batches_one(self, arch, config):
        assert_state_is_carried(with_noise(make_model(arch, **config)).eval(), random_windows())

    def test_dropout_is_for_training_only(self, arch, config):
        assert_dropout_is_for_training_only(with_noise(make_model(arch, **config)), random_windows())

    def test_the_protocol(self, arch, config):
        assert_protocol(with_noise(make_model(arch, **config)))


def assert_batches_keep_no_memory(arch):
    "The graph of a batch is freed with it."
    model = get_arch(arch).cls(V, emb_sz=7, n_hid=256, seq_len=None)
    model.target = "every"

    def train(n_batches):
        for _ in range(n_batches):
            model(random_windows(64, 32)).sum().backward()

    train(5)
    before = _resident_bytes()
    train(15)
    # The graphs of 15 batches take at least 150 MB. The allocator may keep some of what is freed.
    assert _resident_bytes() - before < 80e6


def _resident_bytes():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096
