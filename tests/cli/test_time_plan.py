"""How `charrnn train --minutes` divides its time: n-grams, and what the report needs. The clocks are counters."""

from itertools import count

import pytest

from fastai_charrnn._deadline import Deadline
from fastai_charrnn.all import CharDataLoaders, char_learner, human_numbers, ngram_baseline
from fastai_charrnn.cli.time_plan import count_ngrams, prepare_report


@pytest.fixture(scope="module")
def dls():
    text = human_numbers()[:150_000]
    return CharDataLoaders.from_text(text, seq_len=8, bs=16, target="every", stateful=True, device="cpu")


def _ticking():
    "A clock that is a second later every time it is read."
    seconds = count()
    return lambda: float(next(seconds))


@pytest.mark.parametrize("seconds, n_counted", [(0.5, 100_000), (1.5, 100_000), (2.2, 114_653), (9, 135_000)])
def test_n_grams_are_counted_in_what_the_time_allows(dls, seconds, n_counted):
    ngrams = count_ngrams(dls, Deadline(100.0, _ticking()), seconds)
    assert ngrams.baseline.n_train == n_counted
    assert ngrams.is_part_of(150_000) == (n_counted < 135_000)


def test_without_a_limit_all_is_counted(dls):
    assert count_ngrams(dls).baseline == ngram_baseline(dls)


def test_time_is_kept_for_samples_and_for_saving(dls):
    learn = char_learner(dls, "rnn", n_hid=8, seed=0)
    deadline = Deadline(100.0, _ticking())
    ngrams, earlier = prepare_report(learn, deadline, 1.0, ["one "], 200)
    # 20 characters took one second of this clock
    assert 10 < deadline.end - earlier.end < 13
    assert learn.dls.train_ds.info["ngram_loss"] == ngrams.baseline.best.nats
