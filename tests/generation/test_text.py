"""`predict_next` and `next_probs` equal lesson 6 for every prompt, and leave the model and random states unchanged."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import get_next as plain_next
from oracles import get_next_n as plain_next_n

from fastai_charrnn.all import CharModel, CharRnn, char_learner, get_arch, get_next, get_next_n, list_archs
from fastai_charrnn.errors import UnknownCharError
from fastai_charrnn.generation.sampling import greedy_ids


@pytest.mark.parametrize("prompt", ["the valu", "class de", "        ", "of an ob"])
def test_predict_next_equals_lesson_6(trained, prompt):
    model = trained.model.eval()
    vocab = trained.dls.vocab.itos
    char = plain_next(model, vocab, prompt)
    assert trained.predict_next(prompt) == char
    assert get_next(trained, prompt) == char
    text = plain_next_n(model, vocab, prompt, 40)
    assert trained.predict_next(prompt, n=40) == text
    assert get_next_n(trained, prompt, 40) == text


@pytest.mark.parametrize("arch", [a for a in list_archs() if a != "char3"])
def test_every_architecture_equals_lesson_6(dls, arch):
    learn = char_learner(dls, arch, n_hid=16, seed=0)
    assert learn.predict_next("the valu", n=12) == plain_next_n(learn.model.eval(), dls.vocab.itos, "the valu", 12)


class WithoutSteps(torch.nn.Module):
    "A model without the step protocol, which has to read window by window."

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


def lively_model(cls, scale=6, **kw):
    "A model with weights so large that its texts vary."
    torch.manual_seed(0)
    model = cls(30, n_hid=32, emb_sz=20, **kw)
    for p in model.parameters():
        p.data *= scale
    return model


def random_ids(*lengths):
    "One row for each length, padded to 8 with index 0 on the left."
    rows = [torch.randint(1, 30, (k,)) for k in lengths]
    return torch.stack([torch.nn.functional.pad(row, (8 - len(row), 0)) for row in rows])


@pytest.mark.parametrize("arch", list_archs())
def test_staggered_windows_equal_a_sliding_window(arch):
    model = lively_model(get_arch(arch).cls)
    ids = random_ids(0, 2, 3, *[8] * 60)[:, -model.seq_len :]
    expected = greedy_ids(WithoutSteps(model), ids, 40, loops=False)
    assert torch.equal(greedy_ids(model, ids, 40, loops=False), expected)
    assert len(expected.unique()) > 5
    for row, expected_row in zip(ids, expected):
        assert torch.equal(greedy_ids(model, row[None], 40)[0], expected_row)


@pytest.mark.parametrize("arch", list_archs())
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 700])
def test_copied_loops_equal_computed_ones(arch, n):
    model = lively_model(get_arch(arch).cls, 3).double()
    ids = random_ids(0, 5, 8, 8)[:, -model.seq_len :]
    assert torch.equal(greedy_ids(model, ids, n), greedy_ids(model, ids, n, loops=False))


def test_a_loop_is_copied_instead_of_computed():
    model = lively_model(get_arch("rnn").cls, 1)
    n_steps = 0
    step = model.step

    def counted_step(inp, h):
        nonlocal n_steps
        n_steps += 1
        return step(inp, h)

    model.step = counted_step
    assert greedy_ids(model, random_ids(8), 100_000).shape == (1, 100_000)
    assert 0 < n_steps < 1000


class LearnedStart(CharRnn):
    "A tanh network whose initial state is a parameter."

    def layers(self, emb_sz, n_hid):
        super().layers(emb_sz, n_hid)
        self.h0 = torch.nn.Parameter(torch.randn(n_hid))

    def init_hidden(self, bs):
        return (self.h0.expand(bs, -1),)

    def start(self, inp):
        return self.step(inp, self.init_hidden(len(inp)))

    def encode(self, x):
        return CharModel.encode(self, x)


def test_a_learned_initial_state_is_used_in_every_window():
    model = lively_model(LearnedStart, 4)
    before = model.h0.detach().clone()
    ids = random_ids(8, 3)
    assert torch.equal(greedy_ids(model, ids, 40), greedy_ids(WithoutSteps(model), ids, 40, loops=False))
    assert torch.equal(before, model.h0)


def test_prompts_of_a_batch_are_continued_independently(trained):
    prompts = ["the valu", "", "class definitions are", "x"] * 5
    assert trained.predict_next(prompts, n=30) == [trained.predict_next(p, n=30) for p in prompts]
    assert trained.predict_next(prompts) == [trained.predict_next(p) for p in prompts]
    assert trained.predict_next([], n=3) == []
    known = [trained.predict_next(p, n=4) for p in ("val", "the")]
    assert trained.predict_next(["valé", "漢the"], n=4, unk="skip") == known


@settings(deadline=None, max_examples=25)
@given(st.text("the valu.", max_size=20), st.integers(0, 12))
def test_the_result_is_the_prompt_and_n_more_characters(trained, prompt, n):
    text = trained.predict_next(prompt, n=n)
    assert text.startswith(prompt)
    assert len(text) == len(prompt) + n
    if n:
        assert text[len(prompt)] == trained.predict_next(prompt)


def test_only_the_end_of_a_long_prompt_is_used(trained):
    long = trained.predict_next("something else entirely: the valu", n=9)
    assert long[-9:] == trained.predict_next("the valu", n=9)[-9:]


def test_short_prompts_are_padded_with_index_0(trained):
    vocab = trained.dls.vocab
    with torch.no_grad():
        padded = torch.tensor([[0] * 5 + vocab.encode("the").tolist()])
        probs = trained.model.eval()(padded).exp()[0]
    assert trained.next_probs("the")[" "] == pytest.approx(probs[vocab.o2i[" "]].item(), rel=1e-4)


def test_next_probs_has_all_characters_most_likely_first(trained):
    probs = trained.next_probs("the valu")
    assert sorted(probs) == sorted(trained.dls.vocab)
    assert sum(probs.values()) == pytest.approx(1, abs=1e-4)
    assert list(probs.values()) == sorted(probs.values(), reverse=True)
    assert next(iter(probs)) == trained.predict_next("the valu")
    assert list(trained.next_probs("the valu", top=3)) == list(probs)[:3]


def test_unknown_characters_are_named_with_code_point_position_and_nearest(trained):
    message = r"'é' \(U\+00E9\) at position 3 is not in the vocabulary \(nearest: 'e'\)"
    with pytest.raises(UnknownCharError, match=message) as e:
        trained.predict_next("valé and 漢", n=5)
    assert e.value.chars == ("é", "漢")
    assert e.value.positions == (3, 9)
    assert trained.predict_next("valé", n=5, unk="skip") == trained.predict_next("val", n=5)
    assert trained.predict_next("valé", n=5, unk="e") == trained.predict_next("vale", n=5)


def test_the_modes_of_modules_and_gradients_are_left_unchanged(trained):
    trained.model.train()
    # a part in another mode keeps it
    trained.model.emb.eval()
    trained.predict_next("the", n=5)
    trained.next_probs("the")
    with pytest.raises(UnknownCharError):
        trained.predict_next("漢")
    assert trained.model.training
    assert not trained.model.emb.training
    assert torch.is_grad_enabled()


def test_random_states_are_left_unchanged(trained):
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    torch_state = torch.random.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()
    python_state = random.getstate()
    trained.predict_next("the", n=5)
    trained.next_probs("the")
    assert torch.equal(torch_state, torch.random.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()
    assert python_state == random.getstate()
