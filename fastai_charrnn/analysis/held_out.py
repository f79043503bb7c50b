"""Evaluate a model on the part of its own text that it was not trained on.

learn = char_learner(CharDataLoaders.from_text(text))
spans = held_out(learn, text)              # [(540803, 600893)], or None for another text
evaluate_spans(learn, text, spans)
"""

from collections.abc import Sequence

from ..data.ids import CharIds
from ..errors import UnknownCharError
from ..learner import CharLearner

__all__ = ["is_trained_text", "held_out", "evaluate_spans"]


def is_trained_text(
    learn: CharLearner,  # a learner, trained or loaded
    text: str,  # any text
    unk: str = "error",  # characters outside the vocabulary: "error", "skip", or a known character to put in their place
) -> bool:
    "Whether `text` is the one that the data of `learn` was made from, its validation part included."
    digest = learn.dls.train_ds.info.get("digest")
    if digest is None:
        return False
    try:
        ids = learn.dls.vocab.encode(text, unk=unk)
    except UnknownCharError:
        return False
    return digest == CharIds.from_array(ids).digest


def held_out(
    learn: CharLearner,  # a learner, trained or loaded
    text: str,  # any text
    unk: str = "error",  # as above
) -> list[tuple[int, int]] | None:  # (begin, end) of each stretch that validated; None if there are none
    'The stretches of the text that validated, if it is that of `learn`, split by "tail" or "blocks".'
    spans = learn.dls.train_ds.info.get("spans")
    if not spans or not is_trained_text(learn, text, unk):
        return None
    return [(int(a), int(b)) for a, b in spans[1]]


def evaluate_spans(
    learn: CharLearner,  # a learner, trained or loaded
    text: str,  # a text
    spans: Sequence[tuple[int, int]],  # (begin, end) of stretches of it
    **kwargs,  # as `CharLearner.evaluate`: unk, by, bs
) -> dict[str, float]:  # the loss in nats and the metrics, means over the characters predicted
    "`learn.evaluate` of some stretches of a text, each read by itself. Raises `DataError` if all are too short."
    windows = (kwargs.get("by") or learn.dls.mode) == "windows"
    # a window predicts the character after it; else the character before the stretch predicts its first
    lost, lead = (learn.dls.seq_len, 0) if windows else (0, 1)
    long_enough = [(a, b) for a, b in spans if b - a > lost] or spans[:1]
    weights = [b - max(a - lead, 0) - max(lost, lead) for a, b in long_enough]
    found = [learn.evaluate(text[max(a - lead, 0) : b], **kwargs) for a, b in long_enough]
    return {k: sum(w * o[k] for w, o in zip(weights, found)) / sum(weights) for k in found[0]}
