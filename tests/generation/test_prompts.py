"""Prompts of any number and length: many are generated in batches, and only the end of a long one is read."""

from small_models import build, lively


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
