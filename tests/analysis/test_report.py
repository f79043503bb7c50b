"""The report counts what a slow look at the texts counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastai_charrnn.all import CharDataLoaders, ScoredText, char_learner, load_model, sample_report, save_model
from fastai_charrnn.analysis.report import loop_period
from fastai_charrnn.errors import GenerationError


def plain_longest(texts, corpus):
    return max(
        (t[i:j] for t in texts for i in range(len(t)) for j in range(i + 1, len(t) + 1) if t[i:j] in corpus),
        key=len,
        default="",
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text("abc ", max_size=30), min_size=1, max_size=3), st.text("abc ", min_size=1, max_size=60))
def test_the_longest_copy_is_the_longest(texts, corpus):
    r = sample_report(texts, corpus=corpus)
    assert len(r.copied) == len(plain_longest(texts, corpus)) and any(r.copied in t for t in texts)
    assert r.copied_at == (corpus.find(r.copied) if r.copied else -1)


def test_a_copy_is_found_across_the_pieces_of_a_long_corpus(monkeypatch, small):
    want = sample_report(["@@" + small[4000:4300] + "@"], corpus=small)
    monkeypatch.setattr("fastai_charrnn.analysis.report._piece", 1000)
    got = sample_report(["@@" + small[4000:4300] + "@"], corpus=small)
    assert got == want and got.copied == small[4000:4300] and got.copied_at == 4000


def test_a_chance_equality_of_hashes_is_no_copy(monkeypatch, small):
    monkeypatch.setattr(
        "fastai_charrnn.analysis.report._hashes", lambda text, k: np.full(len(text) - k + 1, 7, np.uint64)
    )  # the worst hash there is
    assert sample_report(["xyzthe valu"], corpus=small[:500]).copied == plain_longest(["xyzthe valu"], small[:500])


@pytest.mark.parametrize(
    "text,period",
    [
        ("the " * 9, 4),
        ("x" + "ab" * 12, 2),
        ("ab" * 11, None),
        ("", None),
        ("aaaa", None),
        ("a" * 24, 1),
        ("for those who " * 2, None),
        ("it was " + "for those who " * 3, 14),
        ("for those who " * 3 + "x", None),
    ],
)
def test_a_loop_is_three_equal_passages_at_the_end(text, period):
    assert loop_period(text) == period


def test_distinct_n_grams_and_loop_rate_are_counted_over_all_texts():
    r = sample_report(["abab", "the " * 10, "abc"], corpus="abc")
    texts = ["abab", "the " * 10, "abc"]
    for k in (1, 2, 3, 4):
        grams = [t[i : i + k] for t in texts for i in range(len(t) - k + 1)]
        assert r.distinct[k - 1] == len(set(grams)) / len(grams)
    assert r.loop_rate == pytest.approx(1 / 3) and (r.texts, r.chars) == (3, 47)


def test_words_are_known_whatever_their_case_and_only_whole_ones_count(monkeypatch):
    corpus = "The cat sat on the mat. Über alles"
    for piece in (2**22, 5):
        monkeypatch.setattr("fastai_charrnn.analysis.report._piece", piece)
        r = sample_report(["Cat THE dog über all", "mat zzz."], corpus=corpus)
        assert r.words == 6 and r.known_words == pytest.approx(4 / 6)  # "all" is cut off
    assert sample_report([ScoredText("the c", "at sat on")], corpus=corpus).words == 1  # "at" was begun by the prompt
    assert math.isnan(sample_report(["..."], corpus=corpus).known_words)


def test_a_learner_brings_its_corpus_in_memory_or_on_disk_and_copies_are_sought_where_it_trains(small, tmp_path):
    (tmp_path / "t.txt").write_text(small, encoding="utf-8")
    learn = char_learner(CharDataLoaders.from_text(small, bs=256, valid="tail", device="cpu"), n_hid=8)
    end = len(small) * 9 // 10
    texts = [small[end - 30 : end + 500], small[100:160]]
    r = sample_report(texts, learn)
    assert (
        len(r.copied) < 100
        and r.copied == small[100:160]
        and r == sample_report(texts, learn) != sample_report(texts, corpus=small)
    )
    learn.dls.train_ds.ids = _mapped(learn, tmp_path)
    assert sample_report(texts, learn) == r


def _mapped(learn, tmp_path):
    from fastai_charrnn.data.ids import MappedIds

    np.save(tmp_path / "ids.npy", learn.dls.train_ds.ids.data.numpy())
    return MappedIds(tmp_path / "ids.npy")


def test_it_takes_what_generate_gives_and_prints_as_a_table(trained):
    r = sample_report(trained.generate(["the valu", "a"], 200, seed=1, num=3), trained)
    assert (
        r.texts == 6 and r.chars == 1200 and "longest copy" in repr(r) and 0 < r.known_words <= 1 and len(r.copied) > 4
    )
    assert sample_report(trained.generate("the", 90, seed=1), trained).texts == 1


def test_without_texts_or_a_corpus_it_says_what_to_pass(trained, tmp_path):
    loaded = load_model(save_model(trained, tmp_path / "m"))
    for args, says in (
        (([], trained), "no texts"),
        ((["a"],), "pass corpus="),
        ((["a"], None, ""), "corpus=''"),
        (([3], trained), "not int"),
        ((["a"], loaded), "a loaded model carries none"),
    ):
        with pytest.raises(GenerationError, match=says):
            sample_report(*args)
