"""Samples of a model while it is trained, by the clock: `SampleClock`."""

import re
import time

import torch
from fastai.basics import Learner

from ..generation.continuing import continue_texts
from ..generation.options import GenerationConfig
from ..page.examples import page_text

__all__ = ["SampleClock"]

_n_chars = 200  # of a sample
_prompt_chars = 24
_max_kept = 40  # samples that are shown
_max_cost = 0.01  # part of the time that samples may take


class SampleClock:
    "Continues a prompt every so many seconds, or less often if that takes long."

    def __init__(
        self,
        seconds: float,  # between two samples
    ):
        self.seconds = seconds
        self.next_time = 0.0
        self.last_time = 0.0
        self.prompt: str | None = None
        self.temperature = 0.8
        self.n_seen = 0
        self.kept: list[dict] = []

    def prepare(
        self,
        learn: Learner,  # before its fit
    ):
        "Choose the prompt: that of the learner's own samples, or the beginning of the validation text."
        own = getattr(learn, "predict_next_cb", None)
        self.n_seen = len(own.samples) if own else 0
        if own and len(own.prompts):
            self.prompt = own.prompts[0]
            self.temperature = own.options.temperature
        else:
            self.prompt = _beginning(page_text(learn))
        self._wait(0.0)

    def is_due(self) -> bool:
        "Whether it is time for a sample."
        return self.prompt is not None and time.monotonic() >= self.next_time

    def is_old(self) -> bool:
        "Whether the last sample is older than a tenth of the time between two."
        return time.monotonic() - self.last_time >= self.seconds / 10

    def sample(
        self,
        learn: Learner,  # in a fit
    ) -> dict | None:  # prompt and new text; None without a prompt
        "Continue the prompt. The learner and its random numbers are left unchanged."
        if self.prompt is None:
            return None
        begin = time.monotonic()
        options = GenerationConfig(n=_n_chars, temperature=self.temperature, seed=42)
        with torch.autocast(learn.dls.device.type, enabled=False):
            (text,), _ = continue_texts(learn, self.prompt, options)
        self._wait(time.monotonic() - begin)
        return dict(prompt=text.prompt, new=text.new)

    def _wait(self, cost):
        self.last_time = time.monotonic()
        self.next_time = self.last_time + max(self.seconds, cost / _max_cost)

    def new_of_callback(
        self,
        learn: Learner,  # after an epoch
    ) -> list[dict]:  # prompts and new texts
        "What the learner's own callback has sampled since the last call."
        own = getattr(learn, "predict_next_cb", None)
        samples = own.samples[self.n_seen :] if own else []
        self.n_seen += len(samples)
        if samples:
            self._wait(0.0)
        return [dict(prompt=o.prompt, new=o.text.removeprefix(o.prompt)) for o in samples]

    def add(
        self,
        samples: list[dict],  # prompts and new texts
        epoch: float,  # when they were made
    ) -> list[dict]:  # all that are shown
        "Keep samples."
        self.kept = [*self.kept, *(dict(o, epoch=epoch) for o in samples)][-_max_kept:]
        return list(self.kept)


def _beginning(text):
    "About 24 characters from the beginning of a word to the end of one; None for a text without words."
    word = re.search(r"(?:^|(?<=\s))\w", text)
    part = text[word.start() : word.start() + _prompt_chars] if word else ""
    # the last word may be cut
    return (part.rsplit(maxsplit=1)[0] if len(part.split()) > 1 else part) or None
