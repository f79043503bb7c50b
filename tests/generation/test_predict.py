"""`learn.predict` continues a text by words or characters, with the arguments of fastai's `LMLearner.predict`."""

import inspect

import pytest
from fastai.text.learner import LMLearner
from small_models import build, lively, stateful

from fastai_charrnn.all import CharDataLoaders, char_learner, load_learner
from fastai_charrnn.errors import CharRnnWarning, GenerationError, UnknownCharError


@pytest.mark.parametrize("make", [lambda small: lively(build(small, "gru")), stateful], ids=["windows", "stateful"])
def test_the_result_is_the_prompt_and_n_more_characters(small, make):
    learn = make(small)
    text = learn.predict("The ", n=30, temperature=0.7, min_p=0.05, top_k=9, top_p=0.9, seed=1)
    assert text == learn.generate("The ", 30, temperature=0.7, min_p=0.05, top_k=9, top_p=0.9, seed=1).text
    assert len(text) == 34
    assert learn.predict("The ", n=0) == "The "


@pytest.mark.parametrize("prompt", ["the valu", "the ", ""])
@pytest.mark.parametrize("n_words", [1, 2, 7])
def test_n_words_are_appended(trained, prompt, n_words):
    for seed in range(5):
        text = trained.predict(prompt, n_words, seed=seed)
        assert text.startswith(prompt)
        assert len(text[len(prompt) :].split()) == n_words
        assert not text[-1].isspace()


def test_words_are_the_beginning_of_the_characters_with_the_same_seed(trained):
    words = trained.predict("the ", 5, seed=2)
    following = trained.predict("the ", n=200, seed=2)
    assert following.startswith(words)
    # the last word is complete
    assert following[len(words)].isspace()


def test_it_appends_one_word_at_temperature_1_by_default(trained):
    assert trained.predict("the ", seed=3) == trained.predict("the ", n_words=1, temperature=1.0, seed=3)
    assert trained.predict("the ", n_words=0) == "the "


def test_it_has_the_parameters_of_fastai_in_the_same_order(trained):
    theirs = list(inspect.signature(LMLearner.predict).parameters)
    assert list(inspect.signature(type(trained).predict).parameters)[: len(theirs)] == theirs


def test_parameters_of_fastai_without_effect_are_accepted(trained):
    assert trained.predict("the ", 2, no_unk=True, no_bar=True, seed=1) == trained.predict("the ", 2, seed=1)


@pytest.mark.parametrize(
    "kw",
    [
        dict(decoder=str),
        dict(only_last_word=True),
        dict(n_words=-1),
        dict(n_words=1.5),
        dict(n_words=10**8),
        dict(n=-1),
        dict(n=3, n_words=3),
        dict(temperature=-1),
    ],
    ids=str,
)
def test_impossible_arguments_are_named_in_the_error(trained, kw):
    name = "n" if kw == dict(n_words=10**8) else next(iter(kw))
    with pytest.raises(GenerationError, match=rf"\b{name}\b"):
        trained.predict("the ", **kw)


def test_unknown_characters_raise_or_are_skipped(trained):
    with pytest.raises(UnknownCharError):
        trained.predict("漢")
    assert trained.predict("漢the ", n=4, seed=1, unk="skip") == trained.predict("the ", n=4, seed=1)
    pytest.raises(GenerationError, trained.predict, ["the "])


def test_a_vocabulary_without_white_space_has_no_words():
    learn = char_learner(CharDataLoaders.from_text("abcd" * 20, seq_len=3, bs=16, device="cpu"), n_hid=8)
    with pytest.raises(GenerationError, match="no white space"):
        learn.predict("a")
    assert len(learn.predict("a", n=3)) == 4


def test_a_word_without_end_is_an_error():
    "Greedy text of the same characters never reaches a space."
    learn = char_learner(CharDataLoaders.from_text("abcd" * 20 + " ", seq_len=3, bs=16, device="cpu"), n_hid=8, seed=0)
    for p in learn.model.parameters():
        p.data.zero_()
    with pytest.raises(GenerationError, match="100 characters and only"):
        learn.predict("a", temperature=0)
    for continued in (learn.predict, learn.generate):
        with pytest.warns(CharRnnWarning, match="repeats itself") as warned:
            continued("a", n=200, temperature=0)
        assert warned[0].filename == __file__


def test_an_exported_learner_predicts(trained, tmp_path):
    text = trained.predict("the ", 3, seed=1)
    trained.export(tmp_path / "export.pkl")
    assert load_learner(tmp_path / "export.pkl").predict("the ", 3, seed=1) == text
