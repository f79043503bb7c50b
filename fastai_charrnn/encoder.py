"""Save and load all weights but the output layer's: `save_encoder`, `load_encoder`, which `CharLearner` has as methods.

The file also holds the vocabulary. In a learner of another text, the embeddings of known characters are kept.
"""

from pathlib import Path
from pickle import UnpicklingError

import torch
from fastai.basics import Learner, join_path_file, rank_distrib
from torch import Tensor, nn

from ._utils import unwrap_model
from .callback.sharded_trainer import ShardedTrainer
from .callback.weight_files import check_file, weight_file
from .data.collectives import barrier
from .errors import ArchError, ModelFileError
from .models.base import CharModel

__all__ = ["save_encoder", "load_encoder"]


def save_encoder(
    self: Learner,  # a `CharLearner`
    file: str | Path,  # name of the file in `learn.path/learn.model_dir`, without .pth
) -> Path:  # the file written
    """Save the weights without those of the output layer, and the vocabulary.

    Raises `ArchError` unless the model is a `CharModel`, and `ModelFileError` if the file cannot be written."""
    check_file(file)
    weights = _encoder(self)
    path = self.path / self.model_dir / f"{file}.pth"
    if not rank_distrib():
        with weight_file(path) as f:
            torch.save(dict(encoder=weights, vocab=list(self.dls.vocab)), f)
    return path


def load_encoder(
    self: Learner,  # a `CharLearner` of the same architecture and sizes; its characters may differ
    file: str | Path,  # name of the file in `learn.path/learn.model_dir`, without .pth
    device: str | torch.device | None = None,  # where to read the file; None: the device of the data
) -> Learner:  # itself
    """Load what `save_encoder` wrote, and freeze all but the output layer, as fastai does.

    `learn.fine_tune` or `learn.unfreeze()` trains all weights. A new character gets the mean embedding. Raises
    `ModelFileError` for a file that is missing, of another kind, or of other sizes."""
    if hasattr(self, ShardedTrainer.name):
        # rank 0 may still write
        barrier()
    check_file(file)
    path = join_path_file(file, self.path / self.model_dir, ext=".pth")
    weights, vocab = _read(path, self.dls.device if device is None else device)
    expected = _encoder(self)
    new_vocab = list(self.dls.vocab)
    if vocab != new_vocab:
        for name in weights:
            if name.split(".")[-2:] == ["emb", "weight"] and len(weights[name]) == len(vocab):
                weights[name] = _matched_rows(weights[name], vocab, new_vocab)
    _check_shapes(path, weights, expected)
    unwrap_model(self.model).load_state_dict(weights, strict=False)
    self.freeze()
    return self


def _encoder(learn) -> dict[str, Tensor]:
    "The weights by name, without those of output layers. An ensemble has several."
    model = unwrap_model(learn.model)
    if not isinstance(model, CharModel):
        raise ArchError(
            f"{type(model).__name__} has no encoder, because its output layer is not known; derive it from CharModel, "
            "or use learn.save and learn.load"
        )
    heads = tuple(f"{name}.out.".lstrip(".") for name, module in model.named_modules() if _has_head(module))
    return {name: weight for name, weight in model.state_dict().items() if not name.startswith(heads)}


def _has_head(module: nn.Module) -> bool:
    return isinstance(module, CharModel) and "out" in module._modules


def _read(path, device):
    "The weights and the vocabulary of a file."
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise ModelFileError(f"there is no encoder {path}; learn.save_encoder({path.stem!r}) writes one") from None
    except (UnpicklingError, RuntimeError, EOFError, OSError) as e:
        raise ModelFileError(f"{path} cannot be read as an encoder ({type(e).__name__}); save it again") from None
    if not isinstance(saved, dict) or set(saved) != {"encoder", "vocab"}:
        raise ModelFileError(f"{path} is not an encoder; load it with learn.load, or write one with learn.save_encoder")
    return saved["encoder"], saved["vocab"]


def _matched_rows(weight, old, new):
    "The embeddings of the characters in `new`. Those that are not in `old` get the mean."
    index = {char: k for k, char in enumerate(old)}
    mean = weight.mean(0)
    return torch.stack([weight[index[char]] if char in index else mean for char in new])


def _check_shapes(path, weights, expected):
    for name in sorted(weights.keys() | expected.keys()):
        shapes = [tuple(o[name].shape) if name in o else None for o in (weights, expected)]
        if shapes[0] != shapes[1]:
            found, needed = (shape or "missing" for shape in shapes)
            raise ModelFileError(
                f"{path} does not fit: {name} is {found} in the file and {needed} in the model; "
                "make the learner with the architecture and sizes of the encoder"
            )
