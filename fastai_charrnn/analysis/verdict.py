"""Whether a network beats counting: the table and the sentence with which `charrnn train` ends."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .baseline import NgramScore

__all__ = ["comparison", "verdict"]

# nats a character that are worth a word, and the gap between training and validation that shows overfitting
_close = 0.005
_overfit = 0.15


def comparison(
    row: dict,  # the last row of a training log: valid_loss, bits_per_char, accuracy
    name: str,  # of the network and its training
    ngrams: "NgramScore",  # the best of an `ngram_baseline`
) -> str:  # three lines
    "The validation numbers of the network above those of counted n-grams."
    rows = [
        ("", "nats", "bits per char", "accuracy"),
        (name, f"{row['valid_loss']:.4f}", f"{row['bits_per_char']:.4f}", f"{row['accuracy']:.4f}"),
        (f"n-grams, contexts up to {ngrams.context}", f"{ngrams.nats:.4f}", f"{ngrams.bits:.4f}", ""),
    ]
    width = max(len(r[0]) for r in rows) + 2
    return "\n".join(f"{a:<{width}}{b:>8}{c:>15}{d:>10}" for a, b, c, d in rows)


def verdict(
    valid_loss: float,  # of the network, in nats
    train_loss: float,  # likewise
    ngram_loss: float,  # of counted n-grams on the same characters, in nats
    best: bool = False,  # whether the network is the one for the best result in a given time
) -> str:  # one sentence
    "Whether the network predicts better than counting, by how much, and what to try next."
    gain = ngram_loss - valid_loss
    figures = f"{valid_loss:.3f} against {ngram_loss:.3f} nats per character"
    if gain > _close:
        result = f"The network beats counting by {gain:.3f} ({figures})"
    elif gain < -_close:
        result = f"Counting beats the network by {-gain:.3f} ({figures})"
    else:
        result = f"The network predicts as well as counting ({figures})"
    overfits = gain <= _close and valid_loss - train_loss > _overfit
    return f"{result}; {_next(overfits, best)}."


def _next(overfits, best):
    "What to try."
    if overfits:
        return "it fits the training part far better, so try a smaller network (--n-hid), dropout (--dropout .3) or more text"
    if best:
        return "for more, give it more time (--minutes) or more text"
    return "for more, try --recipe best --minutes 5, or more epochs"
