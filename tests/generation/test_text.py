"""Next characters: the reference's, for every prompt, and without a trace in the model or any random state."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import get_next as plain_next
from oracles import get_next_n as plain_next_n

from fastai_charrnn.all import CharModel, CharRnn, char_learner, get_arch, get_next, get_next_n, list_archs
from fastai_charrnn.errors import DataError, UnknownCharError
from fastai_charrnn.generation.sampling import greedy_ids


def test_predict_next_is_the_references_get_next_n(trained):
    m = trained.model.eval()
    vocab = trained.dls.vocab.itos
    for prompt in ("the valu", "class de", "        ", "of an ob"):
        assert trained.predict_next(prompt) == get_next(trained, prompt) == plain_next(m, vocab, prompt)
        assert (
            trained.predict_next(prompt, n=40) == get_next_n(trained, prompt, 40) == plain_next_n(m, vocab, prompt, 40)
        )


@pytest.mark.parametrize("arch", [a for a in list_archs() if a != "char3"])
def test_every_architecture_continues(dls, arch):
    learn = char_learner(dls, arch, n_hid=16, seed=0)
    assert learn.predict_next("the valu", n=12) == plain_next_n(learn.model.eval(), dls.vocab.itos, "the valu", 12)


class Whole(torch.nn.Module):
    "A model without the step protocol: it is read window by window."

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


def _lively(cls, scale=6, **kw):
    "A model with weights so large that it writes lively texts."
    torch.manual_seed(0)
    model = cls(30, n_hid=32, emb_sz=20, **kw)
    for p in model.parameters():
        p.data *= scale
    return model


def _ids(*lengths):
    return torch.stack([torch.nn.functional.pad(torch.randint(1, 30, (k,)), (8 - k, 0)) for k in lengths])


@pytest.mark.parametrize("arch", list_archs())
def test_windows_in_flight_write_what_the_plain_sliding_window_writes(arch):
    model = _lively(get_arch(arch).cls)
    ids = _ids(0, 2, 3, *[8] * 60)[:, -model.seq_len :]
    plain = greedy_ids(Whole(model), ids, 40, loops=False)
    assert torch.equal(greedy_ids(model, ids, 40, loops=False), plain) and len(plain.unique()) > 5
    for row, want in zip(ids, plain):
        assert torch.equal(greedy_ids(model, row[None], 40)[0], want)


@pytest.mark.parametrize("arch", list_archs())
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 700])
def test_loops_are_copied_as_they_would_be_computed(arch, n):
    model = _lively(get_arch(arch).cls, 3).double()
    ids = _ids(0, 5, 8, 8)[:, -model.seq_len :]
    assert torch.equal(greedy_ids(model, ids, n), greedy_ids(model, ids, n, loops=False))


def test_after_a_loop_nothing_is_computed():
    model = _lively(get_arch("rnn").cls, 1)
    steps = []
    step = model.step
    model.step = lambda inp, h: steps.append(1) or step(inp, h)
    assert greedy_ids(model, _ids(8), 100_000).shape == (1, 100_000) and len(steps) < 1000


def test_a_learned_first_state_is_used_in_every_window():
    class Learned(CharRnn):
        "A tanh network whose first state is a parameter."

        def layers(self, emb_sz, n_hid):
            super().layers(emb_sz, n_hid)
            self.h0 = torch.nn.Parameter(torch.randn(n_hid))

        def init_hidden(self, bs):
            return self.h0.expand(bs, -1)

        def start(self, inp):
            return self.step(inp, self.init_hidden(len(inp)))

        def encode(self, x):
            return CharModel.encode(self, x)

    model = _lively(Learned, 4)
    before = model.h0.detach().clone()
    ids = _ids(8, 3)
    assert torch.equal(greedy_ids(model, ids, 40), greedy_ids(Whole(model), ids, 40, loops=False)) and torch.equal(
        before, model.h0
    )


def test_many_prompts_are_continued_as_each_alone(trained):
    prompts = ["the valu", "", "class definitions are", "x"] * 5
    assert trained.predict_next(prompts, n=30) == [trained.predict_next(p, n=30) for p in prompts]
    assert (
        trained.predict_next(prompts) == [trained.predict_next(p) for p in prompts]
        and trained.predict_next([], n=3) == []
    )
    assert trained.predict_next(["valé", "漢the"], n=4, unk="skip") == [
        trained.predict_next(p, n=4) for p in ("val", "the")
    ]


@settings(deadline=None, max_examples=25)
@given(st.text("the valu.", max_size=20), st.integers(0, 12))
def test_any_prompt_gives_itself_and_n_more(trained, prompt, n):
    out = trained.predict_next(prompt, n=n)
    assert out.startswith(prompt) and len(out) == len(prompt) + n
    assert out[len(prompt) : len(prompt) + 1] in (trained.predict_next(prompt), "")


def test_long_prompts_use_their_tail_and_short_ones_are_padded_with_index_0(trained):
    assert (
        trained.predict_next("something else entirely: the valu", n=9)[-9:]
        == trained.predict_next("the valu", n=9)[-9:]
    )
    with torch.no_grad():
        padded = trained.model.eval()(torch.tensor([[0] * 5 + trained.dls.vocab.encode("the").tolist()])).exp()[0]
    probs = trained.next_probs("the")
    assert probs[" "] == pytest.approx(padded[trained.dls.vocab.o2i[" "]].item(), rel=1e-4)


def test_next_probs_are_all_characters_likeliest_first(trained):
    probs = trained.next_probs("the valu")
    assert (
        sorted(probs) == sorted(trained.dls.vocab)
        and sum(probs.values()) == pytest.approx(1, abs=1e-4)
        and list(probs.values()) == sorted(probs.values(), reverse=True)
    )
    assert (
        next(iter(probs)) == trained.predict_next("the valu")
        and list(trained.next_probs("the valu", top=3)) == list(probs)[:3]
    )


def test_unknown_characters_are_named_with_code_point_position_and_nearest(trained):
    with pytest.raises(
        UnknownCharError, match=r"'é' \(U\+00E9\) at position 3 is not in the vocabulary \(nearest: 'e'\)"
    ) as e:
        trained.predict_next("valé and 漢", n=5)
    assert e.value.chars == ("é", "漢") and e.value.positions == (3, 9)
    assert trained.predict_next("valé", n=5, unk="skip") == trained.predict_next("val", n=5)
    assert trained.predict_next("valé", n=5, unk="e") == trained.predict_next("vale", n=5)


@pytest.mark.parametrize("n", [-1, 2.5])
def test_impossible_lengths_are_typed_errors(trained, n):
    with pytest.raises(DataError, match=f"n={n} is not a number of characters"):
        trained.predict_next("the", n=n)


def test_mode_gradients_and_random_states_are_as_before(trained):
    trained.model.train()
    trained.model.emb.eval()  # a part in another mode stays in it
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)  # noqa: E702
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    trained.predict_next("the", n=5)
    trained.next_probs("the")
    with pytest.raises(UnknownCharError):
        trained.predict_next("漢")
    assert trained.model.training and not trained.model.emb.training and torch.is_grad_enabled()
    assert (
        torch.equal(states[0], torch.random.get_rng_state())
        and (states[1] == np.random.get_state()[1]).all()
        and states[2] == random.getstate()
    )
