"""`find_units` finds the units that track a feature, and scores them on text they were not chosen by."""

import numpy as np
import pytest
import torch
from small_models import build

from fastai_charrnn.all import CharDataLoaders, CharModel, char_learner
from fastai_charrnn.analysis.text_features import FEATURES, feature_rows
from fastai_charrnn.analysis.tracking import TrackedUnit, find_units
from fastai_charrnn.analysis.units import hidden_states
from fastai_charrnn.errors import DataError


class Counter(CharModel):
    "Units made by hand: 0 is constant, 1 falls to 0 at a space, 2 alternates, 3 counts characters since a line end."

    def table(self):
        return torch.eye(self.vocab_sz)

    def step(self, inp, state):
        (h,) = state
        space, line_end = self.marks
        since = (h[:, 3] + 1) * (1 - inp[:, line_end])
        return (torch.stack([torch.ones_like(since), 1 - inp[:, space], 1 - h[:, 2], since], 1),)


@pytest.fixture
def counter(small):
    dls = CharDataLoaders.from_text(small, device="cpu")
    learn = char_learner(dls, Counter, n_hid=4)
    learn.model.marks = [dls.vocab.o2i[char] for char in " \n"]
    return learn


def _values(name, text):
    return feature_rows(text, {name: FEATURES[name]})[0].astype(int).tolist()


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("quotes", 'a "b" c', [0, 0, 1, 1, 0, 0, 0]),
        ("quotes", "“a «b” c", [1, 1, 1, 1, 1, 0, 0, 0]),
        ("quotes", '"a\n\nb', [1, 1, 1, 0, 0]),
        ("brackets", "f([a]) )", [0, 1, 2, 2, 1, 0, 0, 0]),
        ("brackets", "(a\n\nb", [1, 1, 1, 0, 0]),
        ("line position", "ab\ncd", [1, 2, 0, 1, 2]),
        ("line position", "abcd", [0, 0, 0, 0]),
        ("word position", "ab, cd", [1, 2, 0, 0, 1, 2]),
        ("word beginnings", "ab, cd", [1, 0, 0, 0, 1, 0]),
        ("indentation", "a b\n  c d", [0, 0, 0, 0, 1, 1, 0, 0, 0]),
        ("capitals", "aBc", [0, 1, 0]),
        ("digits", "a1 2", [0, 1, 0, 1]),
    ],
)
def test_features_of_short_texts(name, text, values):
    assert _values(name, text) == values


def test_units_made_by_hand_are_found(counter, small):
    found = {row.tracks: row for row in find_units(counter, small[:4000], by="streams")}
    assert found["spaces"] == TrackedUnit(1, "spaces", *found["spaces"][2:])
    assert found["spaces"].direction == "falls"
    assert found["spaces"].score == pytest.approx(1)
    assert found["spaces"].mean == pytest.approx(small[:4000].count(" ") / 4000)
    assert found["line position"][:2] == (3, "line position")
    assert found["line position"].score > 0.99
    assert {row.unit for row in found.values()} <= {1, 2, 3}


def test_the_score_is_the_correlation_over_the_second_half(trained, small):
    text = small[5000:9001]
    found = find_units(trained, text, n=None, min_score=0)
    states = hidden_states(trained, text)
    assert len(found) > 5
    for row in found:
        feature = feature_rows(text, {row.tracks: FEATURES[row.tracks]})[0]
        first = np.array([np.corrcoef(feature[:2000], unit[:2000])[0, 1] for unit in states.T])
        second = np.corrcoef(feature[2000:], states[2000:, row.unit])[0, 1]
        assert row.unit == np.abs(first).argmax()
        assert row.chosen_by == pytest.approx(abs(first[row.unit]), abs=1e-4)
        assert row.score == pytest.approx(second * np.sign(first[row.unit]), abs=1e-4)
    assert [row.score for row in found] == sorted((row.score for row in found), reverse=True)


def test_a_unit_that_fits_by_luck_is_not_found(trained, small):
    noise = np.random.default_rng(0)
    found = find_units(trained, small[:4000], features={"noise": lambda text: noise.integers(0, 2, len(text))})
    assert len(found) == 0
    assert "has a score of" in found.left_out["noise"]
    assert "no unit tracks a feature" in repr(found)


def test_features_that_do_not_occur_are_left_out_and_named(trained):
    text = "the value of an expression is\n" * 40
    found = find_units(trained, text, n=None, min_score=0)
    assert {"quotes", "brackets", "digits", "capitals", "punctuation"} <= set(found.left_out)
    assert "Left out: digits, which does not occur in the text." in repr(found)
    assert "Left out: digits, which does not occur in the text." in found._repr_html_()
    assert {row.tracks for row in found} | set(found.left_out) == set(FEATURES)


def test_a_table_prints_and_escapes_and_gives_a_frame(trained, small):
    features = {"<b>e\x1b": lambda text: [char == "e" for char in text], "spaces": FEATURES["spaces"]}
    found = find_units(trained, small[:4000], features=features, min_score=0)
    assert "<b>" not in found._repr_html_()
    assert "&lt;b&gt;" in found._repr_html_()
    assert "\x1b" not in repr(found)
    assert list(found.df.tracks) == [row.tracks for row in found]
    assert found[0] == found.rows[0]
    assert found.units == list(dict.fromkeys(found.df.unit))
    assert f"unit {found[0].unit} (" in found.label(found[0].unit)
    assert found.label(1000) == "unit 1000"
    assert len(find_units(trained, small[:4000], n=1, features=features, min_score=0)) == 1


def test_skipped_characters_are_left_out_of_the_features_too(trained, small):
    text = small[:4000]
    plain = find_units(trained, text)
    mixed = find_units(trained, text[:1000] + "€" * 50 + text[1000:], unk="skip")
    assert list(mixed) == list(plain)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(n=0), "n=0"),
        (dict(min_score=2), "min_score=2"),
        (dict(features=["quotes"]), "not a dict"),
        (dict(features={"a": 1}), "function of a text"),
        (dict(features={"a": lambda text: [1]}), "shape"),
        (dict(features={"a": lambda text: [np.nan] * len(text)}), "NaN"),
        (dict(features={"a": lambda text: text}), "does not return numbers"),
    ],
)
def test_impossible_arguments_are_named(trained, small, arguments, message):
    with pytest.raises(DataError, match=message):
        find_units(trained, small[:200], **arguments)


def test_a_text_that_is_too_short_is_refused(trained, small):
    with pytest.raises(DataError, match="at least 40"):
        find_units(trained, small[:30])


def test_every_architecture_is_searched(small):
    for arch in ("concat", "lstm"):
        assert len(find_units(build(small, arch), small[:2000], min_score=0)) > 3
