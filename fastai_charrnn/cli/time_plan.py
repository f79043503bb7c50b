"""How `charrnn train --minutes` divides its time: what n-grams are counted in, and what is kept for the report.

The minutes begin with the command. Reading, n-grams, training, validation, samples and saving share them.
"""

import time
from typing import NamedTuple

from .._deadline import Deadline
from .._utils import count_weights
from ..analysis.ngrams import MAX_COUNTED, NgramBaseline, ngram_baseline
from ..data.loaders import CharDataLoaders
from ..errors import DataError
from ..learner import CharLearner

__all__ = ["CountedNgrams", "count_ngrams", "prepare_report"]

_ngram_part = 0.05  # of the time
_tried = 100_000  # characters in which n-grams are counted to measure the speed
_growth = 0.75  # counting n characters takes about n ** (1 / .75) as long: sorting, and memory beyond the caches
_tried_chars = 20  # of a sample, to measure the speed
_saved_per_second = 50_000_000  # weights, which are written on the way and at the end
_end = 0.5  # seconds for the end of the process, of a core that it has for itself
_max_busy = 4.0  # how much longer that takes at most on a busy machine


class CountedNgrams(NamedTuple):
    "The loss of n-grams, and how many characters were counted at most."

    baseline: NgramBaseline
    max_chars: int

    @property
    def note(self) -> str:
        "The numbers of characters."
        return f"n-grams: counted in {self.baseline.n_train:,} training characters, scored on {self.baseline.n_valid:,}"

    def describe_in(
        self,
        dls: CharDataLoaders,  # the text
    ):
        "Note the loss in the description of the text, which a model file holds for its page and its card."
        best = self.baseline.best
        dls.train_ds.info |= dict(ngram_loss=best.nats, ngram_context=best.context)

    def is_part_of(
        self,
        n_chars: int,  # the size of the text
    ) -> bool:
        "Whether a part of the text was counted."
        return n_chars > self.max_chars and n_chars > self.baseline.n_train + self.baseline.n_valid


def count_ngrams(
    dls: CharDataLoaders,  # the text and its split
    deadline: Deadline | None = None,  # whose clock is used; None: there is no time limit
    seconds: float = 0.0,  # that counting may take with a time limit
) -> CountedNgrams:
    "Count n-grams in as many characters as the time allows, at most as many as without a time limit."
    if deadline is None:
        return _counted(dls, MAX_COUNTED)
    start = deadline.clock()
    try:
        counted = _counted(dls, _tried)
    except DataError:
        # a split into blocks may have nothing to score so near to the end
        return _counted(dls, MAX_COUNTED)
    taken = max(deadline.clock() - start, 1e-6)
    n_chars = int(_tried * (max(seconds - taken, 0) / taken) ** _growth)
    if n_chars <= _tried or not counted.is_part_of(len(dls.train_ds.ids)):
        return counted
    return _counted(dls, min(n_chars, MAX_COUNTED))


def _counted(dls, max_chars):
    return CountedNgrams(ngram_baseline(dls, max_chars=max_chars), max_chars)


def prepare_report(
    learn: CharLearner,  # before training
    deadline: Deadline,  # when the command must be done
    minutes: float,  # that it takes in all
    prompts: list[str],  # of the samples
    n_chars: int,  # length of each sample
) -> tuple[CountedNgrams, Deadline]:  # and when training and validation must be done
    "Count n-grams before training, so that their time is known, and keep time for samples and for saving the model."
    ngrams = count_ngrams(learn.dls, deadline, _ngram_part * 60 * minutes)
    ngrams.describe_in(learn.dls)
    # the first sample chooses kernels
    learn.generate(prompts, 1, seed=0)
    start = deadline.clock()
    learn.generate(prompts, _tried_chars, seed=0)
    sampling = (deadline.clock() - start) * n_chars / _tried_chars
    saving = count_weights(learn.model) / _saved_per_second
    return ngrams, deadline.earlier(sampling + saving + _end * _busy(minutes, deadline))


def _busy(minutes, deadline):
    "How much longer than their computing the steps so far have taken, because others use the machine."
    taken = 60 * minutes - deadline.left
    return min(max(taken / max(time.process_time(), 0.1), 1.0), _max_busy)
