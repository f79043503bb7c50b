"""The format of model files, read without fastai: `describe_model`, and checks before a model is built.

A model file is a `.safetensors` file. It holds the weights, and in its metadata a JSON object under "charrnn":

    format                           3; the older 1 and 2 are upgraded while reading, newer ones are refused
    arch, config, vocab              which model to build, and its characters
    seq_len, target, stateful        how it reads: arguments of `CharDataLoaders.from_text`
    data, training, versions         text and split, the numbers of every epoch, versions of packages
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from .._utils import plain_names
from ..data.token_vocab import as_vocab
from ..data.vocab import CharVocab
from ..errors import ArchError, CharRnnError, ModelFileError
from ..models.build import build_model, without_init
from ..models.registry import MOVED, RENAMED, Arch, get_arch

__all__ = [
    "describe_model",
    "build_described",
    "check_tensors",
    "load_weights",
    "named_errors",
    "with_suffix",
    "FORMAT",
]

FORMAT = 3
# what safetensors calls the dtypes that are not floats
_DTYPES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
}
# fields of the description and their types
_FIELDS = dict(format=int, arch=str, config=dict, seq_len=int, vocab=list, data=dict, training=dict, versions=dict)


def with_suffix(
    path: str | Path,  # as given
) -> Path:  # with ".safetensors" if it had no suffix
    'Complete the path of a model file. Raises `ModelFileError` for a path without a name, such as ".".'
    path = Path(path)
    if not path.name:
        raise ModelFileError(f"{str(path)!r} is a folder, not a model file; give a file name, such as my.safetensors")
    return path if path.suffix else path.with_suffix(".safetensors")


def describe_model(
    path: str | Path,  # a file written by `save_model`
) -> dict:  # the description, `tensors`: name to shape, and `dtypes`: name to dtype
    "Read the description of a model file, without its weights. Raises `ModelFileError` for any other file."
    path = with_suffix(path)
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder, not a model file; give the path of the file")
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}; save_model(learn, {str(path)!r}) writes one")
    metadata, tensors, dtypes = _read_header(path)
    if "charrnn" not in metadata:
        raise ModelFileError(
            f"{path} holds tensors but no description of a character model; it was not written by save_model"
        )
    try:
        description = _upgrade(json.loads(metadata["charrnn"]))
        _check_format(path, description)
        _check_fields(description)
    except ModelFileError:
        raise
    except (ValueError, KeyError, TypeError) as e:
        raise ModelFileError(f"{path} has a description that cannot be read ({e}); save it again") from None
    return description | dict(tensors=tensors, dtypes=dtypes)


def _read_header(path):
    "The metadata, and the shape and dtype of each tensor by name."
    try:
        with safe_open(path, framework="pt") as f:
            slices = {name: f.get_slice(name) for name in f.keys()}
            shapes = {name: tensor.get_shape() for name, tensor in slices.items()}
            dtypes = {name: tensor.get_dtype() for name, tensor in slices.items()}
            return f.metadata() or {}, shapes, dtypes
    except (SafetensorError, OSError) as e:
        raise ModelFileError(f"{path} is damaged or not a model file ({e}); save it again") from None


def _upgrade(description):
    "Rename the fields of format 2 to those of 3. Format 1 had no `target` and `stateful`: its models read windows."
    if description["format"] not in (1, 2):
        return description
    new = dict(description)
    if "window" in new:
        new["seq_len"] = new.pop("window")
    new["config"] = {RENAMED.get(name, name): value for name, value in dict(new["config"]).items()}
    if new["format"] == 1:
        new |= dict(target="next", stateful=False)
    return new


def _check_format(path, description):
    found = description["format"]
    if isinstance(found, int) and found not in range(1, FORMAT + 1):
        writer = description.get("versions", {}).get("fastai_charrnn")
        package = f"fastai_charrnn {writer}" if writer else "the version of fastai_charrnn that wrote it"
        raise ModelFileError(f"{path} has format {found}, this package reads {FORMAT} and below; use {package}")


def _check_fields(description):
    "Raise `ValueError` for wrong fields, `KeyError` for missing ones."
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(description[name], kind)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} have the wrong type")
    if description["seq_len"] < 1:
        raise ValueError(f"seq_len={description['seq_len']}")
    if description["target"] not in ("next", "every"):
        raise ValueError(f"target={description['target']!r}")
    if not isinstance(description["stateful"], bool):
        raise ValueError(f"stateful={description['stateful']!r}")


def build_described(
    description: dict,  # from `describe_model`
    arch: Arch,  # its architecture
    vocab_sz: int,  # characters in the vocabulary, padding included
) -> nn.Module:
    "Build the model of a description, untrained."
    seq_len = None if description["stateful"] else description["seq_len"]
    return build_model(arch.cls, vocab_sz, description["config"], seq_len, target=description["target"])


@contextmanager
def named_errors(
    path: Path,  # the file
) -> Iterator[None]:
    "Turn this package's errors into a `ModelFileError` that names the file."
    try:
        yield
    except ModelFileError:
        raise
    except CharRnnError as e:
        raise ModelFileError(f"{path} cannot be loaded: {e}") from None


def check_tensors(
    description: dict,  # from `describe_model`
) -> tuple[CharVocab, Arch]:  # the vocabulary and the architecture of the model
    """Compare the tensors of a file with those of the model it describes, built without memory for weights.

    Floats of any size may stand for floats. Whole numbers and booleans, as buffers of your own class, need their own
    dtype. Raises `ModelFileError` for a difference, an unknown architecture, or a `config` that builds no model."""
    vocab = as_vocab(description["vocab"])
    arch = _registered_arch(description["arch"])
    expected = _expected_tensors(description, arch, len(vocab))
    shapes = plain_names(description["tensors"], expected)
    dtypes = plain_names(description["dtypes"], expected)
    for name in sorted(expected.keys() | shapes.keys()):
        needed = list(expected[name].shape) if name in expected else "no tensor of this name"
        if shapes.get(name) != needed:
            found = shapes.get(name) or "missing"
            raise ModelFileError(f"tensor {name!r} is {found} in the file, and its description needs {needed}")
        _check_dtype(name, dtypes[name], expected[name].dtype)
    return vocab, arch


def _check_dtype(name, found, needed):
    if needed.is_floating_point:
        if found not in ("F32", "F64", "F16", "BF16"):
            raise ModelFileError(f"tensor {name!r} is {found}, not a float")
    elif found != _DTYPES.get(needed):
        raise ModelFileError(f"tensor {name!r} is {found} in the file, and its description needs {needed}")


def load_weights(
    model: nn.Module,  # of the architecture of the file
    path: Path,  # a file whose tensors were checked
):
    "Copy the tensors of a file into a model. Names with prefixes of wrapped models are read too."
    model.load_state_dict(plain_names(load_file(path), model.state_dict()))


def _registered_arch(name):
    try:
        return get_arch(name)
    except ArchError as e:
        message = str(e)
        # of an architecture that left the package, it says where that is now
        if name not in MOVED:
            message += f". To load the file, import the module whose class has @register_arch({name!r}) first"
        raise ModelFileError(message) from None


def _expected_tensors(description, arch, vocab_sz):
    "The tensors, on the meta device, of the model that a description calls for."
    try:
        with torch.device("meta"), without_init():
            model = build_described(description, arch, vocab_sz)
    except CharRnnError:
        raise
    except Exception as e:
        config = description["config"]
        raise ModelFileError(f"{arch.name} cannot be built from {config} ({type(e).__name__}: {e})") from None
    return model.state_dict()
