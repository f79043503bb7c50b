"""Impossible requests and models whose weights are not finite raise errors with a way out."""

import pytest
from small_models import Whole, build

from fastai_charrnn.errors import DataError, GenerationError, UnknownCharError, VocabError


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
