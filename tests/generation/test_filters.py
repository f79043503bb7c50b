"""Filters and the draw: they agree with plain definitions, and draws have the distribution that was asked for."""

import math

import numpy as np
import plain_sampling as plain
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from fastai_charrnn.generation.filters import (
    apply_temperature,
    draw,
    filter_scores,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalize_repetition,
)
from fastai_charrnn.generation.options import GenerationConfig
from fastai_charrnn.generation.sampling import Sampler

frequent_scores = st.sampled_from([-9.0, -5.0, -3.5, -2.0, -1.25, -0.5, -0.1, 0.0, 0.3, 2.0])
scores = frequent_scores | st.floats(-30, 3).map(lambda v: round(v, 3))
score_rows = st.lists(st.lists(scores, min_size=6, max_size=6), min_size=1, max_size=4)
fractions = st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def seen_mask(rows, seen):
    return torch.tensor([[i in seen for i in range(6)]] * len(rows))


def assert_equal_scores(got, expected):
    "The same characters are excluded, and the others have equal probabilities."
    for row, expected_row in zip(got.tolist(), expected):
        assert [s == -math.inf for s in row] == [s == -math.inf for s in expected_row]
        assert plain.probs(row) == pytest.approx(plain.probs(expected_row), abs=1e-12)


def ranked_sums(row):
    return np.cumsum(sorted(plain.probs(row), reverse=True))


@given(score_rows, st.floats(0.05, 20))
def test_temperature_divides(rows, temperature):
    got = apply_temperature(tensor(rows), temperature)
    assert_equal_scores(got, [plain.divide_by_temperature(r, temperature) for r in rows])


@given(score_rows, st.integers(1, 9))
@example([[1.0] * 6], 2)
def test_top_k_keeps_exactly_k(rows, k):
    got = keep_top_k(tensor(rows), k)
    assert_equal_scores(got, [plain.top_k(r, k) for r in rows])
    assert ((got > -torch.inf).sum(-1) == min(k, 6)).all()


@given(score_rows, fractions)
def test_top_p_keeps_the_fewest_characters_with_probability_p(rows, p):
    # where a sum equals p, rounding decides
    assume(p in (0, 1) or all(abs(ranked_sums(r) - p).min() > 1e-9 for r in rows))
    got = keep_top_p(tensor(rows), p)
    if p < 1:
        assert_equal_scores(got, [plain.top_p(r, p) for r in rows])
    else:
        assert torch.equal(got, tensor(rows))


def is_clear_of_min_p(row, p):
    "Whether no probability except the largest is so close to the limit that rounding decides."
    probs = plain.probs(row)
    limit = p * max(probs)
    return all(abs(v - limit) > 1e-12 or v == max(probs) for v in probs)


@given(score_rows, fractions)
def test_min_p_keeps_characters_with_that_part_of_the_largest_probability(rows, p):
    assume(all(is_clear_of_min_p(r, p) for r in rows))
    assert_equal_scores(keep_min_p(tensor(rows), p), [plain.min_p(r, p) for r in rows])


@given(score_rows, st.sets(st.integers(0, 5)), st.floats(0.2, 5))
def test_the_penalty_makes_seen_characters_less_likely(rows, seen, penalty):
    got = penalize_repetition(tensor(rows), seen_mask(rows, seen), penalty)
    assert_equal_scores(got, [plain.penalize(r, seen, penalty) for r in rows])


@settings(max_examples=200)
@given(
    rows=score_rows,
    seen=st.sets(st.integers(0, 5)),
    penalty=st.floats(0.5, 3),
    temperature=st.floats(0.2, 3),
    k=st.integers(1, 6),
    top_p=st.floats(0.05, 0.95),
    min_p=st.floats(0, 0.5),
)
def test_filters_apply_in_hugging_faces_order(rows, seen, penalty, temperature, k, top_p, min_p):
    expected = []
    for row in rows:
        row = plain.penalize(row, seen, penalty)
        row = plain.divide_by_temperature(row, temperature)
        row = plain.top_k(row, k)
        assume(abs(ranked_sums(row) - top_p).min() > 1e-9)
        row = plain.top_p(row, top_p)
        probs = plain.probs(row)
        assume(all(abs(v - min_p * max(probs)) > 1e-12 for v in probs))
        expected.append(plain.min_p(row, min_p))
    options = GenerationConfig(temperature, k, top_p, min_p, penalty)
    assert_equal_scores(filter_scores(tensor(rows), options, seen_mask(rows, seen)), expected)


def entropies(rows, temperature):
    filtered = apply_temperature(tensor(rows), temperature).tolist()
    return [-sum(p * math.log(p) for p in plain.probs(row) if p) for row in filtered]


@given(score_rows)
def test_entropy_rises_with_temperature(rows):
    levels = [entropies(rows, temperature) for temperature in (1e-300, 0.2, 0.5, 1, 2, 1e300)]
    for lower, higher in zip(levels, levels[1:]):
        assert all(a <= b + 1e-9 for a, b in zip(lower, higher))
    assert levels[-1] == pytest.approx([math.log(6)] * len(rows))


# the draw

uniform = st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 1 - 2.0**-52])


@given(score_rows, st.lists(uniform, min_size=4, max_size=4), st.just(1) | st.floats(0.2, 5))
def test_a_draw_takes_the_first_index_whose_cumulative_probability_exceeds_u(rows, us, temperature):
    filtered = keep_top_k(tensor(rows), 3)
    drawn = draw(filtered, tensor(us[: len(rows)])[:, None], temperature).tolist()
    for row, u, index in zip(apply_temperature(filtered, temperature).tolist(), us, drawn):
        sums = np.cumsum(plain.probs(row))
        # never an excluded one
        assert row[index] > -math.inf
        assert index == plain.draw(row, u) or abs(sums - u).min() < 1e-12


loaded_die = [0.4, 0.25, 0.15, 0.1, 0.06, 0.03, 0.01]


class Die(torch.nn.Module):
    "A model whose prediction does not depend on its input."

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor([1e-30, *loaded_die]).log())

    def forward(self, x):
        return self.logits.expand(len(x), -1)


def roll(options, n=500):
    "(200, n) indices drawn for 200 continuations of an empty prompt."
    sampler = Sampler(Die(), torch.zeros(200, 4, dtype=torch.int64), options, np.arange(200))
    return sampler.sample(n)[0].numpy()


def chi_square_p(counts, probs):
    "The probability of counts at least as far from `probs`."
    expected = np.array(probs) * counts.sum()
    assert counts[expected == 0].sum() == 0
    possible = expected > 0
    statistic = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    return float(chi2.sf(statistic, possible.sum() - 1))


@pytest.mark.parametrize(
    "kw",
    [
        dict(temperature=1),
        dict(temperature=0.5),
        dict(temperature=2),
        dict(temperature=1, top_k=3),
        dict(temperature=1, top_p=0.7),
        dict(temperature=1, min_p=0.2),
        dict(temperature=1.5, top_k=6, top_p=0.9, min_p=0.1),
    ],
    ids=str,
)
def test_a_hundred_thousand_draws_have_the_distribution_of_the_options(kw, record_property):
    options = GenerationConfig(seed=11, **kw)
    expected = plain.divide_by_temperature([math.log(p) for p in loaded_die], options.temperature)
    for name in ("top_k", "top_p", "min_p"):
        if name in kw:
            expected = getattr(plain, name)(expected, kw[name])
    counts = np.bincount(roll(options).ravel(), minlength=8)[1:]
    p = chi_square_p(counts, plain.probs(expected))
    record_property("p", p)
    print(f"{kw}: chi-square p = {p:.3f}")
    assert p > 1e-3


def test_successive_draws_and_neighbouring_rows_are_independent():
    drawn = roll(GenerationConfig(temperature=1, seed=12)) - 1
    joint_probs = np.outer(loaded_die, loaded_die).ravel()
    successive = drawn[:, :-1:2] * 7 + drawn[:, 1::2]
    neighbouring = drawn[::2] * 7 + drawn[1::2]
    for pairs in (successive, neighbouring):
        assert chi_square_p(np.bincount(pairs.ravel(), minlength=49), joint_probs) > 1e-3
