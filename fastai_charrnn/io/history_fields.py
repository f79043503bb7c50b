"""Check what a model file tells about its text and its training: `check_data`, `check_training`, `check_texts`."""

import math
import re

from .._checks import shown
from .._utils import is_count
from .limits import MAX_COUNT, MAX_NAME, MAX_TEXT

__all__ = ["check_data", "check_training", "check_texts", "check_names", "is_text"]

# of a document 16 digits are kept, of the whole text all
_digest = re.compile(r"[0-9a-f]{16}([0-9a-f]{48})?")


def check_data(
    data: dict,  # how the data was made; that of loaders of others may have any of our fields, or none
    where: str,  # its name in errors
):
    "Raise `ValueError` for a field of `data` that is wrong."
    check_names(data, where)
    n_chars = data.get("n_chars", 0)
    stride = data.get("stride", 1)
    if not _is_size(n_chars):
        raise ValueError(f"{where} has n_chars={shown(n_chars)}, which is no number of characters")
    if not _is_size(stride) or stride == 0:
        raise ValueError(f"{where} has stride={shown(stride)}, which is no number of characters")
    if not is_text(data.get("split", "")):
        raise ValueError(f"{where} has split={shown(data['split'])}, which is no short text")
    if "digest" in data and not _is_digest(data["digest"]):
        raise ValueError(f"{where} has digest={shown(data['digest'])}, which is no checksum")
    _check_ngrams(data, where)
    _check_spans(data.get("spans"), n_chars, where)
    _check_parts(data.get("documents"), _is_size, f"documents of {where}")
    _check_parts(data.get("document_digests"), _are_digests, f"document_digests of {where}")
    _check_earlier(data.get("earlier", []), where)


def _check_ngrams(data, where):
    "The loss of n-grams on the validation part, and their longest context."
    loss = data.get("ngram_loss", 0)
    context = data.get("ngram_context", 1)
    if type(loss) not in (int, float) or not 0 <= loss <= MAX_COUNT:
        raise ValueError(f"{where} has ngram_loss={shown(loss)}, which is no loss")
    if not is_count(context) or context > MAX_COUNT:
        raise ValueError(f"{where} has ngram_context={shown(context)}, which is no number of characters")


def _check_spans(spans, n_chars, where):
    "Where training and validation read: two lists of (begin, end), or None."
    if spans is None:
        return
    if not isinstance(spans, list) or len(spans) != 2 or not all(isinstance(part, list) for part in spans):
        raise ValueError(f"{where} has spans={shown(spans)}, which are no lists of training and validation")
    for span in spans[0] + spans[1]:
        is_pair = isinstance(span, list) and len(span) == 2 and all(map(_is_size, span))
        if not is_pair or not span[0] <= span[1] <= n_chars:
            raise ValueError(f"{where} has the span {shown(span)} in a text of {n_chars:,} characters")


def _check_parts(parts, is_right, where):
    "Values for the training part and the validation part."
    if parts is None:
        return
    if not isinstance(parts, dict) or parts.keys() != {"train", "valid"} or not all(map(is_right, parts.values())):
        raise ValueError(f"{where} are {shown(parts)}")


def _check_earlier(earlier, where):
    if not isinstance(earlier, list) or not all(isinstance(data, dict) for data in earlier):
        raise ValueError(f"{where} has earlier={shown(earlier)}, which is no list of data")
    for data in earlier:
        if "earlier" in data:
            raise ValueError(f"{where} has earlier data inside earlier data")
        check_data(data, "earlier data")


def check_training(
    training: dict,  # epochs, log, bs, opt, loss, seed, prompts and units
):
    "Raise `ValueError` for a field of `training` that is wrong."
    check_names(training, "training")
    epochs = training.get("epochs", 0)
    bs = training.get("bs")
    if not _is_size(epochs):
        raise ValueError(f"training has epochs={shown(epochs)}, which is no number of epochs")
    if bs is not None and not (is_count(bs) and bs <= MAX_COUNT):
        raise ValueError(f"training has bs={shown(bs)}, which is no batch size")
    seed = training.get("seed")
    if seed is not None and not (type(seed) is int and 0 <= seed < 2**64):
        raise ValueError(f"training has seed={shown(seed)}, which is no seed")
    for name in ("opt", "loss"):
        if not is_text(training.get(name, "")):
            raise ValueError(f"training has {name}={shown(training[name])}, which is no name")
    _check_examples(training.get("prompts", []), training.get("units", []))
    log = training.get("log", [])
    if not isinstance(log, list) or not all(isinstance(row, dict) for row in log):
        raise ValueError(f"training.log is {shown(log)}, which is no list of epochs")
    for row in log:
        check_names(row, "training.log")
        # a loss may be NaN
        for name, value in row.items():
            if type(value) not in (int, float) or abs(value) > MAX_COUNT and value != math.inf:
                raise ValueError(f"training.log has {shown(name)}: {shown(value)}, which is no number of an epoch")


def _check_examples(prompts, units):
    "Texts to begin with, and hidden units with what they track, how well."
    if not isinstance(prompts, list) or not all(map(is_text, prompts)):
        raise ValueError(f"training has prompts={shown(prompts)}, which are no short texts")
    if not isinstance(units, list) or not all(map(_is_unit, units)):
        raise ValueError(f"training has units={shown(units)}, which are no units with what they track")


def _is_unit(value):
    if not isinstance(value, dict) or value.keys() != {"unit", "tracks", "score"}:
        return False
    score = value["score"]
    return _is_size(value["unit"]) and is_text(value["tracks"]) and type(score) in (int, float) and -1 <= score <= 1


def check_texts(
    texts: dict,  # names and short texts, such as versions
    where: str,  # their name in errors
):
    "Raise `ValueError` for anything but short texts."
    check_names(texts, where)
    for name, value in texts.items():
        if not is_text(value):
            raise ValueError(f"{where} has {shown(name)}: {shown(value)}, which is no short text")


def check_names(
    fields: dict,  # an object of JSON
    where: str,  # its name in errors
):
    "Raise `ValueError` for a long name."
    for name in fields:
        if len(name) > MAX_NAME:
            raise ValueError(f"{where} has the name {shown(name)}, which is longer than {MAX_NAME} characters")


def is_text(
    value: object,  # anything
) -> bool:
    "Whether a value is a text that is not too long to be shown."
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _is_size(value):
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_digest(value):
    return isinstance(value, str) and _digest.fullmatch(value) is not None


def _are_digests(values):
    return isinstance(values, list) and all(map(_is_digest, values))
