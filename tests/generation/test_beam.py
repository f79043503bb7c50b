"""Beam search finds what an exhaustive search finds."""

import functools
import itertools

import numpy as np
import pytest
import torch
from small_models import CarriedGru

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.errors import GenerationError


def build(arch, seed=0):
    "A small learner over four characters, with weights so large that probabilities differ."
    dls = CharDataLoaders.from_text("abcd" * 20, seq_len=3, bs=16, valid="tail", device="cpu")
    learn = char_learner(dls, arch, n_hid=12, emb_sz=6, seed=seed)
    for p in learn.model.parameters():
        p.data *= 4
    return learn


def log_prob_by(learn, prompt):
    "A function that gives the log-probability of a text after `prompt`. Each `next_probs` is asked for once."
    next_probs = functools.cache(learn.next_probs)
    return lambda text: sum(np.log(next_probs(prompt + text[:i])[char]) for i, char in enumerate(text))


def search_all(learn, prompt, n, stop=None):
    "Every continuation and its log-probability, most likely first."
    found = {}
    log_prob = log_prob_by(learn, prompt)
    for chars in itertools.product("abcd", repeat=n):
        text = "".join(chars)
        if stop and stop in text:
            text = text[: text.index(stop) + len(stop)]
        if text not in found:
            found[text] = log_prob(text)
    return sorted(found.items(), key=lambda item: -item[1])


def log_probs(texts):
    return [text.log_prob for text in texts]


@pytest.mark.parametrize("arch", ["char3", "loop", "concat", "rnn", "gru", "lstm", CarriedGru])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_wide_beam_finds_the_most_likely_texts_of_all(arch, seed):
    learn = build(arch, seed)
    for prompt, n in (("", 3), ("abdca", 4)):
        width = 4 ** (n - 1)
        expected = search_all(learn, prompt, n)[:width]
        found = learn.generate(prompt, n, beam=width)
        assert len(found) == width
        assert [o.new for o in found] == [text for text, _ in expected]
        assert log_probs(found) == pytest.approx([lp for _, lp in expected], abs=1e-4)
        assert all(o.seed is None for o in found)
        assert all(o.text == prompt + o.new for o in found)


@pytest.mark.parametrize("stop", ["b", "ca"])
def test_texts_that_have_ended_compete_with_longer_ones(stop):
    learn = build("rnn")
    expected = search_all(learn, "ad", 4, stop)
    found = learn.generate("ad", 4, beam=400, stop=stop)
    assert [o.new for o in found] == [text for text, _ in expected]
    assert log_probs(found) == pytest.approx([lp for _, lp in expected], abs=1e-4)
    by_function = learn.generate("ad", 4, beam=400, stop=lambda text: text.endswith(stop))
    assert by_function[0].new == expected[0][0]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_narrow_beam_returns_texts_with_their_log_probabilities_in_order(k):
    learn = build("lstm")
    log_prob = log_prob_by(learn, "abd")
    found = learn.generate("abd", 5, beam=k)
    assert len({o.new for o in found}) == k
    assert log_probs(found) == pytest.approx([log_prob(o.new) for o in found], abs=1e-4)
    assert log_probs(found) == sorted(log_probs(found), reverse=True)
    for o in found:
        scored = learn.score("abd" + o.new).log_probs[3:]
        assert o.log_probs.sum() == pytest.approx(scored.sum(), abs=1e-4)


def test_results_are_reproducible_and_do_not_depend_on_other_prompts():
    learn = build("rnn")
    texts = [o.text for o in learn.generate(["ab", "d"], 6, beam=3)]
    assert texts == [o.text for o in learn.generate(["ab", "d"], 6, beam=3)]
    assert texts == [o.text for prompt in ("ab", "d") for o in learn.generate(prompt, 6, beam=3)]


def test_a_beam_finds_a_text_at_least_as_likely_as_the_greedy_one():
    learn = build("rnn")
    greedy = learn.score(learn.predict_next("ab", n=6)).log_probs[2:].sum()
    assert learn.generate("ab", 6, beam=64)[0].log_prob >= greedy - 1e-4


def test_a_beam_wider_than_the_number_of_texts_returns_all_texts():
    learn = build("rnn")
    assert len(learn.generate("a", 1, beam=50)) == 4
    assert len(learn.generate("a", 0, beam=50)) == 1


def test_a_seed_is_an_error_because_a_beam_draws_nothing():
    pytest.raises(GenerationError, build("rnn").generate, "a", 3, beam=2, seed=1)


def test_gradients_and_inference_mode_are_left_unchanged():
    learn = build("rnn")
    learn.generate("a", 3, beam=2)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
