"""Which characters a model confuses: `confusion` counts, `plot_confusion` draws kinds of characters.

fastai's `ClassificationInterpretation.from_learner(learn)` works too. Its picture has a row for every character.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from fastai.basics import DataLoader, Learner

from .._checks import check_count, shown
from .._colours import contrast
from .._html import as_table, escaped
from ..errors import DataError
from ..generation.char_view import char_view
from .char_kinds import KINDS, char_kind
from .drawing import drawing_axes
from .text_picture import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion", "plot_confusion", "Confusion", "ConfusedPair"]

_n_shown = 20  # pairs that print


class ConfusedPair(NamedTuple):
    "A character of the text, and another one that the model found more likely."

    actual: str
    predicted: str
    count: int  # how often
    share: float  # of all times that `actual` occurs


@dataclass(frozen=True, eq=False)
class Confusion:
    "The result of `confusion`. Prints as a table of the most frequent confusions."

    counts: np.ndarray  # (V, V) int64: how often each character (row) was predicted as each other (column)
    chars: tuple[str, ...]  # the characters of rows and columns

    @property
    def accuracy(self) -> float:
        "The fraction of characters that are predicted."
        return float(self.counts.trace() / max(self.counts.sum(), 1))

    def largest(
        self,
        n: int = _n_shown,  # pairs
        actual: str | None = None,  # only confusions of a kind of character; one of `KINDS`
        predicted: str | None = None,  # only with a kind of character
    ) -> list[ConfusedPair]:
        "Return the most frequent confusions."
        kinds = np.array([char_kind(c) for c in self.chars])
        wrong = self.counts * ~np.eye(len(self.chars), dtype=bool)
        if actual is not None:
            wrong = wrong * (kinds == actual)[:, None]
        if predicted is not None:
            wrong = wrong * (kinds == predicted)
        order = np.argsort(-wrong, axis=None, kind="stable")[:n]
        pairs = zip(*(index.tolist() for index in np.unravel_index(order, wrong.shape)))
        totals = self.counts.sum(1)
        return [
            ConfusedPair(self.chars[i], self.chars[j], int(wrong[i, j]), float(wrong[i, j] / totals[i]))
            for i, j in pairs
            if wrong[i, j]
        ]

    def by_kind(self) -> np.ndarray:  # (6, 6) int64: rows and columns as `KINDS`
        "Return how often a character of each kind was predicted as one of each kind, right predictions included."
        kinds = np.array([KINDS.index(char_kind(c)) for c in self.chars])
        member = np.eye(len(KINDS), dtype=np.int64)[kinds]
        return member.T @ self.counts @ member

    def __repr__(self) -> str:
        lines = [
            f"{actual:>10} {predicted:>10} {count:>9} {share:>7}" for actual, predicted, count, share in self._rows()
        ]
        return "\n".join([self._caption(), f"{'actual':>10} {'predicted':>10} {'count':>9} {'share':>7}", *lines])

    def _repr_html_(self) -> str:
        rows = [[escaped(cell) for cell in row] for row in self._rows()]
        return as_table(["actual", "predicted", "count", "share"], rows, self._caption(), left=(0, 1))

    def _caption(self):
        return f"{self.counts.sum():,} characters, {self.accuracy:.1%} predicted; the most frequent confusions"

    def _rows(self):
        return [(repr(o.actual), repr(o.predicted), f"{o.count:,}", f"{o.share:.1%}") for o in self.largest()]


def confusion(
    learn: Learner,  # a learner of characters
    ds_idx: int = 1,  # which of `dls`, if `dl` is None
    dl: DataLoader | None = None,  # what to predict
) -> Confusion:
    """Predict the validation part, and count which character was predicted for which.

    The prediction is the most likely character, as in fastai's `ClassificationInterpretation`. Raises `ArchError` for
    what is not a learner of characters."""
    char_view(learn)
    if not isinstance(learn, Learner):
        raise DataError(f"learn={shown(learn)} cannot predict loaders; pass a learner")
    with learn.no_bar():
        _, targets, decoded = learn.get_preds(ds_idx, dl, with_decoded=True)
    vocab = learn.dls.vocab
    n_vocab = len(vocab)
    pairs = targets.flatten().cpu().numpy().astype(np.int64) * n_vocab + decoded.flatten().cpu().numpy()
    counts = np.bincount(pairs, minlength=n_vocab**2).reshape(n_vocab, n_vocab)
    return Confusion(counts, tuple(vocab[i] for i in range(n_vocab)))


def plot_confusion(
    learn: Learner | Confusion,  # a learner of characters, or what `confusion` returned
    top: int = 1,  # confusions named in each cell
    ax: "Axes|None" = None,  # where to draw; None: new axes
) -> "Axes":
    """Draw which kinds of characters are predicted as which: a row for each kind in the text, in per cent of it.

    A cell on the diagonal has the share that is predicted exactly, and that of other characters of the same kind. Each
    cell names its most frequent confusions."""
    top = check_count("top", top, 0, 5)
    if not isinstance(learn, (Confusion, Learner)):
        raise DataError(f"learn={shown(learn)} is no learner; pass one, or what confusion(learn) returned")
    found = learn if isinstance(learn, Confusion) else confusion(learn)
    counts = found.by_kind()
    present = [k for k in range(len(KINDS)) if counts[k].sum() or counts[:, k].sum()]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    shares = shares[np.ix_(present, present)]
    names = [KINDS[k] for k in present]
    size = 0.6 + 0.2 * top
    ax = drawing_axes(ax, (1.35 * len(names) + 1.5, size * len(names) + 0.9))
    # the root, because most shares are small
    ax.imshow(np.sqrt(shares), cmap="cividis", vmin=0, vmax=1, aspect="auto")
    right = _right_shares(found)
    for i, actual in enumerate(names):
        for j, predicted in enumerate(names):
            _write_cell(
                ax, (j, i), shares[i, j], right[actual] if i == j else None, found.largest(top, actual, predicted)
            )
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), [f"{name}\n{counts[k].sum():,}" for name, k in zip(names, present)])
    ax.tick_params(length=0)
    ax.set(xlabel="predicted", ylabel="in the text", title=f"{found.accuracy:.1%} of {found.counts.sum():,} predicted")
    return ax


def _right_shares(found):
    "For each kind, the share of its characters that are predicted exactly."
    kinds = np.array([char_kind(c) for c in found.chars])
    totals = found.counts.sum(1)
    right = found.counts.diagonal()
    return {kind: right[kinds == kind].sum() / max(totals[kinds == kind].sum(), 1) for kind in KINDS}


def _write_cell(ax, at, share, right, pairs):
    "The share and the named confusions, in black or white."
    if not share:
        return
    first = f"{share:.1%}" if right is None else f"{right:.0%} right, {share - right:.0%} not"
    names = [f"{visible(o.actual, '␣')} → {visible(o.predicted, '␣')}" for o in pairs]
    *colour, _ = ax.images[0].to_rgba(np.sqrt([[share]]))[0, 0]
    ink = max(((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), key=lambda end: contrast(end, colour))
    style = dict(ha="center", va="center", color=ink, fontsize=9, parse_math=False)
    ax.text(*at, "\n".join([first, *names]), **style)
