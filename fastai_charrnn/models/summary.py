"""What `CharLearner.summary` says of a model: its layers and the shapes of their weights, and what is frozen."""

from collections.abc import Iterator

from fastai.optimizer import Optimizer
from torch import nn

__all__ = ["weight_table", "frozen_lines"]

_row = "{:<30} {:<22} {:<12} {}"
_width = 76


def weight_table(
    model: nn.Module,  # any model
) -> str:
    "A line for each module with weights of its own or without parts, then the totals."
    line = "=" * _width
    header = _row.format("Layer (type)", "Weights", "Param #", "Trainable")
    rows = [_layer_row(name, layer) for name, layer in _layers(model)]
    return "\n".join([line, header, line, *rows, "_" * _width, "", *_totals(model)])


def _layers(model) -> Iterator[tuple[str, nn.Module]]:
    for name, module in model.named_modules():
        if not name:
            continue
        weights = list(module.parameters(recurse=False))
        parts = list(module.children())
        is_list = isinstance(module, nn.ModuleList)
        if weights or not (parts or is_list):
            yield name, module


def _layer_row(name, layer):
    weights = list(layer.parameters(recurse=False))
    shapes = ", ".join(" x ".join(map(str, w.shape)) for w in weights if w.dim() > 1)
    count = sum(w.numel() for w in weights)
    trainable = any(w.requires_grad for w in weights)
    return _row.format(f"{name} ({type(layer).__name__})", shapes, f"{count:,}", trainable)


def _totals(model):
    "The number of weights, as fastai's summary states it."
    weights = list(model.parameters())
    total = sum(w.numel() for w in weights)
    trainable = sum(w.numel() for w in weights if w.requires_grad)
    return [
        f"Total params: {total:,}",
        f"Total trainable params: {trainable:,}",
        f"Total non-trainable params: {total - trainable:,}",
    ]


def frozen_lines(
    opt: Optimizer | None,  # of a learner
) -> list[str]:
    "How many parameter groups are frozen, as fastai's summary states it."
    if opt is None:
        return []
    is_frozen = opt.frozen_idx > 0
    return [f"Model frozen up to parameter group #{opt.frozen_idx}" if is_frozen else "Model unfrozen", ""]
