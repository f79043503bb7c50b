"""The frame of `make soak` counts right, wrong, crashed and hanging tries, and its report has all sections."""

import os
import signal
import time

import pytest
from soak_curves import check, growth, slope
from soak_workers import Task, run_tries, summary


class Ways(Task):
    "A task whose tries end in one of several ways, by their numbers."

    def make(self, number, folder):
        assert list(folder.iterdir()) == []
        (folder / "left").touch()
        if number == 0:
            raise AssertionError("the first")
        if number == 1:
            raise ValueError
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 3:
            time.sleep(60)
        if number == 4:
            return str(len(b"1" * 60_000_000))
        return "right"


def test_every_try_ends_with_an_outcome():
    outcomes = sorted(run_tries(Ways("ways", try_one=None, timeout=2, max_mb=50), range(9)))
    assert [outcome.number for outcome in outcomes] == list(range(9))
    kinds = [outcome.kind for outcome in outcomes]
    wrong = ["wrong result", "raises ValueError", "ends with SIGKILL", "hangs", "too large"]
    assert kinds == [*wrong, *["right"] * 4]
    assert [bool(outcome.wrong) for outcome in outcomes] == [True] * 5 + [False] * 4
    found = summary(outcomes)
    assert found["kinds"]["right"] == 4
    assert found["wrong"]["wrong result"] == {"try": 0, "why": "AssertionError: the first"}


def test_a_try_depends_only_on_its_number():
    task = Task("numbers", lambda rng, folder: str(rng.random()))
    first = sorted(run_tries(task, range(4)))
    assert len({outcome.kind for outcome in first}) == 4
    [again] = run_tries(task, [2])
    assert again.kind == first[2].kind


def test_a_curve_that_grows_is_wrong():
    flat = [[k, 300 + k % 2, 1, 9] for k in range(100)]
    check(flat, short=False)
    assert abs(growth(flat)) <= 1
    growing = [[k, 300 + k / 5, 1, 9] for k in range(100)]
    assert growth(growing) == pytest.approx(12)
    assert slope(growing) == pytest.approx(2**20 / 5)
    with pytest.raises(AssertionError, match="the memory grows by 12.0 MB"):
        check(growing, short=False)
    with pytest.raises(AssertionError, match="there are 10 file handles, and 9 after a fifth"):
        check([*flat, [100, 300, 1, 10]], short=True)
