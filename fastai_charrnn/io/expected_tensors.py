"""Compare the tensors of a model file with its description, before memory is allocated: `check_tensors`."""

import inspect

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .._checks import check_memory, shown
from .._utils import plain_names
from ..data.token_vocab import as_vocab
from ..data.vocab import CharVocab
from ..errors import ArchError, CharRnnError, ModelFileError
from ..models.build import build_model, without_init
from ..models.registry import MOVED, Arch, get_arch
from .tensor_file import DTYPES

__all__ = ["build_described", "check_tensors"]


def build_described(
    description: dict,  # from `describe_model`
    arch: Arch,  # its architecture
    vocab_sz: int,  # characters in the vocabulary, padding included
) -> nn.Module:
    "Build the model of a description, untrained."
    seq_len = None if description["stateful"] else description["seq_len"]
    config = dict(arch.config) | description["config"]
    return build_model(arch.cls, vocab_sz, config, seq_len, target=description["target"])


def check_tensors(
    description: dict,  # from `describe_model`
) -> tuple[CharVocab, Arch]:  # the vocabulary and the architecture of the model
    """Compare the tensors of a file with those of the model it describes, built without memory for weights.

    Floats of any size may stand for floats. Whole numbers and booleans, as buffers of your own class, need their own
    dtype. Raises `ModelFileError` for a difference, an unknown architecture, or a `config` that builds no model."""
    vocab = as_vocab(description["vocab"])
    arch = _registered_arch(description["arch"])
    only = getattr(arch.cls, "fixed_seq_len", None)
    if only is not None and description["seq_len"] != only:
        raise ModelFileError(f"its seq_len is {description['seq_len']}, and {arch.name} reads {only} characters")
    _check_flags(arch.cls, description["config"])
    expected = _expected_tensors(description, arch, len(vocab))
    shapes = plain_names(description["tensors"], expected)
    dtypes = plain_names(description["dtypes"], expected)
    for name in sorted(expected.keys() | shapes.keys()):
        needed = list(expected[name].shape) if name in expected else "no tensor of this name"
        if shapes.get(name) != needed:
            found = shapes.get(name, "missing")
            raise ModelFileError(f"tensor {shown(name)} is {found} in the file, and its description needs {needed}")
        _check_dtype(name, dtypes[name], expected[name].dtype)
    # a file with holes can be larger than all memory
    n_bytes = sum(tensor.numel() * tensor.itemsize for tensor in expected.values())
    check_memory(n_bytes, "the model of the file", "use a machine with more memory", ModelFileError)
    return vocab, arch


def _check_dtype(name, found, needed):
    if needed.is_floating_point:
        if not DTYPES[found].is_floating_point:
            raise ModelFileError(f"tensor {shown(name)} is {found}, not a float")
    elif DTYPES[found] != needed:
        raise ModelFileError(f"tensor {shown(name)} is {found} in the file, and its description needs {needed}")


def _check_flags(cls, config):
    "Raise `ModelFileError` unless arguments that are booleans by default are booleans."
    if isinstance(config.get("network"), str) and isinstance(config.get("network_config"), dict):
        # of a mixture
        _check_flags(_registered_arch(config["network"]).cls, config["network_config"])
    classes = [cls]
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
