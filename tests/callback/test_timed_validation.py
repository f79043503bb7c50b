"""Validation within a time: what is read of it, and how a fit divides its time. Its clocks are counters."""

from itertools import count

import pytest
import torch
from learner_helpers import weights

from fastai_charrnn._deadline import Deadline
from fastai_charrnn.all import CharDataLoaders, DataError, char_learner, human_numbers
from fastai_charrnn.callback.timed_validation import TimedBatches, spread_order, validate_until

TEXT = human_numbers()[:9000]
READINGS = {
    "windows": dict(target="next"),
    "chunks": dict(target="every"),
    "streams": dict(target="every", stateful=True),
}


def _learner(reading):
    dls = CharDataLoaders.from_text(TEXT, seq_len=8, bs=16, val_bs=4, device="cpu", **READINGS[reading])
    learn = char_learner(dls, "rnn", n_hid=8, seed=0)
    learn.remove_cb(learn.progress)
    return learn


def _ticking():
    "A clock that is a second later every time it is read."
    seconds = count()
    return lambda: float(next(seconds))


def _read(dl, n_min):
    "The batches of a time that is over after `n_min` of them."
    return list(TimedBatches(dl, Deadline(0.0, _ticking()), n_min))


@pytest.mark.parametrize("n", [1, 2, 10, 97])
def test_any_beginning_of_the_order_is_spread_over_all_numbers(n):
    order = spread_order(n)
    assert sorted(order) == list(range(n))
    for k in range(1, n + 1):
        marks = sorted(order[:k])
        gaps = [b - a for a, b in zip([-1, *marks], [*marks, n])]
        assert max(gaps) <= 3 * n / k + 1


def test_streams_read_the_beginning_of_every_row():
    dl = _learner("streams").dls.valid
    part = _read(dl, 5)
    assert len(part) == 5
    for (x, y), (x_all, y_all) in zip(part, dl):
        assert x.equal(x_all) and y.equal(y_all)


@pytest.mark.parametrize("reading", ["windows", "chunks"])
def test_batches_that_do_not_depend_on_each_other_are_taken_from_all_over_the_text(reading):
    dl = _learner(reading).dls.valid
    rows = [x[0].tolist() for x, _ in dl]
    numbers = [rows.index(x[0].tolist()) for x, _ in _read(dl, 4)]
    assert len(numbers) == 4
    assert max(numbers) > 0.7 * len(rows)


@pytest.mark.parametrize("reading", READINGS)
def test_with_enough_time_all_is_validated(reading):
    learn = _learner(reading)
    values, part = validate_until(learn, Deadline.after(1000))
    assert part == 1
    assert list(values) == pytest.approx(list(learn.validate()), abs=1e-5)


@pytest.mark.parametrize("reading", READINGS)
def test_a_part_has_the_loss_of_its_batches(reading):
    learn = _learner(reading)
    # two readings of the clock for each batch
    values, part = validate_until(learn, Deadline(9.0, _ticking()))
    batches = _read(learn.dls.valid, 5)
    assert list(values) == pytest.approx(list(learn.validate(dl=batches)), abs=1e-5)
    n_targets = sum(y.numel() for _, y in batches)
    assert part == pytest.approx(n_targets / learn.dls.valid_ds.n_targets)
    assert 0 < part < 1


def test_training_and_validation_end_before_the_deadline():
    learn = _learner("streams")
    clock = _ticking()
    row = learn.fit_minutes(100 / 60, 1e-2, deadline=Deadline(100.0, clock))
    assert 80 < clock() <= 110
    assert 0 < row["valid_part"] < 0.5
    assert len(learn.recorder.losses) > 30
    assert learn.recorder.lrs[-1] < 0.1 * max(learn.recorder.lrs)


def test_a_short_validation_leaves_the_time_to_training():
    learn = _learner("streams")
    clock = _ticking()
    row = learn.fit_minutes(600 / 60, 1e-2, deadline=Deadline(600.0, clock))
    assert "valid_part" not in row
    assert clock() <= 660
    assert row["valid_loss"] == pytest.approx(learn.validate()[0], abs=1e-6)


def test_training_gets_a_part_of_the_minutes_after_the_deadline_too():
    learn = _learner("streams")
    row = learn.fit_minutes(40 / 60, 1e-2, deadline=Deadline(0.0, _ticking()))
    assert 5 <= len(learn.recorder.losses) <= 10
    assert row["valid_loss"] > 0


def test_measuring_does_not_change_training():
    learns = [_learner("streams") for _ in range(2)]
    for learn, n_read in zip(learns, (0, 1)):
        if n_read:
            learn.validate(dl=TimedBatches(learn.dls.valid, Deadline(0.0, _ticking()), 3))
        learn.fit(1)
    assert torch.equal(*map(weights, learns))


def test_what_is_not_a_deadline_is_refused():
    with pytest.raises(DataError, match="deadline=5 is not a Deadline"):
        _learner("streams").fit_minutes(1, 1e-2, deadline=5)
