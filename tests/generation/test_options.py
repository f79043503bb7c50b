"""`generate` returns valid text or raises a typed error, whatever the arguments."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_models import Whole, build, lively

from fastai_charrnn.all import ScoredText
from fastai_charrnn.errors import CharRnnError, DataError, GenerationError, UnknownCharError, VocabError
from fastai_charrnn.generation.options import GenerationConfig

ignore_warnings = pytest.mark.filterwarnings("ignore::fastai_charrnn.errors.CharRnnWarning")


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
def test_invalid_options_are_named_in_the_error(kw):
    with pytest.raises(GenerationError, match=next(iter(kw))):
        GenerationConfig(**kw)


def test_numbers_of_other_types_become_python_numbers():
    seed = np.uint64(2**64 - 1)
    options = GenerationConfig(np.float32(0.5), top_k=np.int64(3), top_p=1, repetition_penalty=2**70, seed=seed)
    assert options == GenerationConfig(0.5, top_k=3, top_p=1.0, repetition_penalty=2.0**70, seed=2**64 - 1)
    assert type(options.temperature) is type(options.top_p) is float
    assert type(options.top_k) is type(options.seed) is int


@pytest.mark.parametrize(
    "kw,message",
    [
        (dict(n=-1), "n=-1"),
        (dict(n=2.5), "n=2.5"),
        (dict(n=None), "stream=True"),
        (dict(n="5"), "n='5'"),
        (dict(n=True), "n=True"),
        (dict(n=10**12), "pass stream=True"),
        (dict(num=10**9), "kept in memory"),
        (dict(num=2, stream=True), "one text"),
        (dict(prompt=["a"], stream=True), "one prompt"),
        (dict(beam=2, stream=True), "leave out num and beam"),
        (dict(prompt=3), "a prompt is a str"),
        (dict(prompt=None), "a prompt is a str"),
        (dict(stop="漢"), "never occurs"),
    ],
)
def test_impossible_requests_raise_with_a_way_out(trained, kw, message):
    with pytest.raises(GenerationError, match=message):
        trained.generate(**(dict(prompt="a", n=3) | kw))


def test_unknown_characters_raise_or_are_skipped_or_replaced(trained):
    with pytest.raises(UnknownCharError, match="U\\+00E9"):
        trained.generate("valé", 3)
    for unk, known in (("skip", "val"), ("e", "vale")):
        o = trained.generate("valé", 30, seed=1, unk=unk)
        assert o.prompt == known
        assert o.text == trained.generate(known, 30, seed=1).text


def test_invalid_values_of_unk_and_of_prompts_raise(trained):
    for unk in ("?!", [], None):
        pytest.raises(VocabError, trained.generate, "a", 3, unk=unk)
    for bad in (b"bytes", [b"bytes"], [1]):
        pytest.raises(VocabError, trained.generate, bad, 3)


def test_impossible_arguments_of_next_probs_and_predict_next_raise(trained):
    with pytest.raises(GenerationError, match="top=0"):
        trained.next_probs("a", top=0)
    for n in (float("nan"), float("inf"), "x", 10**15):
        pytest.raises(DataError, trained.predict_next, "a", n=n)


CALLS = dict(
    sampled=lambda learn: learn.generate("the", 5),
    greedy=lambda learn: learn.generate("the", 5, temperature=0),
    stream=lambda learn: list(learn.generate("the", 5, stream=True)),
    beam=lambda learn: learn.generate("the", 5, beam=2),
    score=lambda learn: learn.score("the"),
    next_probs=lambda learn: learn.next_probs("the"),
    predict_next=lambda learn: learn.predict_next("the", n=5),
)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("without_steps", [False, True])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named_in_the_error(small, bad, without_steps, call):
    learn = build(small, "rnn")
    learn.model.out.bias.data[3] = bad
    if without_steps:
        learn.model = Whole(learn.model)
    with pytest.raises(GenerationError, match=r"the weights contain NaN or infinity: (model\.)?out\.bias"):
        call(learn)


def test_no_prompts_and_no_characters_are_possible_requests(trained):
    assert trained.generate([], 5) == []
    assert trained.generate("the", 0).new == ""
    assert trained.generate(["the", ""], 0)[1].text == ""
    assert [*trained.generate("the", 0, stream=True)] == ["t", "h", "e"]


# random arguments

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


def test_many_rows_are_generated_in_batches(small, monkeypatch):
    learn = lively(build(small, "rnn"))
    expected = [o.text for o in learn.generate(["the valu", "x"], 20, seed=1, num=40)]
    seven_rows = 24 * 8 * 7
    monkeypatch.setattr("fastai_charrnn.generation.prompts._max_state_numbers", seven_rows)
    assert [o.text for o in learn.generate(["the valu", "x"], 20, seed=1, num=40)] == expected


def test_only_the_end_of_a_long_prompt_is_read(small):
    learn = lively(build(small, "rnn"))
    long = "the valu" * 20_000
    assert learn.generate(long, 9, seed=1).new == learn.generate(long[-8:], 9, seed=1).new
