"""Compare a network with n-grams: the table and the sentence that `charrnn train` prints at the end."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ngrams import NgramScore

__all__ = ["comparison", "verdict"]

_min_difference = 0.005  # nats per character; smaller differences are ignored
_overfit_gap = 0.15  # validation minus training loss from which the network overfits


def comparison(
    row: dict,  # the last row of a training log: valid_loss, bits_per_char, accuracy
    name: str,  # of the network and its training
    ngrams: "NgramScore",  # the best of an `ngram_baseline`
) -> str:  # three lines
    "A table of the validation results of the network and of n-grams."
    rows = [
        ("", "nats", "bits per char", "accuracy"),
        (name, f"{row['valid_loss']:.4f}", f"{row['bits_per_char']:.4f}", f"{row['accuracy']:.4f}"),
        (f"n-grams, contexts up to {ngrams.context}", f"{ngrams.nats:.4f}", f"{ngrams.bits:.4f}", ""),
    ]
    width = max(len(row[0]) for row in rows) + 2
    return "\n".join(_table_line(width, *row) for row in rows)


def _table_line(width, name, *cells):
    nats, bits, accuracy = cells
    return f"{name:<{width}}{nats:>8}{bits:>15}{accuracy:>10}"


def verdict(
    valid_loss: float,  # of the network, in nats
    train_loss: float,  # of the network, in nats
    ngram_loss: float,  # of n-grams on the same characters, in nats
    best: bool = False,  # whether the network is that of `best_recipe`
) -> str:  # one sentence
    "Say whether the network predicts better than n-grams, by how much, and what to try next."
    gain = ngram_loss - valid_loss
    losses = f"{valid_loss:.3f} against {ngram_loss:.3f} nats per character"
    if gain > _min_difference:
        result = f"The network beats counting by {gain:.3f} ({losses})"
    elif gain < -_min_difference:
        result = f"Counting beats the network by {-gain:.3f} ({losses})"
    else:
        result = f"The network predicts as well as counting ({losses})"
    overfits = gain <= _min_difference and valid_loss - train_loss > _overfit_gap
    return f"{result}; {_advice(overfits, best)}."


def _advice(overfits, best):
    if overfits and best:
        return "it fits the training part far better, so try more text"
    if overfits:
        return (
            "it fits the training part far better, so try a smaller network (--n-hid), dropout (--output-p .3) "
            "or more text"
        )
    if best:
        return "for more, give it more time (--minutes) or more text"
    return "for more, try --recipe best --minutes 5, or more epochs"
