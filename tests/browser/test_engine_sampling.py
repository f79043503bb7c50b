"""The engine in JavaScript draws characters with the probabilities that `generate` draws them with."""

import numpy as np
import pytest
import torch
from engine_cases import case_learner, log_probs, packed

from fastai_charrnn.generation.filters import filter_scores
from fastai_charrnn.generation.options import GenerationConfig


@pytest.fixture(scope="module")
def sampled(run_js):
    "A learner, its log-probabilities after a text, and a function that draws from them in the browser."
    learn = case_learner(("rnn", {}, "windows"))
    scores = log_probs(learn, "The ")

    def draw(n, **options):
        script = """([logProbs, options, n]) => {
            const random = CharRNN.random(7);
            return Array.from({ length: n }, () => CharRNN.sample(logProbs, options, random));
        }"""
        return np.array(run_js(script, [scores.tolist(), options, n]))

    return learn, scores, draw


def _chi_square(counts, probs):
    "The statistic over classes of at least 5 expected draws, and the degrees of freedom. Rare ones are one class."
    order = np.argsort(-probs)
    counts, expected = counts[order], (probs * counts.sum())[order]
    n = max(int((expected >= 5).sum()), 1)
    counts = np.append(counts[:n], counts[n:].sum())
    expected = np.append(expected[:n], expected[n:].sum())
    if expected[-1] < 5:
        counts, expected = counts[:-1], expected[:-1]
    return ((counts - expected) ** 2 / expected).sum(), len(expected) - 1


@pytest.mark.parametrize("temperature, top_p", [(1, 1), (0.5, 1), (2, 1), (1, 0.9), (0.7, 0.6), (1.5, 0.95), (1, 0)])
def test_draws_have_the_probabilities_of_the_filters_in_python(sampled, temperature, top_p):
    _, scores, draw = sampled
    options = GenerationConfig(temperature=temperature, top_p=None if top_p == 1 else top_p)
    # padding is never chosen
    filtered = filter_scores(torch.from_numpy(scores[None, 1:]), options).softmax(-1)[0].numpy()
    counts = np.bincount(draw(5_000, temperature=temperature, topP=top_p), minlength=len(scores))
    assert counts[0] == 0
    assert (counts[1:][filtered == 0] == 0).all()
    statistic, freedom = _chi_square(counts[1:], filtered)
    # the mean of chi-square is its degrees of freedom, its variance twice that; six deviations are one in a million
    assert statistic < freedom + 6 * np.sqrt(2 * freedom) + 1e-9


def test_temperature_zero_takes_the_most_likely(sampled):
    _, scores, draw = sampled
    assert set(draw(10, temperature=0, topP=0.5)) == {int(scores[1:].argmax()) + 1}


def test_texts_of_two_characters_have_the_joint_probabilities(run_js, sampled):
    learn, scores, _ = sampled
    script = """([packed, n]) => {
        const model = CharRNN.load(packed);
        const random = CharRNN.random(3);
        const state = model.encode("The ").ids.reduce((s, id) => model.feed(s, id), model.start());
        const first = model.logProbs(state);
        return Array.from({ length: n }, () => {
            const id = CharRNN.sample(first, {}, random);
            return [id, CharRNN.sample(model.logProbs(model.feed(state, id)), {}, random)];
        });
    }"""
    pairs = np.array(run_js(script, [packed(learn), 2000]))
    n_chars = len(scores) - 1
    counts = np.bincount((pairs[:, 0] - 1) * n_chars + pairs[:, 1] - 1, minlength=n_chars**2)
    second = np.array([log_probs(learn, "The " + char)[1:] for char in learn.dls.vocab.itos[1:]])
    probs = np.exp(scores[1:, None] + second)
    statistic, freedom = _chi_square(counts, (probs / probs.sum()).ravel())
    assert statistic < freedom + 6 * np.sqrt(2 * freedom)


def _sfc32(seed):
    "The generator of `sampling.js`, in Python's integers."
    mask = 2**32 - 1

    def mix(x):
        x = (x ^ x >> 16) * 0x85EBCA6B & mask
        x = (x ^ x >> 13) * 0xC2B2AE35 & mask
        return x ^ x >> 16

    a = mix(seed & mask)
    b = mix(seed >> 32 ^ 0x9E3779B9)
    c = mix(a ^ b)
    counter = 1
    bits = []
    while True:
        out = a + b + counter & mask
        counter = counter + 1 & mask
        a = b ^ b >> 9
        b = c + (c << 3) & mask
        c = (c << 21 & mask | c >> 11) + out & mask
        bits.append(out)
        if len(bits) > 12 and len(bits) % 2 == 0:
            yield ((bits[-2] >> 5) * 2**26 + (bits[-1] >> 6)) / 2**53


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 + 5, 2**53 - 1])
def test_random_numbers_are_those_of_sfc32(run_js, seed):
    script = "(seed) => { const r = CharRNN.random(seed); return [r(), r(), r()]; }"
    numbers = _sfc32(seed)
    assert run_js(script, seed) == [next(numbers) for _ in range(3)]
