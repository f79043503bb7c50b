"""What a model file holds, read without fastai: `describe_model`, and the checks before anything is built from it.

The file is `.safetensors`: the weights, and in its header's metadata, under "charrnn", a JSON description.

    format                           3; 2 and 1 of older packages are read, newer ones are refused by name
    arch, config, vocab              what to build, and for which characters
    seq_len, target, stateful        how it reads: arguments of `CharDataLoaders.from_text`
    data, training, versions         how it was trained: text, split, every epoch's losses, packages
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from ..data.vocab import CharVocab
from ..errors import CharRnnError, ModelFileError
from ..models.build import build_model, without_init
from ..models.registry import RENAMED, Arch, get_arch

__all__ = ["describe_model", "build_described", "checked", "opening", "with_suffix", "FORMAT"]

FORMAT = 3
# names of the description that older formats had
_OLD_FIELDS = {"window": "seq_len"}


def with_suffix(
    path: str | Path,  # as given
) -> Path:  # with ".safetensors" if it had no suffix
    'The path of a model file. Raises `ModelFileError` for a path without a name, such as ".".'
    path = Path(path)
    if not path.name:
        raise ModelFileError(f"{str(path)!r} is a folder, not a model file; give a file name, such as my.safetensors")
    return path if path.suffix else path.with_suffix(".safetensors")


def describe_model(
    path: str | Path,  # a file written by `save_model`
) -> dict:  # the description, with `tensors`: name to shape
    "What a model file says of itself, without loading its weights. Raises `ModelFileError` if it is none."
    path = with_suffix(path)
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder, not a model file; give the path of the file")
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}; save_model(learn, {str(path)!r}) writes one")
    try:
        with safe_open(path, framework="pt") as f:
            meta = f.metadata() or {}
            tensors = {k: (f.get_slice(k).get_shape(), f.get_slice(k).get_dtype()) for k in f.keys()}
    except (SafetensorError, OSError) as e:
        raise ModelFileError(f"{path} is damaged or not a model file ({e}); save it again") from None
    if "charrnn" not in meta:
        raise ModelFileError(
            f"{path} holds tensors but no description of a character model; it was not written by save_model"
        )
    try:
        d = json.loads(meta["charrnn"])
        d = _upgraded(d)
        kinds = dict(
            format=int, arch=str, config=dict, seq_len=int, vocab=list, data=dict, training=dict, versions=dict
        )
        if bad := [k for k, t in kinds.items() if not isinstance(d[k], t)]:
            raise ValueError(f"{', '.join(bad)} of the wrong kind")
        if d["seq_len"] < 1:
            raise ValueError(f"seq_len={d['seq_len']}")
        if d["format"] <= FORMAT and (d["target"] not in ("next", "every") or not isinstance(d["stateful"], bool)):
            raise ValueError("target or stateful is not one that is known")
    except (ValueError, KeyError, TypeError) as e:
        raise ModelFileError(f"{path} has a description that cannot be read ({e}); save it again") from None
    if d["format"] not in range(1, FORMAT + 1):
        writer = d["versions"].get("fastai_charrnn", "of its time")
        raise ModelFileError(
            f"{path} has format {d['format']}, this package reads {FORMAT} and below; use fastai_charrnn {writer}"
        )
    return d | dict(
        tensors={k: shape for k, (shape, _) in tensors.items()}, dtypes={k: t for k, (_, t) in tensors.items()}
    )


def _upgraded(d):
    "The description with the names of format 3: 2 called `seq_len` `window`, 1 knew only windows."
    if not isinstance(d, dict) or not isinstance(d.get("format"), int) or d["format"] > 2:
        return d
    d = {_OLD_FIELDS.get(k, k): v for k, v in d.items()}
    if isinstance(d.get("config"), dict):
        d["config"] = {RENAMED.get(k, k): v for k, v in d["config"].items()}
    if d["format"] == 1:
        d |= dict(target="next", stateful=False)
    return d


def build_described(
    d: dict,  # as `describe_model` gives it
    record: Arch,  # its architecture
    vocab_sz: int,  # characters in the vocabulary, padding included
) -> nn.Module:
    "The model that a description calls for, untrained."
    return build_model(record.cls, vocab_sz, d["config"], None if d["stateful"] else d["seq_len"], target=d["target"])


@contextmanager
def opening(
    path: Path,  # the file
) -> Iterator[None]:
    "Whatever of ours is wrong with what a file asks for is a `ModelFileError` that names the file."
    try:
        yield
    except ModelFileError:
        raise
    except CharRnnError as e:
        raise ModelFileError(f"{path} cannot be loaded: {e}") from None


def checked(
    d: dict,  # as `describe_model` gives it
) -> tuple[CharVocab, Arch]:  # what the file calls for
    "Compare the tensors of a file with those of the model it describes, built without memory for weights. Raises `ModelFileError`."
    vocab = CharVocab(d["vocab"])
    record = get_arch(d["arch"])
    try:
        with torch.device("meta"), without_init():
            model = build_described(d, record, len(vocab))
    except CharRnnError:
        raise
    except Exception as e:
        raise ModelFileError(f"{record.name} cannot be built from {d['config']} ({type(e).__name__}: {e})") from None
    want = {k: list(v.shape) for k, v in model.state_dict().items()}
    for k in sorted(want.keys() | d["tensors"].keys()):
        if want.get(k) != (got := d["tensors"].get(k)):
            raise ModelFileError(
                f"tensor {k!r} is {got or 'missing'} in the file, and its description calls for {want.get(k) or 'none of that name'}"
            )
    if odd := sorted(k for k, t in d["dtypes"].items() if t not in ("F32", "F64", "F16", "BF16")):
        raise ModelFileError(f"tensor {odd[0]!r} is {d['dtypes'][odd[0]]}, not a float")
    return vocab, record
