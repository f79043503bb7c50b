"""Kill a training at a random moment, resume it, and compare it with one that was not killed: `try_one`.

    outcome = try_one(random.Random(3), folder)

Tests run a few tries, `make soak` many. A try forks this process, which must have imported torch and run no thread.
"""

import os
import random
import signal
import time
import traceback
from pathlib import Path

import torch
from fastai.callback.all import GradientAccumulation
from resume_cases import READINGS, differences, make_learner, outcome

from fastai_charrnn.all import CheckpointCallback

__all__ = ["try_one"]

ARCHS = ("rnn", "gru", "lstm", "mullstm")


def try_one(
    rng: random.Random,  # draws the training and the moments of the kills
    folder: Path,  # an empty folder for the checkpoints
) -> str:  # what was tried and how often the training was killed
    """Train in a child process that is killed up to three times, and resume after each kill.

    Raises `AssertionError` unless weights, optimizer, recorder, training log and random states are bit by bit those
    of an uninterrupted training."""
    plan = _plan(rng)
    # a forked process hangs if it computes in several threads
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _tried(plan, rng, folder)
    finally:
        torch.set_num_threads(n_threads)


def _tried(plan, rng, folder):
    expected = _finished(plan, folder / "whole")
    limit = 1.2 * expected["seconds"]
    n_kills = 0
    while n_kills < 3:
        child = _started(plan, folder, folder / "resumed.pt")
        if not _killed(child, rng.uniform(0, limit)):
            break
        n_kills += 1
    else:
        child = _started(plan, folder, folder / "resumed.pt")
        _killed(child, None)
    found = torch.load(folder / "resumed.pt", weights_only=False)
    assert "error" not in found, found["error"]
    different = differences(found["outcome"], expected["outcome"])
    assert different == [], (plan, n_kills, different)
    return f"{plan['arch']}, {plan['reading']}, killed {n_kills} times"


def _plan(rng):
    return dict(
        arch=rng.choice(ARCHS),
        reading=rng.choice(list(READINGS)),
        schedule=rng.choice(["fit", "one cycle", "phases", "accumulated"]),
        every=rng.choice(["epoch", 1, 2, 3, 5]),
        dropout=rng.choice([0.0, 0.3]),
        bf16=rng.random() < 0.25,
    )


def _trained(plan, folder):
    "Train as a script does that may be started again."
    checkpoints = CheckpointCallback(folder / "run", every=plan["every"])
    learn = make_learner(plan["reading"], plan["arch"], checkpoints, config=dict(output_p=plan["dropout"]))
    if plan["bf16"]:
        learn.to_bf16()
    learn.resume(folder / "run", missing_ok=True)
    if plan["schedule"] == "fit":
        learn.fit(2, 1e-2)
    elif plan["schedule"] == "one cycle":
        learn.fit_one_cycle(2, 1e-2)
    elif plan["schedule"] == "phases":
        learn.fit(1, 1e-2)
        learn.set_lrs(1e-3)
        learn.fit_one_cycle(1)
    else:
        learn.fit(2, 1e-2, cbs=GradientAccumulation(150))
    return outcome(learn)


def _finished(plan, folder):
    "The outcome without a kill, and how long it took."
    start = time.monotonic()
    found = _trained(plan, folder)
    return {"outcome": found, "seconds": time.monotonic() - start}


def _started(plan, folder, result):
    "Fork a process that trains and writes its outcome. Returns its id."
    child = os.fork()
    if child:
        return child
    try:
        found = {"outcome": _trained(plan, folder)}
    except BaseException:
        found = {"error": traceback.format_exc()}
    try:
        torch.save(found, result)
    finally:
        os._exit(0)


def _killed(child, seconds):
    "Wait for a child, and kill it after some seconds. Whether it was killed."
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        ended, _ = os.waitpid(child, 0 if end is None else os.WNOHANG)
        if ended:
            return False
        if time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return True
        time.sleep(0.002)
