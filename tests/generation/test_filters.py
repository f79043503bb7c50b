"""Filters and the draw: what their definitions say, and the distribution that was asked for."""

import math

import numpy as np
import plain_sampling as plain
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from fastai_charrnn.errors import GenerationError
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
from fastai_charrnn.generation.random_streams import Uniforms, stream_keys
from fastai_charrnn.generation.sampling import Sampler

chosen = st.sampled_from([-9.0, -5.0, -3.5, -2.0, -1.25, -0.5, -0.1, 0.0, 0.3, 2.0])
logits = chosen | st.floats(-30, 3).map(lambda v: round(v, 3))
rows = st.lists(st.lists(logits, min_size=6, max_size=6), min_size=1, max_size=4)
fractions = st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])


def same(got, want):
    "The same are left out, and the others have the same probabilities."
    for a, b in zip(got.tolist(), want):
        assert [s == -math.inf for s in a] == [s == -math.inf for s in b]
        assert plain.probs(a) == pytest.approx(plain.probs(b), abs=1e-12)


def t(rows):
    return torch.tensor(rows, dtype=torch.float64)


@given(rows, st.floats(0.05, 20))
def test_temperature_divides(rows, temperature):
    same(apply_temperature(t(rows), temperature), [plain.warm(r, temperature) for r in rows])


@given(rows, st.integers(1, 9))
@example([[1.0] * 6], 2)
def test_top_k_keeps_exactly_k(rows, k):
    got = keep_top_k(t(rows), k)
    same(got, [plain.top_k(r, k) for r in rows])
    assert ((got > -torch.inf).sum(-1) == min(k, 6)).all()


@given(rows, fractions)
def test_top_p_keeps_the_fewest_that_make_p(rows, p):
    sums = [np.cumsum(sorted(plain.probs(r), reverse=True)) for r in rows]
    assume(all(abs(s - p).min() > 1e-9 or p in (0, 1) for s in sums))  # where a sum is p itself, rounding decides
    if p < 1:
        same(keep_top_p(t(rows), p), [plain.top_p(r, p) for r in rows])
    else:
        assert torch.equal(keep_top_p(t(rows), p), t(rows))


@given(rows, fractions)
def test_min_p_keeps_what_has_that_part_of_the_largest(rows, p):
    assume(
        all(abs(o - p * max(plain.probs(r))) > 1e-12 or o == max(plain.probs(r)) for r in rows for o in plain.probs(r))
    )
    same(keep_min_p(t(rows), p), [plain.min_p(r, p) for r in rows])


@given(rows, st.sets(st.integers(0, 5)), st.floats(0.2, 5))
def test_the_penalty_makes_seen_characters_less_likely(rows, seen, penalty):
    mask = torch.tensor([[i in seen for i in range(6)]] * len(rows))
    same(penalize_repetition(t(rows), mask, penalty), [plain.penalize(r, seen, penalty) for r in rows])


@settings(max_examples=200)
@given(
    rows,
    st.sets(st.integers(0, 5)),
    st.floats(0.5, 3),
    st.floats(0.2, 3),
    st.integers(1, 6),
    st.floats(0.05, 0.95),
    st.floats(0, 0.5),
)
def test_together_they_apply_in_hugging_faces_order(rows, seen, penalty, temperature, k, p, least):
    want = []
    for r in rows:
        r = plain.top_k(plain.warm(plain.penalize(r, seen, penalty), temperature), k)
        sums = np.cumsum(sorted(plain.probs(r), reverse=True))
        assume(abs(sums - p).min() > 1e-9)
        r = plain.top_p(r, p)
        o = plain.probs(r)
        assume(all(abs(v - least * max(o)) > 1e-12 for v in o))
        want.append(plain.min_p(r, least))
    mask = torch.tensor([[i in seen for i in range(6)]] * len(rows))
    same(filter_scores(t(rows), GenerationConfig(temperature, k, p, least, penalty), mask), want)


@given(rows, st.lists(st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 1 - 2.0**-52]), min_size=4, max_size=4))
def test_a_draw_takes_the_first_whose_sum_exceeds_u_and_never_one_left_out(rows, us):
    scores = keep_top_k(t(rows), 3)
    got = draw(scores, t(us[: len(rows)])[:, None]).tolist()
    for r, u, i in zip(scores.tolist(), us, got):
        sums = np.cumsum(plain.probs(r))
        assert r[i] > -math.inf and (i == plain.pick(r, u) or abs(sums - u).min() < 1e-12)


@given(rows)
def test_entropy_rises_with_temperature(rows):
    def entropy(temperature):
        return [
            -sum(p * math.log(p) for p in plain.probs(r) if p) for r in apply_temperature(t(rows), temperature).tolist()
        ]

    levels = [entropy(o) for o in (1e-300, 0.2, 0.5, 1, 2, 1e300)]
    for a, b in zip(levels, levels[1:]):
        assert all(x <= y + 1e-9 for x, y in zip(a, b))
    assert levels[-1] == pytest.approx([math.log(6)] * len(rows))


# drawing

LOADED = [0.4, 0.25, 0.15, 0.1, 0.06, 0.03, 0.01]


class Die(torch.nn.Module):
    "Predicts the same whatever it reads."

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor([1e-30, *LOADED]).log())

    def forward(self, x):
        return self.logits.expand(len(x), -1)


def throws(o, k=500):
    writer = Sampler(Die(), torch.zeros(200, 4, dtype=torch.int64), o, np.arange(200))
    return writer.sample(k)[0].numpy()


def chi_square_p(counts, probs):
    "How likely counts are at least as far from `probs`."
    want = np.array(probs) * counts.sum()
    assert counts[want == 0].sum() == 0
    stat = ((counts - want)[want > 0] ** 2 / want[want > 0]).sum()
    return float(chi2.sf(stat, (want > 0).sum() - 1))


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
def test_a_hundred_thousand_draws_are_distributed_as_asked(kw, record_property):
    o = GenerationConfig(seed=11, **kw)
    want = plain.warm([math.log(p) for p in LOADED], o.temperature)
    for f, v in ((plain.top_k, o.top_k), (plain.top_p, o.top_p), (plain.min_p, o.min_p)):
        if v is not None:
            want = f(want, v)
    p = chi_square_p(np.bincount(throws(o).ravel(), minlength=8)[1:], plain.probs(want))
    record_property("p", p)
    print(f"{kw}: chi-square p = {p:.3f}")
    assert p > 1e-3


def test_neighbours_in_time_and_in_the_batch_are_independent():
    t = throws(GenerationConfig(temperature=1, seed=12)) - 1
    joint = np.outer(LOADED, LOADED).ravel()
    for pairs in (t[:, :-1:2] * 7 + t[:, 1::2], t[::2] * 7 + t[1::2]):
        assert chi_square_p(np.bincount(pairs.ravel(), minlength=49), joint) > 1e-3


def test_uniforms_are_the_same_however_many_are_taken_at_a_time_and_whoever_else_draws():
    def taken(numbers, *ks):
        u = Uniforms(7, np.array(numbers), torch.device("cpu"))
        return torch.cat([torch.cat(u.take(k), 1) for k in ks], 1)

    whole = taken([0, 1, 5], 20)
    assert (
        torch.equal(whole, taken([0, 1, 5], 1, 4, 15))
        and torch.equal(whole[1:2], taken([1], 20))
        and torch.equal(taken([3, 3], 5)[0], taken([3], 5)[0])
    )
    assert 0 <= whole.min() and whole.max() < 1
    us = plain.uniforms(7, [3, 5], 2)
    assert torch.cat(Uniforms(7, stream_keys(torch.tensor([[0, 3, 5]]), [2]), torch.device("cpu")).take(20), 1)[
        0
    ].tolist() == [next(us) for _ in range(20)]
    assert len(set(stream_keys(torch.tensor([[0, 3, 5], [0, 3, 5], [0, 3, 2], [0, 0, 3]]), [2, 1, 5, 5]))) == 4


@pytest.mark.parametrize(
    "kw",
    [
        dict(temperature=-1),
        dict(temperature=math.nan),
        dict(temperature=math.inf),
        dict(temperature=None),
        dict(temperature="hot"),
        dict(temperature=True),
        dict(top_k=0),
        dict(top_k=2.5),
        dict(top_p=1.1),
        dict(top_p=-0.1),
        dict(top_p=math.nan),
        dict(min_p=2),
        dict(repetition_penalty=0),
        dict(repetition_penalty=10**400),
        dict(seed=-1),
        dict(seed=2**64),
        dict(seed=1.5),
        dict(seed=True),
        dict(num=0),
        dict(num=None),
        dict(beam=0),
        dict(beam=10**6),
        dict(stop=""),
        dict(stop=[""]),
        dict(stop=[1]),
        dict(stop=3),
        dict(beam=2, seed=1),
        dict(beam=2, num=2),
        dict(beam=2, temperature=1),
        dict(beam=2, top_p=0.9),
    ],
    ids=str,
)
def test_options_without_sense_name_themselves(kw):
    with pytest.raises(GenerationError, match=next(iter(kw))):
        GenerationConfig(**kw)


def test_numbers_of_any_type_are_taken():
    o = GenerationConfig(
        np.float32(0.5), top_k=np.int64(3), top_p=1, repetition_penalty=2**70, seed=np.uint64(2**64 - 1)
    )
    assert (o.temperature, o.top_k, o.top_p, o.repetition_penalty, o.seed) == (
        0.5,
        3,
        1.0,
        2.0**70,
        2**64 - 1,
    ) and type(o.seed) is int
