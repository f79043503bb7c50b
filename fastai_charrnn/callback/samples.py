"""Samples during training: `PredictNextCallback` prints a continuation of each prompt after every epoch.

    learn = char_learner(dls, prompts=["the valu"])
    learn.fit(2)
    learn.predict_next_cb.samples[-1].text

Each sample is kept with the losses of its epoch, and written to a CSV file if you pass `fname`.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fastai.basics import L, noop
from fastai.callback.progress import ProgressCallback
from fastai.torch_core import rank_distrib

from .._checks import check_count, check_path
from .._files import atomic_path, write_errors
from .._html import as_table, as_text, escaped
from ..errors import DataError, GenerationError, TrainingError
from ..generation.continuing import check_request, continue_texts
from ..generation.options import GenerationConfig
from ..generation.prompts import single_text
from .core import TrainEpochCallback
from .write_policy import check_on_error, errors_as_chosen

__all__ = ["PredictNextCallback"]


class Sample(NamedTuple):
    "A text that was sampled after an epoch."

    epoch: int  # counted from 0 in each fit, as fastai does
    prompt: str
    text: str  # prompt and continuation
    train_loss: float | None = None  # of the epoch, in nats; None if the learner does not record it
    valid_loss: float | None = None  # of the epoch, in nats; None without validation
    bits_per_char: float | None = None  # of the continuation, under the model itself
    seed: int | None = None  # None if nothing was drawn


class PredictNextCallback(TrainEpochCallback):
    """Continue `prompts` after each epoch of training, print the texts and keep them in `samples`.

    It is `learn.predict_next_cb`, because fastai's name for it would hide the method `learn.predict_next`. Only the
    first of several processes samples, and nothing is sampled under `lr_find`, `validate` and `get_preds`. Training is
    the same with and without it. Raises `GenerationError` for invalid options at once, `UnknownCharError` before
    training. If the file cannot be written, for example on a full disk, the old file stays, and a `CharRnnWarning`
    says so. With `on_error="stop"` that is a `TrainingError`."""

    order = ProgressCallback.order + 2
    run_valid = False
    name = "predict_next_cb"

    def __init__(
        self,
        prompts: str | Sequence[str] = (),  # texts to continue; without any, the callback does nothing
        n: int = 40,  # largest number of new characters
        temperature: float = 0.8,  # 0 is greedy, as `predict_next`
        every: int = 1,  # sample after every so many epochs
        fname: str | Path | None = None,  # CSV file in `learn.path` for all samples; None: no file
        seed: int = 42,  # used in every epoch, so that only the model changes
        return_prompt: bool = True,  # whether texts begin with the prompt
        unk: str = "error",  # characters outside the vocabulary, as in `generate`
        top_k: int | None = None,  # this and the options below: as in `generate`
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float | None = None,
        stop: str | Sequence[str] | Callable[[str], bool] | None = None,
        num: int | None = None,  # texts for each prompt
        beam: int | None = None,
        on_error: str = "warn",  # if `fname` cannot be written: "warn" and train on, as all samples are kept, or "stop"
    ):
        check_on_error(on_error)
        every = check_count("every", every, hint="1 samples after each epoch")
        if n is None:
            raise GenerationError("n=None never ends; pass a number of characters")
        prompts = L(prompts)
        for prompt in prompts:
            single_text(prompt)
        if fname is not None:
            check_path("fname", fname)
        self.options = GenerationConfig(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            stop=stop,
            seed=None if beam else seed,
            num=num,
            beam=beam,
            n=n,
        )
        self.prompts = prompts
        self.n = n
        self.every = every
        self.fname = fname
        self.on_error = on_error
        self.return_prompt = return_prompt
        self.unk = unk
        self.samples: list[Sample] = []

    def before_fit(self):
        if not hasattr(self.learn, "lr_finder") and not hasattr(self, "gather_preds"):
            self.check()

    def check(self):
        "Raise `UnknownCharError` or `GenerationError` now, not after the first epoch."
        if self.fname is not None and self._path().is_dir():
            raise DataError(f"fname={self.fname} is a folder; pass the name of a CSV file")
        check_request(self.learn, self.prompts, self.options, self.unk)

    def trained_epoch(self):
        "Continue every prompt."
        is_due = (self.epoch + 1) % self.every == 0
        if not is_due or not len(self.prompts) or rank_distrib():
            return
        texts, _ = continue_texts(self.learn, self.prompts, self.options, self.return_prompt, self.unk)
        losses = self._losses()
        new = [Sample(self.epoch, o.prompt, o.text, *losses, o.bits_per_char, o.seed) for o in texts]
        self.samples += new
        if self.fname is not None:
            self._write_file()
        if self.learn.logger is not noop:
            # not with the bar's own `write`: in notebooks the next row of the table replaces it
            for sample in new:
                print(f"  {sample.text!r}")

    def _repr_html_(self) -> str:
        "A table of the samples by epoch, each wrapped at the width of the page."
        rows = [
            (str(o.epoch), _shown(o.train_loss), _shown(o.valid_loss), _shown(o.bits_per_char), _as_cell(o))
            for o in self.samples
        ]
        columns = ["epoch", "train loss", "valid loss", "bits per char", "sample"]
        return as_table(columns, rows, left=(4,)) if rows else "no sample was taken"

    def state_dict(self) -> dict:
        "Return the samples, for checkpoints."
        return {"samples": [list(sample) for sample in self.samples], "trained": self.trained}

    def load_state_dict(self, state: dict):
        "Set what `state_dict` returned."
        self.samples = [Sample(*sample) for sample in state["samples"]]
        self.trained = state["trained"]

    def _losses(self):
        "The training and validation loss of the epoch; None for what fastai did not record."
        if not hasattr(self.learn, "recorder"):
            return None, None
        record = dict(zip(self.learn.recorder.metric_names[1:], self.learn.final_record))
        losses = record.get("train_loss"), record.get("valid_loss")
        return tuple(None if loss is None else float(loss) for loss in losses)

    def _path(self):
        return Path(self.learn.path) / self.fname

    def _write_file(self):
        "Write all samples. Readers find a complete file at any time."
        path = self._path()
        with errors_as_chosen(self.on_error), write_errors(path, TrainingError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                atomic_path(path) as part,
                part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as f,
            ):
                csv.writer(f).writerows([Sample._fields, *self.samples])


def _shown(number):
    return "" if number is None else f"{number:.3f}"


def _as_cell(sample):
    "The text of a sample as HTML, its prompt underlined."
    prompt = sample.prompt if sample.text.startswith(sample.prompt) else ""
    continuation = escaped(sample.text[len(prompt) :], lines=True)
    return as_text(f"<u>{escaped(prompt, lines=True)}</u>{continuation}" if prompt else continuation)
