"""Claim: with `CudaGraph()` a training step on a GPU takes at most a third of the time of the loop that one writes by
hand with PyTorch's own layers, and less than a millisecond or two.

A step is forward, backward and optimizer, in 32 bits and with PyTorch's defaults for TF32. It is the difference of two
fits of one epoch, a long and a short one, divided by the difference of their batches. So what a fit does once, such as
capturing a graph and validating, does not count. Lesson size is 512 windows of 8 characters and 256 hidden units; the
others are 32 streams of 32 characters and 512 units. The loop by hand uses `nn.RNN`, `nn.GRU`, `nn.LSTM` or the layers
step by step, PyTorch's Adam and the same batches, on the GPU too. The epoch is that of lesson 6's `rnn`, with
everything that `learn.fit` does. Texts are those of a stateful `lstm` with 512 units.
"""

import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import torch
from figures import Row, in_turn, ratios
from gpu import Epoch, Texts, Training, device

from fastai_charrnn.all import nietzsche, read_text

needs_gpu = True
# no case is begun after this many seconds
max_seconds = 200.0
_failures: list[str] = []


class Step(NamedTuple):
    "A training whose steps are timed, and what is promised about them, in milliseconds."

    arch: str
    mode: str  # windows or streams
    must: float
    aim: float

    def rows(self, short: bool) -> list[Row]:
        "The rows of the table."
        training = Training(self.arch, self.mode, short)
        times = in_turn(training.runs(), 1 if short else 5)
        steps = {name: training.milliseconds(times, name) for name in training.names}
        what = f"`{self.arch}`, {'512 x 8, 256 units' if self.mode == 'windows' else '32 x 32, 512 units'}"
        against = ratios(steps["plain"], steps["graph"])
        return [
            Row(f"{what}: a step with `CudaGraph()`", steps["graph"], "{:.2f}", " ms", self.must, self.aim, True),
            Row(f"{what}: the same without", steps["ours"], "{:.2f}", " ms"),
            Row(f"{what}: plain PyTorch", steps["plain"], "{:.2f}", " ms"),
            Row(f"{what}: `CudaGraph()` against plain PyTorch", against, "{:.1f}", "x", must=3.0),
        ]


class LessonEpoch(NamedTuple):
    "An epoch of lesson 6's `rnn`."

    must: float  # seconds
    aim: float

    def rows(self, short: bool) -> list[Row]:
        "The rows of the table."
        times = in_turn(Epoch(short).runs(), 1 if short else 3)
        return [
            Row("an epoch of lesson 6 with `CudaGraph()`", times["graph"], "{:.2f}", " s", self.must, self.aim, True),
            Row("the same without", times["ours"], "{:.2f}", " s"),
            Row("the same in plain PyTorch", times["plain"], "{:.2f}", " s"),
        ]


class Generated(NamedTuple):
    "Texts that are generated at once, and what is promised about them, in characters a second."

    n_texts: int
    must: float
    aim: float

    def rows(self, short: bool) -> list[Row]:
        "The rows of the table."
        texts = Texts(3 if short and self.n_texts > 1 else self.n_texts, short)
        times = in_turn(texts.runs(), 1 if short else 5)
        rates = {name: [texts.n_chars / s for s in times[name]] for name in times}
        what = "one text" if self.n_texts == 1 else f"{self.n_texts} texts"
        form = "{:,.0f}"
        unit = " characters/s"
        return [
            Row(f"{what}: `generate` with replayed steps", rates["graph"], form, unit, self.must, self.aim),
            Row(f"{what}: `generate`", rates["ours"], form, unit),
            Row(f"{what}: plain PyTorch", rates["plain"], form, unit),
        ]


CASES = [
    Step("rnn", "windows", must=0.5, aim=0.2),
    Step("loop", "windows", must=0.5, aim=0.2),
    Step("concat", "windows", must=0.8, aim=0.3),
    Step("lstm", "streams", must=1.2, aim=0.6),
    Step("gru", "streams", must=1.2, aim=0.6),
    Step("rnn", "streams", must=1.2, aim=0.6),
    Step("mullstm", "streams", must=4.0, aim=1.5),
    LessonEpoch(must=1.0, aim=0.3),
    Generated(1, must=10_000, aim=30_000),
    Generated(256, must=1_000_000, aim=3_000_000),
]


def measure(short: bool = False) -> list[Row]:
    "Time all cases on the GPU; with `short`, on a CPU if there is none. A case that fails is left out, and named."
    if device() == "cpu" and not short:
        raise SystemExit("this benchmark needs a GPU; `--short` runs its code on a CPU")
    _failures.clear()
    read_text(nietzsche())
    end = time.perf_counter() + max_seconds
    rows = []
    for case in CASES:
        if time.perf_counter() > end:
            _failures.append(f"`{case}`: no time was left")
            continue
        rows += _rows_of(case, short)
    return rows


def _rows_of(case, short):
    "The rows of a case, or none if it fails."
    try:
        rows = case.rows(short)
    except (RuntimeError, ValueError, TypeError, AttributeError) as e:
        if short:
            raise
        # a GPU may be at hand for minutes only, so the figures of the other cases must not be lost
        traceback.print_exc()
        _failures.append(f"`{case}`: {type(e).__name__}: {e}")
        return []
    for row in rows:
        print(" | ".join(row.cells()), file=sys.stderr, flush=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return rows


def more(pictures: Path) -> str:
    "What was not measured."
    if not _failures:
        return "All cases were measured."
    return "\n".join(["Not measured:", "", *(f"- {line}" for line in _failures)])
