"""The description of a model in its file: `parse_description` checks every field before anything is built.

Its fields are listed in `io.format`. A file of a stranger may hold anything: each field is checked for its type and
range, and the fields for whether they fit each other. `io.format` then compares them with the tensors.
"""

import re

from .._checks import shown
from .._utils import is_count
from ..errors import ModelFileError
from ..models.registry import RENAMED
from .history_fields import check_data, check_names, check_texts, check_training, is_text
from .limits import MAX_COUNT, MAX_LAYERS, MAX_MODELS, MAX_NAME, MAX_SEQ_LEN, MAX_TOKEN, MAX_VOCAB
from .untrusted_json import parse_json

__all__ = ["FORMAT", "parse_description", "check_description"]

FORMAT = 3
_max_parts = 100  # values in a list or dict of an argument


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
    raise ModelFileError(f"has format {shown(found)}, this package reads {FORMAT} and below; use {package}")


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
    check_data(description["data"], "data")
    check_training(description["training"])
    check_texts(description["versions"], "versions")
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
    check_names(config, "config")
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
    return value is None or is_text(value) or isinstance(value, (bool, int, float)) and abs(value) <= MAX_COUNT
