"""The networks of fast.ai's lesson 6, with the lesson's data, schedules and printed losses.

    recipe = lesson6("gru")
    learn = recipe.learner(text, seed=0)
    recipe.fit(learn)                     # and compare learn.training_log with recipe.printed

`RECIPES` has the four networks of the lesson's first part, `lesson6` returns those of the second part. The source is
the lesson's notebook in fastai's repository (courses/dl1/lesson6-rnn.ipynb, at 6db37b3 and 052bf67).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .._utils import renamed
from ..data.loaders import CharDataLoaders
from ..errors import ArchError, DataError
from ..learner import CharLearner, char_learner
from ..optimizer import FusedAdam

__all__ = ["lesson6", "LESSONS", "merge_rare"]

# The lesson trained with PyTorch's defaults.
pytorch_adam = partial(FusedAdam, mom=0.9, sqr_mom=0.999, eps=1e-8, wd=0.0)


# the first part: windows that predict the next character


@dataclass(frozen=True)
class Recipe:
    "How lesson 6 trained an architecture of its first part, and what it printed."

    data: dict  # arguments of `CharDataLoaders.from_text`
    # (learning rate, ((training loss, validation loss) printed after each epoch, …))
    phases: tuple[tuple[float, tuple[tuple[float, float], ...]], ...]
    examples: dict[str, str] = field(default_factory=dict)  # prompt: the prompt with its printed continuation
    valid: bool = True  # False: the validation loss is of one window and means nothing

    @property
    def printed(self) -> list[tuple[float, float]]:
        "The (training, validation) losses of all epochs."
        return [losses for _, epochs in self.phases for losses in epochs]


_windows = dict(seq_len=8, stride=1, bs=512, valid="random", valid_pct=0.2, seed=42)
RECIPES = {
    "char3": Recipe(
        data=dict(seq_len=3, stride=3, bs=512, valid="last"),
        phases=((1e-2, ((2.101551, 1.388842),)), (1e-3, ((1.863796, 0.42308),))),
        examples={"y. ": "y. T", " an": " and"},
        valid=False,
    ),
    "loop": Recipe(data=_windows, phases=((1e-2, ((1.98031, 1.956332),)), (1e-3, ((1.696746, 1.697028),)))),
    "concat": Recipe(
        data=_windows,
        phases=((1e-3, ((1.843979, 1.822812),)), (1e-4, ((1.737225, 1.738723),))),
        examples={"for thos": "for those", "part of ": "part of t"},
    ),
    "rnn": Recipe(
        data=_windows,
        phases=(
            (1e-3, ((1.880866, 1.852416), (1.686484, 1.678685), (1.597526, 1.598038), (1.527368, 1.550226))),
            (1e-4, ((1.477367, 1.51327), (1.480211, 1.508043))),
        ),
        examples={"for thos": "for those in the same to the same to the same to"},
    ),
}


def recipe_dls(
    arch: str,  # one of `RECIPES`
    text: str,  # the lesson's corpus
) -> CharDataLoaders:
    "The windows and the split with which lesson 6 trained an architecture."
    return CharDataLoaders.from_text(text, **RECIPES[arch].data)


# the second part: windows and streams that predict every character

_n_train = 493_747  # characters of the lesson's training file; the whole text has 600,893


def merge_rare(
    text: str,  # any text
    min_freq: int = 3,  # characters that occur less often are merged
    into: str = "\ufffd",  # the character that replaces them
) -> str:  # of equal length
    "Lower-case a text and merge its rare characters into one, as the lesson's text library did."
    text = text.lower()
    rare = {c for c, count in Counter(text).items() if count < min_freq}
    return text.translate({ord(c): into for c in rare})


def lesson_pct(
    text: str,  # the lesson's corpus
) -> float:  # for `CharDataLoaders.from_text(valid_pct=)`
    "The part of the text on which the lesson's streams validate. Raises `DataError` if the text is too short."
    if len(text) <= _n_train + 64:
        raise DataError(
            f"the text has {len(text):,} characters; the lesson trains on the first {_n_train:,} "
            "and validates on the remainder: pass its corpus, nietzsche()"
        )
    return 1 - (_n_train + 0.5) / len(text)


@dataclass(frozen=True)
class Lesson:
    """How lesson 6 trained a network of its second part, and what it printed at the end.

    Streams read the lower-cased text, with rare characters merged. Windows are of 8 characters of the unchanged text,
    and a random fifth validates. The lesson's library drew the length of each piece of a stream at random, about 8
    characters; here all have 8."""

    name: str
    arch: str  # as in `char_learner`
    phases: tuple  # (learning rate, epochs), or ("sgdr", learning rate, cycles of 1, 2, 4 … epochs)
    printed: float  # the validation loss after the last epoch, in nats
    stateful: bool = True  # whether the text is read as streams; else in windows
    n_hid: int = 256  # hidden units
    config: dict = field(default_factory=dict)  # further arguments of the architecture
    wd: float = 0.0  # L2 penalty of all parameters, added to the gradients as in PyTorch's Adam

    def dls(
        self,
        text: str,  # the lesson's corpus
        **kwargs,  # as `CharDataLoaders.from_text`: device, path
    ) -> CharDataLoaders:
        "The lesson's data. Raises `DataError` if the text is too short for its split."
        options: dict[str, Any] = dict(seq_len=8, target="every", **kwargs)
        if not self.stateful:
            return CharDataLoaders.from_text(text, bs=512, valid="random", valid_pct=0.2, **options)
        split: dict[str, Any] = dict(valid="tail", valid_pct=lesson_pct(text))
        return CharDataLoaders.from_text(merge_rare(text), bs=64, stateful=True, **split, **options)

    def learner(
        self,
        text: str,  # the lesson's corpus
        seed: int | None = 0,  # fixes the initial weights and the order of training
        **kwargs,  # as `char_learner`
    ) -> CharLearner:
        "Return an untrained learner."
        dls = self.dls(text)
        opt_func = partial(pytorch_adam, wd=self.wd, decouple_wd=False)
        model: dict[str, Any] = dict(n_hid=self.n_hid, config=self.config)
        return char_learner(dls, self.arch, opt_func=opt_func, wd_bn_bias=True, seed=seed, **model, **kwargs)

    @renamed(said="on_phase")
    def fit(
        self,
        learn: CharLearner,  # as `learner` makes it
        on_phase: Callable | None = None,  # called with the number and the last row of every phase
    ) -> float:  # the validation loss, in nats
        "Train by the lesson's schedule."
        for k, (schedule, *args) in enumerate(self.phases):
            if schedule == "sgdr":
                lr, n_cycles = args
                learn.fit_sgdr(n_cycles, 1, lr_max=lr, cycle_mult=2)
            else:
                learn.set_lrs(schedule).fit(args[0])
            if on_phase:
                on_phase(k, learn.training_log.rows[-1])
        return learn.training_log.rows[-1]["valid_loss"]


_lstm_phases = ((1e-2, 2), ("sgdr", 1e-2, 6))
_lessons = (
    Lesson("seq", "rnn", ((1e-3, 4), (1e-4, 1)), printed=2.00106, stateful=False),
    Lesson("seq-identity", "rnn", ((1e-2, 4), (1e-3, 4)), 1.83801, stateful=False, config=dict(identity=True)),
    Lesson("stateful", "rnn", ((1e-3, 4), (1e-4, 4)), printed=1.486),
    Lesson("cell", "rnn", ((1e-3, 4),), printed=1.54217),
    Lesson("gru", "gru", ((1e-3, 6), (1e-4, 3)), printed=1.36926),
    Lesson("lstm", "lstm", _lstm_phases, 1.2524, n_hid=512, config=dict(n_layers=2, layer_p=0.5), wd=1e-5),
)
LESSONS = {lesson.name: lesson for lesson in _lessons}


def lesson6(
    name: str,  # "seq", "seq-identity", "stateful", "cell", "gru" or "lstm"
) -> Lesson:
    "Return the recipe of a network of lesson 6's second part. Raises `ArchError` for an unknown name."
    if name not in LESSONS:
        raise ArchError(f"the lesson has no network {name!r}; known: {', '.join(LESSONS)}")
    return LESSONS[name]
