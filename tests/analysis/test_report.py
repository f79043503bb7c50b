"""The report of samples agrees with slow, plain counting."""

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
    report = sample_report(texts, corpus=corpus)
    assert len(report.copied) == len(plain_longest(texts, corpus))
    assert any(report.copied in text for text in texts)
    assert report.copied_at == (corpus.find(report.copied) if report.copied else -1)


def test_a_copy_is_found_across_the_pieces_of_a_long_corpus(monkeypatch, small):
    text = "@@" + small[4000:4300] + "@"
    in_one_piece = sample_report([text], corpus=small)
    monkeypatch.setattr("fastai_charrnn.analysis.copies._piece_size", 1000)
    in_pieces = sample_report([text], corpus=small)
    assert in_pieces == in_one_piece
    assert in_pieces.copied == small[4000:4300]
    assert in_pieces.copied_at == 4000


def test_passages_with_equal_hashes_are_compared(monkeypatch, small):
    # the worst hash function
    monkeypatch.setattr(
        "fastai_charrnn.analysis.copies._hashes", lambda text, k: np.full(len(text) - k + 1, 7, np.uint64)
    )
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
    texts = ["abab", "the " * 10, "abc"]
    report = sample_report(texts, corpus="abc")
    for k in (1, 2, 3, 4):
        grams = [t[i : i + k] for t in texts for i in range(len(t) - k + 1)]
        assert report.distinct[k - 1] == len(set(grams)) / len(grams)
    assert report.loop_rate == pytest.approx(1 / 3)
    assert (report.texts, report.chars) == (3, 47)


def test_case_is_ignored_and_only_whole_words_count(monkeypatch):
    corpus = "The cat sat on the mat. Über alles"
    for size in (2**22, 5):
        monkeypatch.setattr("fastai_charrnn.analysis.copies._piece_size", size)
        report = sample_report(["Cat THE dog über all", "mat zzz."], corpus=corpus)
        # "all" may be cut off
        assert report.words == 6
        assert report.known_words == pytest.approx(4 / 6)
    # "at" begins in the prompt, "on" may be cut off
    assert sample_report([ScoredText("the c", "at sat on")], corpus=corpus).words == 1
    assert math.isnan(sample_report(["..."], corpus=corpus).known_words)


@pytest.mark.parametrize("word", ["İstanbul", "ΐστρος", "straße", "Ǆep", "ŉa", "ẖa"])
def test_words_whose_lower_case_has_a_combining_mark_are_known(monkeypatch, word):
    for size in (2**22, 3):
        monkeypatch.setattr("fastai_charrnn.analysis.copies._piece_size", size)
        assert sample_report([f"{word} x"], corpus=f"in {word} or").known_words == 1


def test_the_corpus_is_the_learners_text_and_copies_are_of_its_training_part(small, tmp_path):
    (tmp_path / "t.txt").write_text(small, encoding="utf-8")
    learn = char_learner(CharDataLoaders.from_text(small, bs=256, valid="tail", device="cpu"), n_hid=8)
    end = len(small) * 9 // 10
    texts = [small[end - 30 : end + 500], small[100:160]]
    report = sample_report(texts, learn)
    assert report.copied == small[100:160]
    assert report == sample_report(texts, learn)
    assert report != sample_report(texts, corpus=small)
    learn.dls.train_ds.ids = _mapped(learn, tmp_path)
    assert sample_report(texts, learn) == report


def _mapped(learn, tmp_path):
    from fastai_charrnn.data.ids import MappedIds

    np.save(tmp_path / "ids.npy", learn.dls.train_ds.ids.data.numpy())
    return MappedIds(tmp_path / "ids.npy")


def test_results_of_generate_are_reported_as_a_table(trained):
    report = sample_report(trained.generate(["the valu", "a"], 200, seed=1, num=3), trained)
    assert (report.texts, report.chars) == (6, 1200)
    assert "longest copy" in repr(report)
    assert 0 < report.known_words <= 1
    assert len(report.copied) > 4
    assert sample_report(trained.generate("the", 90, seed=1), trained).texts == 1


def test_a_missing_text_or_corpus_is_an_error_that_says_what_to_pass(trained, tmp_path):
    loaded = load_model(save_model(trained, tmp_path / "m"))
    for args, message in (
        (([], trained), "no texts"),
        ((["a"],), "pass corpus="),
        ((["a"], None, ""), "corpus=''"),
        (([3], trained), "not int"),
        ((["a"], loaded), "a loaded model has none"),
    ):
        with pytest.raises(GenerationError, match=message):
            sample_report(*args)
