"""Texts to begin with on a page: `example_texts`, parts of a text that the model was not trained on."""

import re

from ..data.protocol import data_info
from ..data.window_dl import WindowDL
from ..io.model_file import has_text
from ..learner import CharLearner

__all__ = ["example_texts", "validation_text"]

_n_examples = 3
_size = 240  # characters of an example
_max_searched = 100_000


def validation_text(
    learn: CharLearner,  # trained or loaded
) -> str:  # at most 100,000 characters; empty for a model without text
    "The beginning of the validation text."
    if not has_text(learn) or not isinstance(learn.dls.train, WindowDL):
        return ""
    ids = learn.dls.valid_ds.ids
    spans = data_info(learn.dls).get("spans")
    begin, end = spans[1][0] if spans else (int(len(ids) * 0.9), len(ids))
    return learn.dls.vocab.decode(ids.stretch(begin, min(end, begin + _max_searched)))


def example_texts(
    learn: CharLearner,  # trained or loaded
    text: str | None = None,  # a text; None: the validation text, if there is one
) -> list[str]:  # 3 texts of about 240 characters, or fewer
    "Return parts of a text that begin with a sentence and end with a word."
    text = validation_text(learn) if text is None else text
    starts = [found.end() for found in re.finditer(r"(?:^|[.!?]\s+|\n\n)(?=\w)", text)] or [0]
    positions = [len(text) * k // _n_examples for k in range(_n_examples)]
    chosen = sorted({next((start for start in starts if start >= position), starts[0]) for position in positions})
    parts = [_to_word(text[start : start + _size]) for start in chosen]
    return [part for part in parts if part.strip()]


def _to_word(part):
    "Leave out a word that is cut at the end."
    return re.sub(r"(?<=\s)\w+$", "", part).rstrip() or part
