"""The validation part of a text that a model was trained on."""

import pytest

from fastai_charrnn.all import CharDataLoaders, char_learner, load_model, save_model
from fastai_charrnn.analysis.held_out import evaluate_spans, held_out, is_trained_text


@pytest.mark.parametrize(
    "kw",
    [dict(), dict(valid="blocks"), dict(target="every"), dict(target="every", stateful=True, bs=8, seq_len=16)],
    ids=str,
)
def test_the_part_held_out_has_the_validation_loss(small, kw):
    dls = CharDataLoaders.from_text(small, **dict(bs=64, seq_len=8) | kw, device="cpu")
    learn = char_learner(dls, n_hid=16, seed=0)
    spans = held_out(learn, small)
    assert sum(b - a for a, b in spans) == pytest.approx(3000, abs=10)
    found = evaluate_spans(learn, small, spans)
    # streams of other widths begin at other characters
    near = 0.02 if dls.stateful else 1e-5
    assert found["loss"] == pytest.approx(learn.validate()[0], abs=near)


def test_another_text_has_no_part_held_out(learn, small):
    other = small[:-1] + ("a" if small[-1] != "a" else "b")
    assert not is_trained_text(learn, other)
    assert held_out(learn, other) is None


def test_a_random_split_has_no_part_held_out(small):
    learn = char_learner(CharDataLoaders.from_text(small, valid="random", device="cpu"), n_hid=8)
    assert is_trained_text(learn, small)
    assert held_out(learn, small) is None


def test_a_model_file_remembers_its_text(learn, small, tmp_path):
    again = load_model(save_model(learn, tmp_path / "m"))
    assert is_trained_text(again, small)
    assert held_out(again, small) == [(27000, 30000)]
