"""The format of model files, read without fastai: `open_model`, `describe_model`.

A model file is a `.safetensors` file. It holds the weights, and in its metadata a JSON object under "charrnn":

    format                           3; the older 1 and 2 are upgraded while reading, newer ones are refused
    arch, config, vocab              which model to build, and its characters
    seq_len, target, stateful        how it reads: arguments of `CharDataLoaders.from_text`
    data, training, versions         text and split, the numbers of every epoch, versions of packages

`io.description` checks these fields, and `io.expected_tensors` compares them with the weights. The limits are in
`io.limits`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from .._checks import check_path
from .._printable import printable
from .._utils import plain_names
from ..errors import CharRnnError, ModelFileError
from ..models.counts import CharCounts
from .description import FORMAT, parse_description
from .tensor_file import TensorFile, open_tensors

__all__ = ["ModelFile", "open_model", "describe_model", "named_errors", "with_suffix", "FORMAT"]

_max_message = 400  # characters of an error message that tells what is wrong inside a file


def with_suffix(
    path: str | Path,  # as given
) -> Path:  # with ".safetensors" if it had no suffix
    'Complete the path of a model file. Raises `ModelFileError` for a path without a name, such as ".".'
    path = check_path("path", path, ModelFileError)
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
            raise ModelFileError(f"{self.path} {e}") from None
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
        "Copy the tensors into a model. Names with prefixes of wrapped models are read too. Checks tables of counts."
        weights = {name: self._tensors.read(name) for name in self._tensors.entries}
        model.load_state_dict(plain_names(weights, model.state_dict()))
        with named_errors(self.path):
            for counts in (module for module in model.modules() if isinstance(module, CharCounts)):
                counts.tables()


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


@contextmanager
def named_errors(
    path: Path,  # the file
) -> Iterator[None]:
    "Turn this package's errors into a short `ModelFileError` that names the file."
    try:
        yield
    except CharRnnError as e:
        raise ModelFileError(f"{path} cannot be loaded: {printable(e, max_len=_max_message)}") from None
