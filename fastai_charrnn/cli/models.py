"""The models that a command line names: a model file, or a pretrained model of the package."""

from pathlib import Path

from ..errors import ModelFileError
from ..io.format import with_suffix
from ..share.pretrained import list_pretrained, pretrained_path

__all__ = ["find_models", "model_file"]

# arguments that name a model, or a list of models
_arguments = ("model", "models", "from_model")


def find_models(
    args,  # parsed arguments; those that name models become paths
):
    "Replace the names of models by the paths of their files. Raises `ModelFileError` as `model_file` does."
    for argument in _arguments:
        value = getattr(args, argument, None)
        if isinstance(value, list):
            setattr(args, argument, [model_file(name) for name in value])
        elif value is not None:
            setattr(args, argument, model_file(value))


def model_file(
    name: Path,  # as on the command line; ".safetensors" may be missing
) -> Path:
    """The file of this name, or the pretrained model of this name if there is no such file.

    Raises `ModelFileError` if there is neither, with the names of the pretrained models."""
    path = with_suffix(name)
    if path.exists():
        return name
    names = list_pretrained()
    if str(name) in names:
        return pretrained_path(str(name))
    raise ModelFileError(
        f"there is no model file {path}; charrnn train makes one, or name a pretrained model: {', '.join(names)}"
    )
