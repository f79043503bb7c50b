"""Models that compute in tiles: a row has the same bits in every batch, and the numbers are those of the model."""

import pytest
import torch
from small_models import build

from fastai_charrnn.all import CharRnn, get_arch
from fastai_charrnn.generation import beginning_states
from fastai_charrnn.generation.decoders import StaggeredWindowDecoder
from fastai_charrnn.generation.text_decoder import SharedWindowDecoder, text_decoder
from fastai_charrnn.generation.tiles import TileSizes, tiled_copy
from fastai_charrnn.models.inference import fast_log_probs, fast_step

V = 30
CONFIGS = [
    ("loop", {}),
    ("concat", {}),
    ("rnn", {}),
    ("gru", {}),
    ("lstm", {}),
    ("mullstm", {}),
    ("ensemble", dict(arch="gru", n_models=2)),
    ("loop", dict(n_layers=2)),
    ("concat", dict(n_layers=2)),
    ("gru", dict(n_layers=2, layer_norm=True)),
    ("lstm", dict(n_layers=3, output_p=0.5)),
]


def _model(name, /, n_hid=32, **config):
    torch.manual_seed(0)
    model = get_arch(name).cls(V, 16, n_hid, 8, **config).eval()
    for p in model.parameters():
        p.data *= 2
    return model


def _tiled(model):
    tiled = tiled_copy(model)
    if tiled is None:
        pytest.skip("on this CPU a row of a tile depends on its place")
    return tiled


def _inputs(model, n):
    generator = torch.Generator().manual_seed(1)
    inp = model.table()[torch.randint(V, (n,), generator=generator)]
    return inp, tuple(torch.rand(o.shape, generator=generator) * 2 - 1 for o in model.init_hidden(n))


def _same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize(("arch", "config"), CONFIGS, ids=str)
@torch.inference_mode()
def test_a_row_has_the_same_bits_in_every_batch(arch, config):
    model = _tiled(_model(arch, **config))
    inp, state = _inputs(model, 300)
    all_states = model.step(inp.clone(), state)
    all_log_probs = model.log_probs(all_states)
    for start, n in [(299, 1), (5, 2), (3, 7), (0, 16), (17, 33), (150, 100), (1, 299)]:
        rows = slice(start, start + n)
        states = model.step(inp[rows].clone(), tuple(o[rows] for o in state))
        assert _same(states, [o[rows] for o in all_states])
        assert torch.equal(model.log_probs(states), all_log_probs[rows])


@pytest.mark.parametrize(("arch", "config"), CONFIGS, ids=str)
@torch.inference_mode()
def test_fast_steps_equal_the_steps_of_the_model(arch, config):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        model = _model(arch, **config).to(dtype)
        inp, state = _inputs(model, 5)
        state = tuple(o.to(dtype) for o in state)
        before = [o.clone() for o in state]
        expected = model.step(inp, state)
        new = fast_step(model)(inp.clone(), state)
        torch.testing.assert_close(new, expected, atol=tolerance, rtol=tolerance)
        assert _same(before, state)
        torch.testing.assert_close(
            fast_log_probs(model)(expected), model.log_probs(expected), atol=tolerance, rtol=tolerance
        )


def test_a_replaced_layer_or_method_is_called():
    class Doubled(CharRnn):
        def cell(self, inp, state):
            return super().cell(2 * inp, state)

        def head(self, outs):
            return super().head(3 * outs)

    class Half(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) / 2

    replaced = _model("rnn")
    replaced.out = Half(32, V)
    for model in (Doubled(V, 16, 32).eval(), replaced):
        with torch.inference_mode():
            inp, state = _inputs(model, 3)
            new = fast_step(model)(inp.clone(), state)
            torch.testing.assert_close(new, model.step(inp, state))
            torch.testing.assert_close(fast_log_probs(model)(new), model.log_probs(new))


def test_models_whose_rows_depend_on_each_other_have_no_tiles(small):
    class Centred(CharRnn):
        def step(self, inp, state):
            (h,) = super().step(inp, state)
            return (h - h.mean(0),)

    class Noisy(CharRnn):
        def step(self, inp, state):
            (h,) = super().step(inp, state)
            return (h + torch.randn_like(h),)

    for cls in (Centred, Noisy):
        assert tiled_copy(cls(V, 16, 32).eval()) is None
        assert len(build(small, cls).generate("the", 30, seed=1).new) == 30


def test_models_with_hooks_or_in_float64_have_no_tiles():
    assert tiled_copy(_model("rnn").double()) is None
    assert tiled_copy(torch.nn.Linear(2, 2)) is None
    hooked = _model("rnn")
    hooked.out.register_forward_hook(lambda *_: None)
    assert tiled_copy(hooked) is None


@pytest.mark.parametrize("n_hid", [1, 7, 25, 100])
@torch.inference_mode()
def test_odd_sizes_have_equal_bits_or_no_tiles(n_hid):
    model = tiled_copy(_model("gru", n_hid))
    if model is not None:
        inp, state = _inputs(model, 90)
        (h,) = model.step(inp.clone(), state)
        for n in (1, 20, 89):
            assert torch.equal(model.step(inp[:n].clone(), tuple(o[:n] for o in state))[0], h[:n])


class _Sizes(TileSizes):
    "Sizes that suit, without a model."

    def __init__(self, sizes):
        self.sizes = sizes

    def suits(self, steps, size):
        return size in self.sizes


def test_batches_are_divided_into_tiles_that_suit():
    every = _Sizes([2, 4, 8, 16, 32, 64, 128, 256])
    plans = {n: every.plan(None, n) for n in (0, 1, 9, 100, 130, 256, 600)}
    assert plans == {0: [], 1: [2], 9: [16], 100: [128], 130: [128, 2], 256: [256], 600: [256, 256, 64, 32]}
    assert _Sizes([16]).plan(None, 40) == [16, 16, 16]
    assert _Sizes([16, 64]).plan(None, 150) == [64, 64, 16, 16]


# windows of many texts


@pytest.mark.parametrize("arch", ["concat", "lstm"])
@pytest.mark.parametrize(("keys", "numbers"), [(2**21, 2**24), (V**2, 2**24), (10, 2**24), (2**21, 2**13)])
@torch.inference_mode()
def test_shared_windows_equal_staggered_windows(arch, keys, numbers, monkeypatch):
    # beginnings of 3, 2 and 1 characters; states that are dropped because they take too much memory
    monkeypatch.setattr(beginning_states, "_max_keys", keys)
    monkeypatch.setattr(beginning_states, "_max_numbers", numbers)
    model = _tiled(_model(arch))
    torch.manual_seed(0)
    ids = torch.randint(0, V, (70, 8))
    shared, staggered = SharedWindowDecoder(model, ids), StaggeredWindowDecoder(model, ids)
    for k, c in enumerate(torch.randint(1, V, (30, 70))):
        assert torch.equal(shared.log_probs(), staggered.log_probs())
        n_rows = len(shared.log_probs())
        shared.feed(c[:n_rows])
        staggered.feed(c[:n_rows])
        if k == 15:
            shared.select(torch.tensor([3, 1, 69]))
            staggered.select(torch.tensor([3, 1, 69]))
    assert len(shared.log_probs()) == 3


def test_many_windows_are_shared_and_few_are_not():
    model = _model("rnn")
    _tiled(model)
    with torch.inference_mode():
        kinds = [type(text_decoder(model, torch.ones(n, 8, dtype=torch.int64))) for n in (1, 63, 64)]
    assert kinds == [StaggeredWindowDecoder, StaggeredWindowDecoder, SharedWindowDecoder]
