"""`TextState`: the next words of a text and their probabilities, from a decoder that has read the text."""

import numpy as np
import pytest
from small_models import CarriedGru, build, lively

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.errors import GenerationError, UnknownCharError
from fastai_charrnn.generation.continuations import TextState


@pytest.fixture(scope="module", params=["rnn", "lstm", CarriedGru], ids=str)
def writer(request, small):
    return lively(build(small, request.param), 2)


def _prob(learn, text, new):
    "The probability of `new` after `text`, character by character."
    return float(np.prod([learn.next_probs(text + new[:i])[char] for i, char in enumerate(new)]))


@pytest.mark.parametrize("find", [TextState.likeliest, TextState.drawn])
def test_a_probability_is_the_product_of_those_of_the_characters(writer, find):
    text = "The value of the "
    found = find(TextState.start(writer, text), 4)
    assert len({new for new, _ in found}) == 4
    probs = [prob for _, prob in found]
    assert probs == sorted(probs, reverse=True)
    for new, prob in found:
        assert prob == pytest.approx(_prob(writer, text, new), rel=1e-4)


def test_the_likeliest_words_are_those_that_an_exhaustive_search_finds():
    learn = char_learner(CharDataLoaders.from_text("ab " * 20, 3, bs=8, device="cpu"), n_hid=8, seed=3)
    # a search of 100 beams, more than there are texts of 4 characters
    found = TextState.start(lively(learn, 3), "ab").likeliest(25)
    words = {""}
    complete = set()
    for _ in range(5):
        words = {word + char for word in words for char in "ab "}
        ended = {word for word in words if word[-1] == " " and word.strip()}
        complete |= ended
        words -= ended
    best = sorted(((_prob(learn, "ab", word), word) for word in complete), reverse=True)[:6]
    assert [word for word, _ in found if len(word) <= 5][:6] == [word for _, word in best]


@pytest.mark.parametrize("find", [TextState.likeliest, TextState.drawn])
@pytest.mark.parametrize("words", [1, 3])
def test_a_continuation_ends_with_the_white_space_after_its_words(trained, find, words):
    for new, _ in find(TextState.start(trained, "The"), 5, words=words):
        is_cut = len(new) == 24 * words
        assert is_cut or len(new.split()) == words
        assert is_cut or (new[-1].isspace() and not new[-2].isspace())


def test_an_extended_state_equals_a_new_one_and_leaves_the_old_one_unchanged(writer):
    old = TextState.start(writer, "The value ")
    before = old.likeliest(3)
    new = old.extended("of the ").extended("object ")
    assert new.text == "The value of the object "
    fresh = TextState.start(writer, new.text)
    for find in (TextState.likeliest, TextState.drawn):
        texts, probs = zip(*find(new, 3))
        texts_2, probs_2 = zip(*find(fresh, 3))
        assert texts == texts_2
        assert probs == pytest.approx(probs_2, rel=1e-6)
    assert old.likeliest(3) == before


def test_equal_seeds_draw_equal_words(trained):
    state = TextState.start(trained, "The ")
    assert state.drawn(4, seed=1) == state.drawn(4, seed=1)
    assert state.drawn(4, seed=1) != state.drawn(4, seed=2)


def test_unknown_characters_are_an_error_or_left_out(trained):
    state = TextState.start(trained, "The ")
    with pytest.raises(UnknownCharError):
        state.extended("漢")
    assert TextState.start(trained, "T漢he", unk="skip").extended("漢 ").text == "The "


def test_temperature_0_draws_nothing(trained):
    with pytest.raises(GenerationError, match="temperature=0 draws nothing"):
        TextState.start(trained).drawn(temperature=0)
