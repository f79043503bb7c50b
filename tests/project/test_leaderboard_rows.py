"""What the runs of the leaderboard measure: compressors, n-grams, networks, the choice of the recipe."""

import math

import pytest
from compressors import COMPRESSORS, Compressor, compress_last_part
from leaderboard_networks import count_ngrams, cut_text, held_out, train_arch
from leaderboard_recipe import decision, while_reading
from plain_lstm import train_plain_lstm

from fastai_charrnn.all import CharDataLoaders, char_learner


def test_a_compressor_scores_the_last_part_after_what_it_read_before():
    assert compress_last_part(Compressor("none", len), "ab" * 500) == pytest.approx(
        dict(nats=8 * math.log(2), seconds=0), abs=0.1
    )
    text = "the same sentence again and again. " * 3000
    losses = [compress_last_part(compressor, text)["nats"] for compressor in COMPRESSORS if not compressor.programs]
    assert len(losses) == 2 and all(0 <= nats < 0.1 for nats in losses)


def test_a_program_that_is_not_installed_is_not_measured():
    assert compress_last_part(Compressor("x", len, ("no-such-program-here",), "x"), "abc" * 10) is None


@pytest.mark.parametrize("n_chars", [1000, 600_893, 355_483])
def test_a_text_is_cut_after_the_last_character_that_is_scored(n_chars):
    text = "x" * n_chars
    n_train = int(n_chars * 0.9)
    cut, pct = cut_text(text, max_scored=50)
    assert len(cut) == n_train + 50 and int(len(cut) * (1 - pct)) == n_train
    assert len(held_out(text, max_scored=50)) == 51
    assert len(held_out(text)) == n_chars - n_train + 1


def test_networks_and_counts_return_rows():
    text = "the cat sat on the mat. the dog sat on the log. " * 60
    counted = count_ngrams(text, max_scored=100)
    assert counted["nats"] < 0.5 and 1 <= counted["context"] <= 10
    row = train_arch(text, "rnn", "streams", 0.3, 42, max_scored=100, n_hid=16)
    assert row["mode"] == "streams" and row["nats"] == row["streams_nats"] < 4
    windows = train_arch(text, "rnn", "windows", 0.3, 42, max_scored=100, n_hid=16)
    assert windows["nats"] != windows["streams_nats"]
    plain = train_plain_lstm(text, 0.2, 42)
    assert plain["seconds"] == 0.2 and plain["nats"] < 4


def test_the_choice_of_the_recipe_is_read_from_what_the_command_prints():
    printed = "CharDataLoaders: 5 batches\nmullstm, 2 networks of 768 hidden units, 5 minutes: 9 parameters\n  epoch"
    assert decision(printed) == "mullstm, 2 networks of 768 hidden units, 5 minutes: 9 parameters"
    with pytest.raises(ValueError, match="no line with the choices"):
        decision("epoch 1")


def test_a_network_that_learns_while_it_reads_is_scored_on_the_end_of_the_text():
    text = "the cat sat on the mat. the dog sat on the log. " * 60
    dls = CharDataLoaders.from_text(text, seq_len=16, bs=4, target="every", stateful=True, device="cpu")
    learn = char_learner(dls, "rnn", n_hid=8, seed=1)
    losses = while_reading(learn, text, held_out(text))
    assert set(losses) == {"dynamic", "counts", "mixed"}
    # counts know the text before, and the network is not trained
    assert losses["mixed"] < 0.5 < 2 < losses["dynamic"]
