"""Compare learners: `compare` draws their loss curves with the n-gram line, and returns a table.

compare({"rnn": learn, "lstm": other})
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastai.basics import Learner

from .._checks import check_number, shown
from .._colours import HUES
from .._html import as_table, escaped
from .._printable import printable
from .._utils import count_weights, warn_caller
from ..data.protocol import data_info
from ..errors import CharRnnWarning, DataError
from ..metrics import to_bits
from .drawing import drawing_axes, ink
from .ngrams import NgramBaseline, ngram_baseline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["compare", "Comparison", "ComparedLearner"]

_markers = "os^Dv"
_columns = ("weights", "epochs", "train loss", "valid loss", "best valid loss", "bits per char", "against n-grams")


@dataclass(frozen=True)
class ComparedLearner:
    "One learner of a comparison. Losses are in nats per character."

    name: str
    n_weights: int
    train_losses: tuple[float, ...]  # of each epoch
    valid_losses: tuple[float, ...]  # of each epoch

    @property
    def best(self) -> float:
        "The smallest validation loss."
        return min(self.valid_losses)


@dataclass(frozen=True)
class Comparison:
    "The result of `compare`. Prints as a table; the learner with the smallest validation loss is marked."

    learners: tuple[ComparedLearner, ...]
    ngram_loss: float | None  # of n-grams on the validation part, in nats
    ax: Any = field(default=None, repr=False, compare=False)  # the axes with the curves

    @property
    def best(self) -> ComparedLearner:
        "The learner with the smallest validation loss."
        return min(self.learners, key=lambda learner: learner.best)

    def __repr__(self) -> str:
        rows = [["", *_columns], *([printable(row[0]), *row[1:]] for row in self._rows())]
        widths = [max(map(len, column)) for column in zip(*rows)]
        marks = ["", *("  best" if learner is self.best else "" for learner in self.learners), ""]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
            for row in rows
        ]
        return "\n".join((line + mark).rstrip() for line, mark in zip(lines, marks))

    def _repr_html_(self) -> str:
        rows = [[escaped(cell) for cell in row] for row in self._rows()]
        return as_table(["", *_columns], rows, marked=self.learners.index(self.best))

    def _rows(self):
        rows = [self._row(learner) for learner in self.learners]
        if self.ngram_loss is not None:
            rows.append(["n-grams", "", "", "", "", f"{self.ngram_loss:.4f}", f"{to_bits(self.ngram_loss):.4f}", ""])
        return rows

    def _row(self, learner):
        last = f"{learner.train_losses[-1]:.4f}", f"{learner.valid_losses[-1]:.4f}"
        best = f"{learner.best:.4f}", f"{to_bits(learner.best):.4f}"
        against = "" if self.ngram_loss is None else f"{learner.best - self.ngram_loss:+.4f}"
        return [learner.name, f"{learner.n_weights:,}", str(len(learner.valid_losses)), *last, *best, against]


def compare(
    learns: Mapping[str, Learner] | Sequence[Learner],  # trained learners, by name or as a list
    ngrams: bool | float | NgramBaseline = True,  # the n-gram line: True counts, or a loss in nats, or False
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> Comparison:  # a table
    """Draw the losses of each epoch, validation as lines and training as dashes, with the line of n-grams.

    `True` counts n-grams in the data of the first learner (`ngram_baseline`); pass its result if you have it. Learners
    of a list are named by architecture and hidden units. Losses of different texts or splits cannot be compared, so
    these warn. Raises `DataError` without learners, and for one without a trained epoch and a validation loss."""
    named = _named(learns)
    compared = tuple(_compared(name, learn) for name, learn in named.items())
    splits = [_split(learn) for learn in named.values()]
    if any(split != splits[0] for split in splits):
        warn_caller(
            "the learners validate on different texts or splits, so their losses cannot be compared", CharRnnWarning
        )
    ngram_loss = _ngram_loss(ngrams, next(iter(named.values())))
    ax = drawing_axes(ax, (7, 4))
    _draw(ax, compared, ngram_loss)
    return Comparison(compared, ngram_loss, ax)


def _named(learns):
    "The learners by name. Equal names of a list get a number."
    if isinstance(learns, Learner):
        learns = [learns]
    if isinstance(learns, Mapping):
        named = {str(name): learn for name, learn in learns.items()}
    elif isinstance(learns, Sequence) and not isinstance(learns, str):
        named = {}
        for learn in learns:
            name = _name(learn)
            n_equal = sum(other == name or other.startswith(f"{name} (") for other in named)
            named[f"{name} ({n_equal + 1})" if n_equal else name] = learn
    else:
        named = {}
    if not named:
        raise DataError(f"learns={shown(learns)} are no learners; pass a list of them, or a dict from name to learner")
    return named


def _name(learn):
    arch = getattr(getattr(learn, "arch", None), "name", None) or type(getattr(learn, "model", None)).__name__
    n_hid = getattr(learn, "arch_config", {}).get("n_hid")
    return f"{arch} {n_hid}" if n_hid else arch


def _compared(name, learn):
    rows = getattr(getattr(learn, "training_log", None), "rows", None)
    rows = [row for row in rows or () if {"train_loss", "valid_loss"} <= row.keys()]
    if not rows:
        raise DataError(f"{shown(name)} has no trained epoch with a validation loss; train it, or leave it out")
    losses = [tuple(row[key] for row in rows) for key in ("train_loss", "valid_loss")]
    return ComparedLearner(name, count_weights(learn.model), *losses)


def _split(learn):
    "What a validation loss belongs to."
    info = data_info(learn.dls)
    return info.get("digest"), str(info.get("spans")), info.get("split")


def _ngram_loss(ngrams, learn):
    if isinstance(ngrams, NgramBaseline):
        return ngrams.best.nats
    if ngrams is True:
        return ngram_baseline(learn.dls).best.nats
    return None if ngrams is False or ngrams is None else check_number("ngrams", ngrams)


def _draw(ax, compared, ngram_loss):
    for k, learner in enumerate(compared):
        style = dict(color=HUES[k % len(HUES)], marker=_markers[k // len(HUES) % len(_markers)], markersize=4)
        epochs = range(1, len(learner.valid_losses) + 1)
        ax.plot(epochs, learner.valid_losses, label=learner.name, **style)
        ax.plot(epochs, learner.train_losses, linestyle="--", linewidth=0.8, **style)
    if ngram_loss is not None:
        ax.axhline(ngram_loss, color=ink(ax), linestyle=":", linewidth=1.5, label="n-grams")
    ax.plot([], [], "--", color=ink(ax), linewidth=0.8, label="training")
    ax.set(xlabel="epoch", ylabel="loss, nats per character")
    ax.xaxis.get_major_locator().set_params(integer=True)
    for text in ax.legend(frameon=False, fontsize=9).get_texts():
        text.set_parse_math(False)
