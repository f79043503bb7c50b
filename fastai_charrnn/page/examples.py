"""The text that a page shows, and what is found in it: `page_text`, `example_texts`, `named_units`.

The files of pretrained models have prompts and named units, for pages without a text: `stored_examples`.
"""

import re

from ..analysis.held_out import held_out
from ..analysis.tracking import find_units
from ..data.protocol import data_info
from ..data.window_dl import WindowDL
from ..io.model_file import has_text
from ..learner import CharLearner

__all__ = ["page_text", "example_texts", "named_units", "stored_examples"]

_n_examples = 3
_size = 240  # characters of an example
_max_read = 20_000  # characters in which units are found
_min_read = 1000  # in a shorter text, a correlation is luck
_max_kept = 100_000  # characters of a validation part


def page_text(
    learn: CharLearner,  # trained or loaded
    text: str | None = None,  # any text; None: that of the learner, if it has one
) -> str:  # may be empty
    """Return the text to show: of the text that the model was trained on the validation part, else all of it.

    Characters that the model does not know are left out."""
    if text is None:
        return _validation_text(learn)
    vocab = learn.dls.vocab
    # positions count characters as the model reads them
    text = vocab.decode(vocab.encode(text, unk="skip"))
    spans = held_out(learn, text) or [(0, len(text))]
    return "".join(text[begin:end] for begin, end in spans)


def _validation_text(learn):
    "The beginning of the validation part; empty for a learner without text."
    if not has_text(learn) or not isinstance(learn.dls.train, WindowDL):
        return ""
    ids = learn.dls.valid_ds.ids
    spans = data_info(learn.dls).get("spans")
    begin, end = spans[1][0] if spans else (int(len(ids) * 0.9), len(ids))
    return learn.dls.vocab.decode(ids.stretch(begin, min(end, begin + _max_kept)))


def example_texts(
    text: str,  # that of the page
) -> list[str]:  # 3 texts of about 240 characters, or fewer
    "Return parts of a text that begin with a sentence and end with a word."
    text = text[:_max_kept]
    starts = [found.end() for found in re.finditer(r"(?:^|[.!?]\s+|\n\n)(?=\w)", text)] or [0]
    positions = [len(text) * k // _n_examples for k in range(_n_examples)]
    chosen = sorted({next((start for start in starts if start >= position), starts[0]) for position in positions})
    parts = [_to_word(text[start : start + _size]) for start in chosen]
    return [part for part in parts if part.strip()]


def _to_word(part):
    "Leave out a word that is cut at the end."
    return re.sub(r"(?<=\s)\w+$", "", part).rstrip() or part


def named_units(
    learn: CharLearner,  # trained or loaded
    text: str,  # that of the page
) -> list[dict]:  # {"unit", "tracks", "score"}, the highest score first
    "Name hidden units by what they track in a text, with `find_units`. Of a text that is too short, none."
    if len(text) < _min_read:
        return []
    return [
        dict(unit=row.unit, tracks=row.tracks, score=round(row.score, 3)) for row in find_units(learn, text[:_max_read])
    ]


def stored_examples(
    learn: CharLearner,  # trained or loaded
) -> tuple[list[str], list[dict]]:  # prompts and named units; empty for a learner that has trained since
    "Return the prompts and the named units that the model's file has."
    record = {} if has_text(learn) else getattr(learn, "training_record", {})
    n_hid = learn.arch_config.get("n_hid", 0)
    units = [unit for unit in record.get("units", []) if unit["unit"] < n_hid]
    return list(record.get("prompts", [])), units
