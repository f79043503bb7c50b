"""Evaluate a model on the part of its own text that it was not trained on.

learn = char_learner(CharDataLoaders.from_text(text))
spans = held_out(learn, text)              # [(540803, 600893)] for Nietzsche, None for another text
evaluate_spans(learn, text, spans)
"""

from collections.abc import Sequence

import torch

from ..data.ids import CharIds
from ..data.loaders import CharDataLoaders
from ..data.protocol import data_info
from ..data.windows import CharWindows
from ..errors import UnknownCharError
from ..learner import CharLearner
from .ngrams import MAX_COUNTED, NgramScore, ngram_baseline

__all__ = ["is_trained_text", "held_out", "trained_part", "held_out_ngrams", "evaluate_spans"]


def is_trained_text(
    learn: CharLearner,  # a learner, trained or loaded
    text: str,  # any text
    unk: str = "error",  # as `CharVocab.encode`: "error", "skip", or a replacement character
) -> bool:
    "Whether the data of `learn`, or of an earlier training, was made from `text`. The validation part is included."
    return _data_of(learn, text, unk) is not None


def _data_of(learn, text, unk):
    "The description of the data made from a text, of the last training or an earlier one; None for another text."
    info = data_info(learn.dls)
    infos = [o for o in (info, *info.get("earlier", ())) if o.get("digest") is not None]
    if not infos:
        return None
    try:
        ids = learn.dls.vocab.encode(text, unk=unk)
    except UnknownCharError:
        return None
    digest = CharIds.from_array(ids).digest
    return next((o for o in infos if o["digest"] == digest), None)


def held_out(
    learn: CharLearner,  # a learner, trained or loaded
    text: str,  # any text
    unk: str = "error",  # as `is_trained_text`
) -> list[tuple[int, int]] | None:  # (begin, end) of each span
    """The spans of a text on which `learn` validates.

    None if the data of `learn` was made from another text, or if its split is not "tail" or "blocks"."""
    spans = (_data_of(learn, text, unk) or {}).get("spans")
    if not spans:
        return None
    return [(int(begin), int(end)) for begin, end in spans[1]]


def trained_part(
    learn: CharLearner,  # a learner, trained or loaded
    text: str,  # any text
    unk: str = "error",  # as `is_trained_text`
) -> str:  # empty if `held_out` is None
    "The spans of a text on which `learn` was trained, joined."
    spans = (_data_of(learn, text, unk) or {}).get("spans") or ((), ())
    return "".join(text[int(begin) : int(end)] for begin, end in spans[0])


def held_out_ngrams(
    learn: CharLearner,  # a learner, trained or loaded
    text: str,  # any text
    unk: str = "error",  # as `is_trained_text`
) -> NgramScore | None:  # the best of an `ngram_baseline`
    """Count n-grams in the spans of a text on which `learn` was trained, and score them on those on which it validates.

    None if `held_out` is, and for a text of several documents."""
    data = _data_of(learn, text, unk) or {}
    if not data.get("spans") or "documents" in data:
        return None
    vocab = learn.dls.vocab
    ids = CharIds.from_array(vocab.encode(text, unk=unk))
    # only the spans are read, so no windows are needed
    no_windows = torch.zeros(0, dtype=torch.int64)
    windows = CharWindows(ids, vocab, no_windows, learn.dls.seq_len, data)
    dls = CharDataLoaders.from_datasets(windows, windows, device="cpu")
    return ngram_baseline(dls, max_chars=MAX_COUNTED).best


def evaluate_spans(
    learn: CharLearner,  # a learner, trained or loaded
    text: str,  # any text
    spans: Sequence[tuple[int, int]],  # (begin, end) of parts of it
    **kwargs,  # as `CharLearner.evaluate`: unk, by, bs
) -> dict[str, float]:  # the loss in nats and the metrics
    """Call `learn.evaluate` for each span and average over the predicted characters.

    Raises `DataError` if all spans are too short."""
    mode = kwargs.get("by") or learn.dls.mode
    # In windows, the first seq_len characters of a span are not predicted.
    # In chunks and streams, the character before a span is read too, so that the first of the span is predicted.
    n_lost, n_before = (learn.dls.seq_len, 0) if mode == "windows" else (0, 1)
    spans = [(begin, end) for begin, end in spans if end - begin > n_lost] or spans[:1]
    total: dict = {}
    n_total = 0
    for begin, end in spans:
        begin = max(begin - n_before, 0)
        n_predicted = end - begin - max(n_lost, n_before)
        values = learn.evaluate(text[begin:end], **kwargs)
        total = {name: total.get(name, 0.0) + n_predicted * value for name, value in values.items()}
        n_total += n_predicted
    return {name: value / n_total for name, value in total.items()}
