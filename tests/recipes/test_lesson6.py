"""The networks of lesson 6's second part: the lesson's text, split, schedules and losses."""

import copy
from dataclasses import replace

import pytest
import torch

from fastai_charrnn.all import ArchError, DataError
from fastai_charrnn.recipes.lesson6 import LESSONS, lesson6, merge_rare


def test_rare_characters_are_merged_into_one():
    assert merge_rare("aaabbBxAé") == "aaabbb\ufffda\ufffd"
    assert merge_rare("ab", 1) == "ab"


def test_the_streams_have_the_lessons_text_and_split(text):
    "The lesson counts padding and the unknown character among its 56 tokens."
    dls = lesson6("stateful").dls(text)
    assert len(dls.vocab) == 56
    assert dls.train_ds.info["spans"] == (((0, 493747),), ((493747, 600893),))
    assert dls.train.bs == 64
    assert dls.seq_len == 8


def test_the_chunks_are_as_many_as_the_lessons(text):
    dls = lesson6("seq").dls(text)
    assert len(dls.train_ds) + len(dls.valid_ds) == 75_111
    assert len(dls.vocab) == 85
    assert not dls.stateful


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ArchError, match="known: seq, seq-identity, stateful, cell, gru, lstm"):
        lesson6("transformer")


def test_a_text_that_is_too_short_for_the_split_is_an_error():
    with pytest.raises(DataError, match="trains on the first 493,747"):
        lesson6("gru").dls("a text " * 100)


def _n_epochs(lesson):
    return sum(2 ** phase[2] - 1 if phase[0] == "sgdr" else phase[1] for phase in lesson.phases)


def test_the_schedules_have_the_printed_number_of_epochs():
    printed = {"seq": 5, "seq-identity": 8, "stateful": 8, "cell": 4, "gru": 9, "lstm": 65}
    assert {name: _n_epochs(lesson) for name, lesson in LESSONS.items()} == printed


def test_the_optimizer_is_pytorchs_adam_with_its_weight_decay(text):
    """The lesson's LSTM had weight_decay=1e-5 on all parameters, added to the gradients, unlike AdamW's.

    A value 1,000 times as large shows after three steps."""
    recipe = replace(lesson6("gru"), wd=1e-2)
    learn = recipe.learner(text)
    plain = copy.deepcopy(learn.model)
    learn.create_opt()
    learn.opt.set_hypers(lr=1e-3)
    adam = torch.optim.Adam(plain.parameters(), lr=1e-3, weight_decay=1e-2)
    x, y = learn.dls.one_batch()
    for _ in range(3):
        for model, opt in ((learn.model, learn.opt), (plain, adam)):
            model.reset()
            torch.nn.functional.nll_loss(model(x).flatten(0, 1), y.flatten()).backward()
            opt.step()
            opt.zero_grad()
    for (name, p), expected in zip(learn.model.named_parameters(), plain.parameters()):
        torch.testing.assert_close(p, expected, atol=1e-6, rtol=1e-5, msg=name)


def test_only_the_lstm_has_weight_decay():
    assert lesson6("lstm").wd == 1e-5
    assert not any(lesson.wd for name, lesson in LESSONS.items() if name != "lstm")


@pytest.mark.slow
def test_seq_ends_with_the_printed_loss(text):
    "Within 0.02. The longer trainings are in results/LEADERBOARD.md."
    recipe = lesson6("seq")
    learn = recipe.learner(text, seed=0)
    phases = []
    with learn.no_bar(), learn.no_logging():
        loss = recipe.fit(learn, on_phase=lambda k, row: phases.append(k))
    assert abs(loss - recipe.printed) < 0.02
    assert len(learn.training_log.rows) == 5
    assert phases == [0, 1]
