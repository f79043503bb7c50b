"""What cannot be generated is a typed error, whatever is asked; everything else is valid text."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_models import Whole, build, lively

from fastai_charrnn.all import ScoredText
from fastai_charrnn.errors import CharRnnError, DataError, GenerationError, UnknownCharError, VocabError


@pytest.mark.parametrize(
    "kw,says",
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
def test_impossible_requests_say_what_is_possible(trained, kw, says):
    with pytest.raises(GenerationError, match=says):
        trained.generate(**(dict(prompt="a", n=3) | kw))


def test_unknown_characters_are_named_left_out_or_replaced(trained):
    with pytest.raises(UnknownCharError, match="U\\+00E9"):
        trained.generate("valé", 3)
    for unk, read in (("skip", "val"), ("e", "vale")):
        o = trained.generate("valé", 30, seed=1, unk=unk)
        assert (o.prompt, o.text) == (read, trained.generate(read, 30, seed=1).text)
    for unk in ("?!", [], None):
        pytest.raises(VocabError, trained.generate, "a", 3, unk=unk)
    for bad in (b"bytes", [b"bytes"], [1]):
        pytest.raises(VocabError, trained.generate, bad, 3)
    with pytest.raises(GenerationError, match="top=0"):
        trained.next_probs("a", top=0)
    for n in (float("nan"), float("inf"), "x", 10**15):
        pytest.raises(DataError, trained.predict_next, "a", n=n)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_an_error_that_names_them(small, bad, whole):
    learn = build(small, "rnn")
    learn.model.out.bias.data[3] = bad
    if whole:
        learn.model = Whole(learn.model)
    for call in (
        lambda: learn.generate("the", 5),
        lambda: learn.generate("the", 5, temperature=0),
        lambda: list(learn.generate("the", 5, stream=True)),
        lambda: learn.generate("the", 5, beam=2),
        lambda: learn.score("the"),
        lambda: learn.next_probs("the"),
        lambda: learn.predict_next("the", n=5),
    ):
        with pytest.raises(GenerationError, match=r"the weights contain NaN or infinity: out\.bias"):
            call()


def test_nothing_asked_for_is_nothing(trained):
    assert trained.generate([], 5) == []
    assert trained.generate("the", 0).new == ""
    assert trained.generate(["the", ""], 0)[1].text == ""
    assert [*trained.generate("the", 0, stream=True)] == ["t", "h", "e"]


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


def ask(learn, kw):
    "Valid text, or a typed error."
    try:
        out = learn.generate(**kw)
        if kw.get("stream"):
            out = ["".join(c for c, _ in zip(out, range(60)))]
        else:
            if isinstance(out, ScoredText):
                out = [out]
            else:
                out = out
    except CharRnnError:
        return "error"
    for o in out:
        assert all(c in learn.dls.vocab and c != "\0" for c in str(o))
        if isinstance(o, ScoredText):
            assert (
                len(o.new) == len(o.log_probs) <= kw["n"]
                and np.isfinite(o.log_probs).all()
                and o.log_probs.max(initial=-1) <= 0
            )
    return "text"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::fastai_charrnn.errors.CharRnnWarning")
def test_ten_thousand_random_calls_give_valid_text_or_a_typed_error(small):
    learn = lively(build(small, "rnn"))
    said = {"text": 0, "error": 0}

    @settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(calls)
    def call(kw):
        said[ask(learn, kw)] += 1

    call()
    print(said)
    assert said["text"] > 3000 and said["error"] > 3000


@pytest.mark.filterwarnings("ignore::fastai_charrnn.errors.CharRnnWarning")
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls)
def test_any_call_gives_valid_text_or_a_typed_error(trained, kw):
    ask(trained, kw)


def test_long_prompts_and_many_rows_go_in_parts(small, monkeypatch):
    learn = lively(build(small, "rnn"))
    want = [o.text for o in learn.generate(["the valu", "x"], 20, seed=1, num=40)]
    monkeypatch.setattr("fastai_charrnn.generation.prompts._max_state_numbers", 24 * 8 * 7)  # seven rows at a time
    assert [o.text for o in learn.generate(["the valu", "x"], 20, seed=1, num=40)] == want
    long = "the valu" * 20_000
    assert learn.generate(long, 9, seed=1).new == learn.generate(long[-8:], 9, seed=1).new
