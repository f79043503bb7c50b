"""The format of model files, read without fastai: `describe_model`, and checks before a model is built.

A model file is a `.safetensors` file. It holds the weights, and in its metadata a JSON object under "charrnn":

    format                           3; the older 1 and 2 are upgraded while reading, newer ones are refused
    arch, config, vocab              which model to build, and its characters
    seq_len, target, stateful        how it reads: arguments of `CharDataLoaders.from_text`
    data, training, versions         text and split, the numbers of every epoch, versions of packages
"""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .._printable import printable
from .._utils import plain_names
from ..data.token_vocab import as_vocab
from ..data.vocab import CharVocab
from ..errors import ArchError, CharRnnError, ModelFileError
from ..models.build import build_model, without_init
from ..models.registry import MOVED, Arch, get_arch
from .description import FORMAT, parse_description
from .tensor_file import DTYPES, TensorFile, open_tensors
from .untrusted_json import shown

__all__ = [
    "ModelFile",
    "open_model",
    "describe_model",
    "build_described",
    "check_tensors",
    "named_errors",
    "with_suffix",
    "FORMAT",
]

_max_message = 400  # characters of an error message that tells what is wrong inside a file


def with_suffix(
    path: str | Path,  # as given
) -> Path:  # with ".safetensors" if it had no suffix
    'Complete the path of a model file. Raises `ModelFileError` for a path without a name, such as ".".'
    path = Path(path)
    if not path.name:
        raise ModelFileError(f"{str(path)!r} is a folder, not a model file; give a file name, such as my.safetensors")
    return path if path.suffix else path.with_suffix(".safetensors")


class ModelFile:
    "An open model file. Its `description`, checked, and `load_weights` come from the same bytes."

    def __init__(
        self,
        tensors: TensorFile,  # the open file
    ):
        "Raises `ModelFileError` for a file without a description, or with one that is wrong."
        self.path = tensors.path
        self._tensors = tensors
        if "charrnn" not in tensors.metadata:
            raise ModelFileError(
                f"{self.path} holds tensors but no description of a character model; it was not written by save_model"
            )
        try:
            description = parse_description(tensors.metadata["charrnn"])
        except ModelFileError as e:
            raise ModelFileError(f"{self.path}: {e}") from None
        except ValueError as e:
            reason = printable(e, max_len=_max_message)
            raise ModelFileError(
                f"{self.path} has a description that cannot be read ({reason}); save it again"
            ) from None
        shapes = {name: entry.shape for name, entry in tensors.entries.items()}
        dtypes = {name: entry.dtype for name, entry in tensors.entries.items()}
        self.description = description | dict(tensors=shapes, dtypes=dtypes)

    def load_weights(
        self,
        model: nn.Module,  # of the architecture of the file, whose tensors were checked with `check_tensors`
    ):
        "Copy the tensors into a model. Names with prefixes of wrapped models are read too."
        weights = {name: self._tensors.read(name) for name in self._tensors.entries}
        model.load_state_dict(plain_names(weights, model.state_dict()))


@contextmanager
def open_model(
    path: str | Path,  # a file written by `save_model`
) -> Iterator[ModelFile]:
    """Open a model file, check its description and read its weights inside the block.

    The file is opened once, so a program that replaces it meanwhile does not mix two models. Raises `ModelFileError`
    for a missing file, for any other file, and for a description that is wrong."""
    path = with_suffix(path)
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder, not a model file; give the path of the file")
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}; save_model(learn, {str(path)!r}) writes one")
    with open_tensors(path) as tensors:
        yield ModelFile(tensors)


def describe_model(
    path: str | Path,  # a file written by `save_model`
) -> dict:  # the description, `tensors`: name to shape, and `dtypes`: name to dtype
    "Read the description of a model file, without its weights. Raises `ModelFileError` for any other file."
    with open_model(path) as file:
        return file.description


def build_described(
    description: dict,  # from `describe_model`
    arch: Arch,  # its architecture
    vocab_sz: int,  # characters in the vocabulary, padding included
) -> nn.Module:
    "Build the model of a description, untrained."
    seq_len = None if description["stateful"] else description["seq_len"]
    config = dict(arch.config) | description["config"]
    return build_model(arch.cls, vocab_sz, config, seq_len, target=description["target"])


@contextmanager
def named_errors(
    path: Path,  # the file
) -> Iterator[None]:
    "Turn this package's errors into a short `ModelFileError` that names the file."
    try:
        yield
    except CharRnnError as e:
        raise ModelFileError(f"{path} cannot be loaded: {printable(e, max_len=_max_message)}") from None


def check_tensors(
    description: dict,  # from `describe_model`
) -> tuple[CharVocab, Arch]:  # the vocabulary and the architecture of the model
    """Compare the tensors of a file with those of the model it describes, built without memory for weights.

    Floats of any size may stand for floats. Whole numbers and booleans, as buffers of your own class, need their own
    dtype. Raises `ModelFileError` for a difference, an unknown architecture, or a `config` that builds no model."""
    vocab = as_vocab(description["vocab"])
    arch = _registered_arch(description["arch"])
    _check_flags(arch, description["config"])
    expected = _expected_tensors(description, arch, len(vocab))
    shapes = plain_names(description["tensors"], expected)
    dtypes = plain_names(description["dtypes"], expected)
    for name in sorted(expected.keys() | shapes.keys()):
        needed = list(expected[name].shape) if name in expected else "no tensor of this name"
        if shapes.get(name) != needed:
            found = shapes.get(name, "missing")
            raise ModelFileError(f"tensor {shown(name)} is {found} in the file, and its description needs {needed}")
        _check_dtype(name, dtypes[name], expected[name].dtype)
    _check_memory(expected)
    return vocab, arch


def _check_dtype(name, found, needed):
    if needed.is_floating_point:
        if not DTYPES[found].is_floating_point:
            raise ModelFileError(f"tensor {shown(name)} is {found}, not a float")
    elif DTYPES[found] != needed:
        raise ModelFileError(f"tensor {shown(name)} is {found} in the file, and its description needs {needed}")


def _check_memory(expected):
    "Raise `ModelFileError` for weights larger than the memory of this machine, as a file with holes can have."
    need = sum(tensor.numel() * tensor.itemsize for tensor in expected.values())
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if need > have:
        raise ModelFileError(f"its weights need {need / 2**30:,.0f} GiB, this machine has {have / 2**30:,.0f} GiB")


def _check_flags(arch, config):
    "Raise `ModelFileError` unless arguments that are booleans by default are booleans."
    classes = [arch.cls]
    if isinstance(config.get("arch"), str):
        # the members of an ensemble
        classes.append(_registered_arch(config["arch"]).cls)
    for cls in classes:
        for name, parameter in inspect.signature(cls).parameters.items():
            if type(parameter.default) is bool and type(config.get(name, True)) is not bool:
                raise ModelFileError(f"{name}={shown(config[name])} is neither True nor False")


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
        with torch.device("meta"), _CallLimit(len(description["tensors"])), without_init():
            model = build_described(description, arch, vocab_sz)
    except CharRnnError:
        raise
    except Exception as e:
        raise ModelFileError(
            f"{arch.name} cannot be built from {shown(description['config'])} ({type(e).__name__}: {e})"
        ) from None
    return model.state_dict()


class _CallLimit(TorchFunctionMode):
    "Stops building a model with many more tensors than its file has, whatever its arguments ask for."

    def __init__(self, n_tensors):
        super().__init__()
        self.n_tensors = n_tensors
        # of an LSTM layer, each of the four tensors takes about ten calls
        self.n_calls = 1000 + 100 * n_tensors

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.n_calls -= 1
        if self.n_calls < 0:
            raise ModelFileError(f"it has {self.n_tensors} tensors, and its description needs many more")
        return func(*args, **(kwargs or {}))
