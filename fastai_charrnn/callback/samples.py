"""What a model writes while it is trained: `PredictNextCallback` shows it after each epoch, keeps it, and logs it to a file if asked."""

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fastai.basics import L, noop
from fastai.callback.progress import ProgressCallback
from fastai.torch_core import rank_distrib

from .._utils import is_count
from ..errors import DataError
from ..generation.options import GenerationConfig
from ..generation.text import check_request, continue_texts
from .core import TrainEpochCallback

__all__ = ["PredictNextCallback", "Sample"]


class Sample(NamedTuple):
    "What a model wrote after an epoch."

    epoch: int  # counted from 0 in each fit, as fastai does
    prompt: str
    text: str  # prompt and continuation
    train_loss: float | None = None  # of the epoch, in nats; None where the learner keeps no record of it
    valid_loss: float | None = None  # likewise; None without validation
    bits_per_char: float | None = None  # of the continuation, under the model itself
    seed: int | None = None  # what it was drawn with; None: nothing was drawn


class PredictNextCallback(TrainEpochCallback):
    """Show how the model continues `prompts` after each training epoch, and keep it in `samples`.

    Reachable as `learn.predict_next_cb`, for its default name would hide the method `learn.predict_next`. Quiet under `lr_find`,
    `validate` and `get_preds`, and on all but the first of several processes; the numbers of training are the same with and without
    it. Raises `GenerationError` for options without sense when it is made, `UnknownCharError` for prompts before training."""

    order = ProgressCallback.order + 2
    run_valid = False
    name = "predict_next_cb"

    def __init__(
        self,
        prompts: str | Sequence[str] = (),  # texts to continue; none: stay quiet
        n: int = 40,  # characters to write for each, at most
        temperature: float = 0.8,  # how the characters are drawn, as in `generate`; 0: greedy, as `predict_next`
        every: int = 1,  # epochs between two showings
        fname: str | Path | None = None,  # a CSV file under `learn.path` for all samples so far; None: no file
        seed: int = 42,  # the same for every epoch, so that only the model changes
        return_prompt: bool = True,  # whether texts begin with the prompt
        unk: str = "error",  # characters outside the vocabulary, as in `generate`
        top_k: int | None = None,  # this and the options below: as in `generate`
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float | None = None,
        stop: str | Sequence[str] | Callable[[str], bool] | None = None,
        num: int = 1,  # texts for each prompt
        beam: int | None = None,
    ):
        if not is_count(every):
            raise DataError(f"every={every!r} is not a whole number of epochs from 1 up")
        drawn_with = None if beam else seed
        self.options = GenerationConfig(
            temperature, top_k, top_p, min_p, repetition_penalty, stop, drawn_with, num, beam
        )
        self.prompts = L(prompts)
        self.n = n
        self.every = every
        self.fname = fname
        self.return_prompt = return_prompt
        self.unk = unk
        self.samples = []

    def before_fit(self):
        if not hasattr(self.learn, "lr_finder") and not hasattr(self, "gather_preds"):
            self.check()

    def check(self):
        "Raise `UnknownCharError` or `GenerationError` now rather than after an epoch."
        check_request(self.learn, self.prompts, self.n, self.options, self.unk)

    def trained_epoch(self):
        "Continue every prompt."
        if (self.epoch + 1) % self.every or not len(self.prompts) or rank_distrib():
            return
        texts, _ = continue_texts(self.learn, self.prompts, self.n, self.options, self.return_prompt, self.unk)
        losses = self._losses()
        new = [Sample(self.epoch, o.prompt, o.text, *losses, o.bits_per_char, o.seed) for o in texts]
        self.samples += new
        if self.fname is not None:
            self._log()
        if self.learn.logger is not noop:  # printed, for in notebooks the bar's own `write` is lost with the next row
            for s in new:
                print(f"  {s.text!r}")

    def _losses(self):
        "The epoch's losses by name, from fastai's record."
        if not hasattr(self.learn, "recorder"):
            return None, None
        named = dict(zip(self.learn.recorder.metric_names[1:], self.learn.final_record))
        return tuple(None if named.get(k) is None else float(named[k]) for k in ("train_loss", "valid_loss"))

    def _log(self):
        "All samples, written beside the file and renamed: the file is whole at any moment."
        path = Path(self.learn.path) / self.fname
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as f:
            csv.writer(f).writerows([Sample._fields, *self.samples])
        os.replace(part, path)
