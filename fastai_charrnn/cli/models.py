"""The models that a command line names: a model file, a pretrained model, or hf://me/nietzsche on the Hub."""

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

    hf://me/nietzsche is downloaded once; hf://me/nietzsche@v1 is its revision v1. Raises `ModelFileError` if there is
    no file, with the names of the pretrained models, and `ShareError` as `hub_file` does."""
    if str(name).startswith("hf:"):
        return _from_hub(str(name))
    path = with_suffix(name)
    if path.exists():
        return name
    names = list_pretrained()
    if str(name) in names:
        return pretrained_path(str(name))
    raise ModelFileError(
        f"there is no model file {path}; charrnn train makes one, or name a pretrained model: {', '.join(names)}"
    )


def _from_hub(name):
    "The model file of a repository, named as hf://me/nietzsche. A path has one slash less."
    # imported here, because it imports fastai
    from ..share.hub import download

    repo_id, _, revision = name.removeprefix("hf:").lstrip("/").partition("@")
    return download(repo_id, revision=revision or None)
