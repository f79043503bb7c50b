"""The lesson's other networks: its text, its split, its losses."""
import pytest
from fastai_charrnn.all import ArchError,DataError
from fastai_charrnn.lessons import LESSONS,lesson6,merge_rare


def test_rare_characters_are_merged_into_one():
    assert merge_rare("aaabbBxAé") == "aaabbb\ufffda\ufffd" and merge_rare("ab", 1) == "ab"


def test_the_lessons_text_and_split(text):
    "56 tokens, of which the lesson counts padding and the unknown; 493,747 characters train; 75,111 chunks."
    dls = lesson6("stateful").dls(text)
    assert len(dls.vocab) == 56 and dls.train_ds.info["spans"] == (((0, 493747),), ((493747, 600893),)) and dls.train.bs == 64 and dls.window == 8
    dls = lesson6("seq").dls(text)
    assert len(dls.train_ds)+len(dls.valid_ds) == 75_111 and len(dls.vocab) == 85 and not dls.stateful


def test_unknown_names_and_other_texts_are_said():
    with pytest.raises(ArchError, match="known: seq, seq-identity, stateful, cell, gru, lstm"): lesson6("transformer")
    with pytest.raises(DataError, match="trains on the first 493,747"): lesson6("gru").dls("a text "*100)


def test_the_schedules_have_the_printed_number_of_epochs():
    def n(lesson): return sum(2**p[2]-1 if p[0] == "sgdr" else p[1] for p in lesson.phases)
    assert {k:n(o) for k,o in LESSONS.items()} == {"seq":5, "seq-identity":8, "stateful":8, "cell":4, "gru":9, "lstm":65}


@pytest.mark.slow
def test_seq_ends_where_the_lesson_printed(text):
    "Met within 0.02; the longer ones are in LEADERBOARD.md."
    recipe = lesson6("seq")
    learn = recipe.learner(text, seed=0)
    with learn.no_bar(), learn.no_logging(): loss = recipe.fit(learn)
    assert abs(loss-recipe.printed) < .02 and len(learn.training_log.rows) == 5
