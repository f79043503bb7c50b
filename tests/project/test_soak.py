"""The frame of `make soak` counts right, wrong, crashed and hanging tries, and its report has all sections."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from notebooks import root
from soak_curves import check, growth, slope
from soak_page import page
from soak_sections import SECTIONS
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
            return str(len(b"1" * 200_000_000))
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


@pytest.mark.slow
def test_a_short_run_has_all_sections_and_no_wrong_outcome(tmp_path):
    command = [sys.executable, str(root / "tools/soak.py"), "--short", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"CHARRNN_OFFLINE": "1"})
    figures = json.loads((tmp_path / "reliability.json").read_text(encoding="utf-8"))
    wrong = {name: found["wrong"] for name, found in figures.items() if found["wrong"]}
    assert (done.returncode, wrong) == (0, {}), done.stderr
    assert {name: found["tries"] for name, found in figures.items()} == {k: s.n_short for k, s in SECTIONS.items()}
    assert (tmp_path / "RELIABILITY.md").read_text(encoding="utf-8") == page(figures)
    assert (tmp_path / "pictures/memory.png").stat().st_size > 20_000


def test_the_report_is_that_of_the_saved_figures_of_all_sections():
    figures = json.loads((root / "results/reliability.json").read_text(encoding="utf-8"))
    assert set(figures) == set(SECTIONS)
    assert (root / "results/RELIABILITY.md").read_text(encoding="utf-8") == page(figures)
    assert [name for name, found in figures.items() if found["wrong"]] == []
    assert (root / "results/pictures/memory.png").stat().st_size > 20_000
