"""The rest of the course's lesson on recurrent networks, as recipes by name: `lesson6("gru")`, and what it printed.

    recipe = lesson6("gru")
    learn = recipe.learner(text, seed=0)
    recipe.fit(learn)                     # and compare learn.training_log with recipe.printed

Read from the lesson's notebook as it stands in fastai's repository (courses/dl1/lesson6-rnn.ipynb, at 6db37b3 and 052bf67).
One thing differs: its library drew the lengths of a stream's pieces about 8 (at least 5, deviation 5); here they have 8.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ..data.loaders import CharDataLoaders
from ..errors import ArchError, DataError
from ..learner import CharLearner, char_learner
from .reproduce import reference_adam

__all__ = ["Lesson", "lesson6", "LESSONS", "merge_rare"]

_n_train = 493_747  # characters of the lesson's training file, of 600,893


def merge_rare(
    text: str,  # any
    min_freq: int = 3,  # characters that stand in it less often are merged
    into: str = "\ufffd",  # one character for all of them
) -> str:  # of the same length
    "The text lower-cased, with its rare characters merged into one, as the lesson's text library did."
    text = text.lower()
    rare = {c for c, k in Counter(text).items() if k < min_freq}
    return text.translate({ord(c): into for c in rare})


def lesson_pct(
    text: str,  # the lesson's corpus
) -> float:  # for `CharDataLoaders.from_text(valid_pct=)`
    "The part of the text that the lesson's streams validate on. Raises `DataError` for a text too short for its split."
    if len(text) <= _n_train + 64:
        raise DataError(
            f"the text has {len(text):,} characters; the lesson trains on the first {_n_train:,} "
            "and validates on the rest: give its corpus, nietzsche()"
        )
    return 1 - (_n_train + 0.5) / len(text)


@dataclass(frozen=True)
class Lesson:
    "How one of the lesson's networks is trained, and what was printed at its end."

    name: str
    arch: str  # as in `char_learner`
    phases: tuple  # (learning rate, epochs), or ("sgdr", learning rate, cycles): cosine from the rate to 0 in 1, 2, 4 … epochs
    printed: float  # the validation loss after the last epoch, in nats
    stateful: bool = True  # on streams of the lower-cased text; else on windows of 8 of the text as it is, a random fifth of which validates
    n_hid: int = 256
    config: dict = field(default_factory=dict)
    wd: float = 0.0  # of all weights and biases, added to the gradients (L2), as PyTorch's Adam has it

    def dls(
        self,
        text: str,  # the lesson's corpus
        **kwargs,  # as `CharDataLoaders.from_text`: device, path
    ) -> CharDataLoaders:
        "The data as the lesson had it. Raises `DataError` for a text too short for its split."
        if not self.stateful:
            return CharDataLoaders.from_text(
                text, seq_len=8, bs=512, valid="random", valid_pct=0.2, target="every", **kwargs
            )
        return CharDataLoaders.from_text(
            merge_rare(text),
            seq_len=8,
            bs=64,
            valid="tail",
            valid_pct=lesson_pct(text),
            target="every",
            stateful=True,
            **kwargs,
        )

    def learner(
        self,
        text: str,  # the lesson's corpus
        seed: int | None = 0,  # fixes weights and order
        **kwargs,  # as `char_learner`
    ) -> CharLearner:
        "An untrained learner."
        opt_func = partial(reference_adam, wd=self.wd, decouple_wd=False)
        return char_learner(
            self.dls(text),
            self.arch,
            n_hid=self.n_hid,
            config=self.config,
            opt_func=opt_func,
            wd_bn_bias=True,
            seed=seed,
            **kwargs,
        )

    def fit(
        self,
        learn: CharLearner,  # as `learner` makes it
        said: Callable | None = None,  # told the number and the last row of every phase
    ) -> float:  # the validation loss, in nats
        "Train by the lesson's schedule."
        for k, (how, *rest) in enumerate(self.phases):
            if how == "sgdr":
                learn.fit_sgdr(rest[1], 1, lr_max=rest[0], cycle_mult=2)
            else:
                learn.set_lrs(how).fit(rest[0])
            if said:
                said(k, learn.training_log.rows[-1])
        return learn.training_log.rows[-1]["valid_loss"]


LESSONS = {
    o.name: o
    for o in (
        Lesson("seq", "rnn", ((1e-3, 4), (1e-4, 1)), 2.00106, stateful=False),
        Lesson("seq-identity", "rnn", ((1e-2, 4), (1e-3, 4)), 1.83801, stateful=False, config=dict(identity=True)),
        Lesson("stateful", "rnn", ((1e-3, 4), (1e-4, 4)), 1.486),
        Lesson("cell", "rnn", ((1e-3, 4),), 1.54217),
        Lesson("gru", "gru", ((1e-3, 6), (1e-4, 3)), 1.36926),
        Lesson(
            "lstm",
            "lstm",
            ((1e-2, 2), ("sgdr", 1e-2, 6)),
            1.2524,
            n_hid=512,
            config=dict(n_layers=2, layer_p=0.5),
            wd=1e-5,
        ),
    )
}


def lesson6(
    name: str,  # "seq", "seq-identity", "stateful", "cell", "gru" or "lstm"
) -> Lesson:
    "The recipe of one of the lesson's networks. Raises `ArchError` for an unknown name."
    if name not in LESSONS:
        raise ArchError(f"the lesson has no network {name!r}; known: {', '.join(LESSONS)}")
    return LESSONS[name]
