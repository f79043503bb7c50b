"""The trained models that the package contains: `load_pretrained`, `list_pretrained`.

    learn = load_pretrained("nietzsche")
    learn.generate("The ", 200, seed=1)

No network and no training is needed. `make pretrained` trains them. Each has a model card beside it, which says how it
was trained and how good it is. The files hold weights in float16; a model that is loaded computes in float32.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from .._checks import shown
from ..errors import ModelFileError

if TYPE_CHECKING:
    import torch

    from ..data.loaders import CharDataLoaders
    from ..learner import CharLearner

__all__ = ["list_pretrained", "load_pretrained", "pretrained_path"]

_folder = Path(__file__).parent / "pretrained"


def list_pretrained() -> list[str]:  # sorted
    "Return the names of the models that the package contains."
    return sorted(path.stem for path in _folder.glob("*.safetensors"))


def load_pretrained(
    name: str,  # one of `list_pretrained()`
    dls: "CharDataLoaders | None" = None,  # text to train further on, as in `load_model`; None: no text
    device: "str | torch.device | None" = None,  # where to put the model, as in `load_model`
    **kwargs,  # as `char_learner`: lr, metrics, cbs …
) -> "CharLearner":  # in evaluation mode
    """Return the learner of a model that the package contains. It generates, scores and evaluates.

    With `dls` of the model's vocabulary it can be trained further. Raises `ModelFileError` for an unknown name, which
    lists the known ones, and as `load_model` does."""
    from ..io.model_file import load_model

    return load_model(pretrained_path(name), dls, device, **kwargs)


def pretrained_path(
    name: str,  # one of `list_pretrained()`
) -> Path:  # of the model file; the model card is beside it, with the suffix ".md"
    "Return the path of a model that the package contains. Raises `ModelFileError` for an unknown name."
    names = list_pretrained()
    if not isinstance(name, str) or name not in names:
        raise ModelFileError(
            f"name={shown(name)} is not a pretrained model; they are {', '.join(names)}. "
            "load_model(path) loads a model file of yours"
        )
    return _folder / f"{name}.safetensors"
