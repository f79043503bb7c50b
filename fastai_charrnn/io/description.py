"""The description of a model in its file: `parse_description` checks every field before anything is built.

Its fields are listed in `io.format`. A file of a stranger may hold anything: each field is checked for its type and
range, and the fields for whether they fit each other. `io.format` then compares them with the tensors.
"""

import math
import re

from .._utils import is_count
from ..errors import ModelFileError
from ..models.registry import RENAMED
from .limits import MAX_COUNT, MAX_LAYERS, MAX_MODELS, MAX_NAME, MAX_SEQ_LEN, MAX_TEXT, MAX_TOKEN, MAX_VOCAB
from .untrusted_json import parse_json, shown

__all__ = ["FORMAT", "parse_description", "check_description"]

FORMAT = 3
_max_parts = 100  # values in a list or dict of an argument
_digest = re.compile(r"[0-9a-f]{16}([0-9a-f]{48})?")


def parse_description(
    text: str,  # JSON
) -> dict:  # in the present format
    """Parse and check a description. Formats 1 and 2 are upgraded.

    Raises `ModelFileError` for another format, and `ValueError` with the reason for anything else that is wrong."""
    description = parse_json(text)
    if not isinstance(description, dict):
        raise ValueError("it is no JSON object")
    _check_format(description)
    description = _upgrade(description)
    check_description(description)
    return description


def _check_format(description):
    found = description.get("format")
    if type(found) is not int:
        raise ValueError(f"format={shown(found)} has the wrong type")
    if found in range(1, FORMAT + 1):
        return
    versions = description.get("versions")
    writer = versions.get("fastai_charrnn") if isinstance(versions, dict) else None
    is_version = isinstance(writer, str) and re.fullmatch(r"[\w.+-]{1,20}", writer)
    package = f"fastai_charrnn {writer}" if is_version else "the version of fastai_charrnn that wrote it"
    raise ModelFileError(f"it has format {shown(found)}, this package reads {FORMAT} and below; use {package}")


def _upgrade(description):
    "Rename the fields of format 2 to those of 3. Format 1 had no `target` and `stateful`: its models read windows."
    if description["format"] not in (1, 2):
        return description
    new = dict(description)
    if "window" in new:
        new["seq_len"] = new.pop("window")
    if isinstance(new.get("config"), dict):
        new["config"] = {RENAMED.get(name, name): value for name, value in new["config"].items()}
    if new["format"] == 1:
        new |= dict(target="next", stateful=False)
    return new


def check_description(
    description: dict,  # in the present format
):
    "Raise `ValueError` with the reason if a field is missing, has a wrong type, or is out of range."
    _check_types(description)
    _check_reading(description)
    _check_vocab(description["vocab"])
    _check_config(description["config"])
    _check_data(description["data"], "data")
    _check_training(description["training"])
    _check_texts(description["versions"], "versions")
    n_chars = description["data"].get("n_chars", 0)
    if 0 < n_chars < description["seq_len"] and not description["stateful"]:
        raise ValueError(f"seq_len={description['seq_len']:,} is longer than its text of {n_chars:,} characters")


def _check_types(description):
    kinds = dict(arch=str, config=dict, seq_len=int, target=str, stateful=bool, vocab=list)
    kinds |= dict(data=dict, training=dict, versions=dict)
    if missing := [name for name in kinds if name not in description]:
        raise ValueError(f"the fields {', '.join(missing)} are missing")
    # by type, because True is an `int`
    for name, kind in kinds.items():
        if type(description[name]) is not kind:
            raise ValueError(f"{name}={shown(description[name])} has the wrong type")


def _check_reading(description):
    seq_len = description["seq_len"]
    target = description["target"]
    if not 1 <= seq_len <= MAX_SEQ_LEN:
        raise ValueError(f"seq_len={shown(seq_len)} is not from 1 to {MAX_SEQ_LEN:,}")
    if target not in ("next", "every"):
        raise ValueError(f"target={shown(target)} is neither 'next' nor 'every'")
    if description["stateful"] and target != "every":
        raise ValueError("stateful=True needs target='every'")
    if len(description["arch"]) > MAX_NAME:
        raise ValueError(f"arch has more than {MAX_NAME} characters")


def _check_vocab(vocab):
    if not 1 <= len(vocab) <= MAX_VOCAB:
        raise ValueError(f"the vocabulary has {len(vocab):,} characters, which is not from 1 to {MAX_VOCAB:,}")
    for char in vocab:
        if not isinstance(char, str) or len(char) > MAX_TOKEN:
            raise ValueError(f"the vocabulary has {shown(char)}, which is no character")


def _check_config(config):
    "The arguments of the architecture. Its class checks them further."
    _check_names(config, "config")
    for name, value in config.items():
        if not _is_argument(value):
            raise ValueError(f"config has {shown(name)}: {shown(value)}, which is no argument of an architecture")
    for name in ("emb_sz", "n_hid"):
        if not is_count(config.get(name)):
            raise ValueError(f"{name}={shown(config.get(name))} is not a whole number, at least 1")
    for name, most in (("n_layers", MAX_LAYERS), ("n_models", MAX_MODELS)):
        value = config.get(name, 1)
        if not is_count(value) or value > most:
            raise ValueError(f"{name}={shown(value)} is not from 1 to {most}")


def _is_argument(value):
    "Whether a value is None, a short text, a finite number, or a short list or dict of these."
    if isinstance(value, (list, dict)):
        parts = list(value.values()) if isinstance(value, dict) else value
        return len(parts) <= _max_parts and all(map(_is_argument, parts))
    return value is None or _is_text(value) or isinstance(value, (bool, int, float)) and abs(value) <= MAX_COUNT


def _check_data(data, where):
    "How the data was made. Data of loaders of others may have any of these fields, or none."
    _check_names(data, where)
    for name in ("n_chars", "stride"):
        value = data.get(name)
        if value is not None and not _is_size(value):
            raise ValueError(f"{where} has {name}={shown(value)}, which is no number of characters")
    if data.get("n_chars", 0) is None:
        raise ValueError(f"{where} has n_chars=None")
    if not _is_text(data.get("split", "")):
        raise ValueError(f"{where} has split={shown(data['split'])}, which is no short text")
    if "digest" in data and not _is_digest(data["digest"]):
        raise ValueError(f"{where} has digest={shown(data['digest'])}, which is no checksum")
    _check_spans(data.get("spans"), data.get("n_chars", 0), where)
    _check_parts(data.get("documents"), _is_size, f"documents of {where}")
    _check_parts(data.get("document_digests"), _are_digests, f"document_digests of {where}")
    _check_earlier(data.get("earlier", []), where)


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
        _check_data(data, "earlier data")


def _check_training(training):
    _check_names(training, "training")
    epochs = training.get("epochs", 0)
    bs = training.get("bs")
    if not _is_size(epochs):
        raise ValueError(f"training has epochs={shown(epochs)}, which is no number of epochs")
    if bs is not None and not (is_count(bs) and bs <= MAX_COUNT):
        raise ValueError(f"training has bs={shown(bs)}, which is no batch size")
    for name in ("opt", "loss"):
        if not _is_text(training.get(name, "")):
            raise ValueError(f"training has {name}={shown(training[name])}, which is no name")
    log = training.get("log", [])
    if not isinstance(log, list) or not all(isinstance(row, dict) for row in log):
        raise ValueError(f"training.log is {shown(log)}, which is no list of epochs")
    for row in log:
        _check_names(row, "training.log")
        # a loss may be NaN
        for name, value in row.items():
            if type(value) not in (int, float) or abs(value) > MAX_COUNT and value != math.inf:
                raise ValueError(f"training.log has {shown(name)}: {shown(value)}, which is no number of an epoch")


def _check_texts(texts, where):
    _check_names(texts, where)
    for name, value in texts.items():
        if not _is_text(value):
            raise ValueError(f"{where} has {shown(name)}: {shown(value)}, which is no short text")


def _check_names(fields, where):
    for name in fields:
        if len(name) > MAX_NAME:
            raise ValueError(f"{where} has the name {shown(name)}, which is longer than {MAX_NAME} characters")


def _is_text(value):
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _is_size(value):
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_digest(value):
    return isinstance(value, str) and _digest.fullmatch(value) is not None


def _are_digests(values):
    return isinstance(values, list) and all(map(_is_digest, values))
