"""Decoders: which one a model needs, selecting rows, and what a copy of a model shares with it."""

import copy
import warnings

import plain_sampling as plain
import pytest
import torch
from small_models import Whole, build, lively, stateful

from fastai_charrnn.all import ArchError, CharLstm, CharRnn, CharRnnWarning
from fastai_charrnn.generation.decoders import SlidingWindowDecoder, StaggeredWindowDecoder, StatefulDecoder, decoder


@torch.no_grad()
def _sampled_with_pytorchs_gru(model, ids, n, uniforms):
    "Sample n indices, one step of PyTorch's layer for each character."
    (h,) = model.init_hidden(1)
    chars = []

    def read(index):
        return model.rnn(model.emb(torch.tensor([[index]])), h[None])[1][0]

    for index in ids:
        h = read(index)
    for _ in range(n):
        scores = model.log_probs((h,))[0, 1:].tolist()
        chars.append(1 + plain.draw(plain.divide_by_temperature(scores, 0.8), next(uniforms)))
        h = read(chars[-1])
    return chars


@pytest.mark.parametrize("prompt", ["", "x", "class definitions are longer than any window, the valu"])
def test_a_stateful_model_reads_the_whole_prompt_and_one_character_a_step(small, prompt):
    learn = stateful(small)
    vocab = learn.dls.vocab
    ids = vocab.encode(prompt).tolist()
    text = learn.generate(prompt, 60, seed=4)
    expected = _sampled_with_pytorchs_gru(copy.deepcopy(learn.model).double(), ids, 60, plain.uniforms(4, ids))
    assert text.new == vocab.decode(expected)
    scores = learn.score(text.text).log_probs[len(prompt) :]
    assert scores == pytest.approx(text.log_probs, abs=1e-5)


def test_predict_next_of_a_stateful_model_equals_generate_at_temperature_0(small):
    learn = stateful(small)
    # Without this `predict_next` may write padding, as lesson 6 may.
    learn.model.out.bias.data[0] = -99.0
    prompts = ["", "x", "class def"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CharRnnWarning)
        generated = [o.text for o in learn.generate(prompts, 30, temperature=0)]
        assert learn.predict_next(prompts, n=30) == generated
    most_likely = max(learn.next_probs("class def").values())
    assert learn.next_probs("class def", top=1) == pytest.approx({learn.predict_next("class def"): most_likely})


def test_each_kind_of_model_has_its_decoder(small):
    ids = torch.ones(2, 8, dtype=torch.int64)
    rnn = build(small, "rnn").model
    assert type(decoder(rnn, ids)) is StaggeredWindowDecoder
    assert type(decoder(Whole(rnn), ids)) is SlidingWindowDecoder
    assert type(decoder(stateful(small).model, ids)) is StatefulDecoder


@pytest.mark.parametrize("arch", ["lstm", "stateful", "whole"])
def test_rows_can_be_dropped_reordered_and_repeated(small, arch):
    learn = stateful(small) if arch == "stateful" else build(small, "lstm")
    model = Whole(learn.model).eval() if arch == "whole" else learn.model
    torch.manual_seed(0)
    ids = torch.randint(1, 30, (4, 8))
    rows = torch.tensor([2, 0, 2])
    chars = torch.randint(1, 30, (11, 4))
    with torch.inference_mode():
        selected = decoder(model, ids)
        expected = decoder(model, ids[rows])
        for c in chars[:5]:
            selected.feed(c)
            expected.feed(c[rows])
        selected.select(rows)
        for c in chars[5:]:
            selected.feed(c[rows])
            expected.feed(c[rows])
            torch.testing.assert_close(selected.log_probs(), expected.log_probs())


def test_a_model_that_makes_float32_states_is_run_in_float32(small):
    class Single(CharRnn):
        def init_hidden(self, bs):
            return (torch.zeros(bs, self.n_hid, dtype=torch.float32),)

    assert len(build(small, Single).generate("the", 30, seed=1).new) == 30


def test_a_step_that_returns_a_tensor_is_refused(small):
    class Bare(CharRnn):
        "Its step returns a tensor, as in version 0.1. Training does not use it."

        def step(self, inp, state):
            return super().step(inp, state)[0]

    with pytest.raises(ArchError, match=r"Bare must return a tuple of tensors, such as \(h,\), got Tensor"):
        build(small, Bare).generate("the", 5)


# the float64 copy


def _decoder_of_copy(model):
    return decoder(model, torch.ones(2, 8, dtype=torch.int64), exact=True)


def test_an_exact_decoder_has_a_copy_in_float64_and_evaluation_mode(small):
    model = lively(build(small, "rnn")).model.train()
    before = copy.deepcopy(model.state_dict())
    copied = _decoder_of_copy(model).model
    assert {p.dtype for p in copied.parameters()} == {torch.float64}
    assert not any(m.training for m in copied.modules())
    addresses = {p.data_ptr() for p in model.parameters()}
    assert not addresses & {p.data_ptr() for p in copied.parameters()}
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_copy_keeps_tied_weights_tied():
    copied = _decoder_of_copy(CharLstm(30, 16, 16, tie_weights=True)).model
    assert copied.out.weight is copied.emb.weight


def test_a_copy_shares_hooks_and_does_not_copy_what_they_refer_to(small):
    class Counter:
        "Counts calls. It cannot be copied, like a hook that holds a learner with open files."

        n_calls = 0

        def __deepcopy__(self, memo):
            raise AssertionError("copied")

        def count(self, module, inputs, output):
            self.n_calls += 1

    learn = build(small, "rnn")
    counter = Counter()
    learn.model.out.register_forward_hook(counter.count)
    learn.generate("the", 5, seed=1)
    assert counter.n_calls >= 5
