"""The verbs of a learner and its loaders, each with a check of its result: `verb`, `VERBS`, `Case`, `Refused`.

The checks are in `training`, `predicting` and `handling`. tools/verbs.py runs them for docs/verbs.md.
"""

import io
import re
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from reading_modes import learner, preds_by_hand

from fastai_charrnn.all import python_reference

# name in the table: key of `reading_modes.MODES`
COLUMNS = {"windows": "windows", "every": "chunks", "streams": "streams"}


class Refused(Exception):
    "The verb does not work here by design. The message is the reason, for the table."


class Verb(NamedTuple):
    "One line of the table."

    group: str
    name: str  # as one calls it
    compared: str  # what the check compares
    check: Callable  # of a `Case`


VERBS: list[Verb] = []


def verb(group: str, name: str, compared: str):
    "Register a check under the name of the verb. A check raises `AssertionError`, or `Refused`."

    def register(check):
        VERBS.append(Verb(group, name, compared, check))
        return check

    return register


class Case:
    "A new small learner in one reading mode, and what checks compare with."

    def __init__(self, mode: str):
        self.mode = mode
        self.text = python_reference()[:1_600]
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.learn = self.new()

    def new(self, **kwargs):
        "A learner, with the same weights and order of training each time."
        learn = learner(self.text, self.mode, self.path, **kwargs)
        learn.dls.train.seed(0)
        return learn

    @cached_property
    def by_hand(self):
        "Log-probabilities and targets of the validation set, computed step by step."
        return preds_by_hand(self.learn)

    @property
    def losses_by_hand(self):
        "The loss of each row that `get_preds` returns."
        log_probs, targets = self.by_hand
        return -log_probs.gather(-1, targets[..., None]).reshape(len(targets), -1).mean(1)

    @property
    def n_batches(self):
        "Training batches in an epoch."
        return len(self.learn.dls.train)


def printed(function, *args, **kwargs) -> list[str]:
    "The lines that a call prints, without empty ones."
    out = io.StringIO()
    with redirect_stdout(out):
        function(*args, **kwargs)
    return [line for line in re.split(r"[\n\r]", out.getvalue()) if line.strip()]


@contextmanager
def raises(error, reason):
    "Turn an error by design into `Refused`. Fails if the block raises nothing."
    try:
        yield
    except error:
        raise Refused(reason) from None
    raise AssertionError(f"no {error.__name__} although {reason}")
