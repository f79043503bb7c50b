"""The script for a machine with a GPU keeps what was finished, and stops what takes too long."""

import sys

import gpu_check


def test_a_part_that_fails_or_is_stopped_loses_nothing(tmp_path, capsys):
    printed = "print('tests/a.py::test_a PASSED [ 50%]')"
    slow = [sys.executable, "-u", "-c", f"import time; {printed}; time.sleep(60)"]
    rows = "print('rnn | 1 ms |  |  | '); raise SystemExit(3)"
    fails = [sys.executable, "-c", rows]
    parts = [gpu_check.Part("tests", slow, 0.5), gpu_check.Part("benchmark", fails, 60)]
    assert not gpu_check.check(parts, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"tests: stopped after 0 s; {tmp_path / 'tests.log'}"
    assert lines[1:4] == [
        "  1 passed, 0 failed, 0 skipped",
        "  the end of the log:",
        "  tests/a.py::test_a PASSED [ 50%]",
    ]
    assert lines[4].endswith(f"(exit code 3); {tmp_path / 'benchmark.log'}")
    assert lines[5] == "  rnn | 1 ms |  |  | "


def test_the_parts_take_less_than_nine_minutes(tmp_path):
    parts = gpu_check.parts(False, tmp_path)
    assert [part.name for part in parts] == ["tests", "benchmark"]
    assert sum(part.seconds for part in parts) < 9 * 60


LOG = """tests/a.py::test_a PASSED      [ 10%]
[gw1] [ 20%] PASSED tests/a.py::test_b
tests/a.py::test_c[PASSED] FAILED [ 30%]
[gw0] [ 40%] FAILED tests/a.py::test_d
tests/a.py::test_e SKIPPED (needs two GPUs) [ 50%]
FAILED tests/a.py::test_c[PASSED] - assert 1 == 2
FAILED tests/a.py::test_d - RuntimeError
"""


def test_failed_tests_are_named():
    assert gpu_check.tests_summary(LOG) == [
        "2 passed, 2 failed, 1 skipped",
        "  failed: tests/a.py::test_c[PASSED]",
        "  failed: tests/a.py::test_d",
    ]
