"""A lost rank is a `DistribError` within the timeout, whose value is checked. Real processes over gloo."""

import time

import pytest
from processes import JOB, LAUNCHERS, launch, start_ranks

from fastai_charrnn.errors import DistribError


@pytest.mark.parametrize("timeout", [0, -1, "soon", float("nan")])
def test_a_timeout_is_a_number_of_seconds(learn, timeout, monkeypatch):
    message = f"timeout must be a number of seconds above 0, got {timeout!r}"
    with pytest.raises(DistribError, match=message), learn.distrib_ctx(timeout=timeout):
        pass
    monkeypatch.setenv("CHARRNN_TIMEOUT", str(timeout))
    with pytest.raises(DistribError, match="CHARRNN_TIMEOUT=60"), learn.distrib_ctx():
        pass


def test_an_error_that_is_not_of_a_collective_operation_is_left_alone(learn):
    error = RuntimeError("gloo: connection closed, timed out")
    with pytest.raises(RuntimeError) as caught, learn.distrib_ctx():
        raise error
    assert caught.value is error


@pytest.mark.slow
@pytest.mark.parametrize(
    "event,signal_name,timeout", [("batch", "SIGKILL", 60), ("batch", "SIGSTOP", 3), ("load", "SIGKILL", 60)]
)
def test_a_lost_rank_is_a_typed_error_within_the_timeout(tmp_path, event, signal_name, timeout):
    start = time.time()
    first, second = start_ranks("lost", tmp_path, event, signal_name, timeout)
    try:
        _, err = first.communicate(timeout=100)
        seconds = time.time() - start
    finally:
        second.kill()
    second.communicate()
    assert first.returncode == 1
    assert signal_name == "SIGSTOP" or seconds < 55, err
    assert "DistribError: rank 0 of 2 lost contact with another rank (" in err
    assert f"longer than timeout={timeout} seconds" in err.replace("\n", " ")
    assert "CHARRNN_TIMEOUT" in err


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS.values(), ids=LAUNCHERS)
def test_a_killed_rank_ends_the_run_under_a_launcher(tmp_path, launcher):
    p = launch(launcher, JOB, "lost", tmp_path, "batch", "SIGKILL", 300)
    assert p.returncode == 1
    assert "SIGKILL" in p.stderr, p.stderr
    assert not list(tmp_path.glob("*.pt"))
