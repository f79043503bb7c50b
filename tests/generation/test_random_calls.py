"""`generate` returns valid text or raises a typed error, whatever the arguments."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_models import build, lively

from fastai_charrnn.all import ScoredText
from fastai_charrnn.errors import CharRnnError

ignore_warnings = pytest.mark.filterwarnings("ignore::fastai_charrnn.errors.CharRnnWarning")

numbers = (
    st.none()
    | st.integers(-2, 5)
    | st.floats()
    | st.sampled_from([0, 1, 0.5, 1e-320, 1e308, 10**400, -1, True, "1", 2**64])
)
any_prompt = (
    st.text(max_size=12)
    | st.lists(st.text("the valu\0é", max_size=4), max_size=3)
    | st.text("the valu", max_size=50)
    | st.sampled_from([None, 3, b"x", "\ud800"])
)
any_stop = (
    st.none()
    | st.text("te \0", max_size=2)
    | st.lists(st.text("the", max_size=2), max_size=2)
    | st.sampled_from([3, lambda text: len(text) > 2])
)
anything = st.fixed_dictionaries(
    dict(prompt=any_prompt, n=st.integers(-1, 6) | st.sampled_from([None, 1.5, 10**18, "x"])),
    optional=dict(
        temperature=numbers,
        top_k=numbers,
        top_p=numbers,
        min_p=numbers,
        repetition_penalty=numbers,
        seed=numbers,
        num=numbers,
        beam=numbers,
        unk=st.sampled_from(["skip", "e", "error", "\0", "ee", None, 3]),
        stop=any_stop,
        stream=st.booleans(),
        return_prompt=st.booleans(),
    ),
)

sensible_prompt = st.text("the valu.", max_size=50) | st.lists(st.text("the valu", max_size=12), max_size=3)
sensible = st.fixed_dictionaries(
    dict(prompt=sensible_prompt, n=st.integers(0, 6)),
    optional=dict(
        temperature=st.floats(0, 1e308) | st.sampled_from([0, 5e-324, 1e308, 1]),
        top_k=st.integers(1, 2**70),
        top_p=st.floats(0, 1),
        min_p=st.floats(0, 1),
        repetition_penalty=st.floats(0, 1e308, exclude_min=True) | st.just(5e-324),
        seed=st.integers(0, 2**64 - 1),
        num=st.integers(1, 3),
        unk=st.sampled_from(["skip", "e"]),
        stop=st.sampled_from(["e", ["t", "he"], lambda text: len(text) > 2]),
        return_prompt=st.booleans(),
    ),
)
calls = sensible | anything


def call_generate(learn, kw):
    """Call `generate`, and check that its result is valid text. Return "text", or "error" for a typed error."""
    try:
        result = learn.generate(**kw)
        if kw.get("stream"):
            result = "".join(itertools.islice(result, 60))
    except CharRnnError:
        return "error"
    for text in [result] if isinstance(result, str | ScoredText) else result:
        assert set(str(text)) <= set(learn.dls.vocab) - {"\0"}
        if isinstance(text, ScoredText):
            check_log_probs(text, kw["n"])
    return "text"


def check_log_probs(text, n):
    assert len(text.new) == len(text.log_probs)
    assert len(text.new) <= n
    assert np.isfinite(text.log_probs).all()
    assert text.log_probs.max(initial=-1) <= 0


@pytest.mark.slow
@ignore_warnings
def test_ten_thousand_random_calls_return_valid_text_or_raise_a_typed_error(small):
    learn = lively(build(small, "rnn"))
    counts = Counter()

    @settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(calls)
    def call(kw):
        counts[call_generate(learn, kw)] += 1

    call()
    print(counts)
    assert counts["text"] > 3000
    assert counts["error"] > 3000


@ignore_warnings
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls)
def test_any_call_returns_valid_text_or_raises_a_typed_error(trained, kw):
    call_generate(trained, kw)
