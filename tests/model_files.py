"""Model files with changed descriptions or tensors, made from good ones."""

import copy
import json

from safetensors.torch import load_file, save_file

from fastai_charrnn.all import describe_model
from fastai_charrnn.models.registry import RENAMED


def description_of(path):
    "The description as the file stores it."
    return {name: value for name, value in describe_model(path).items() if name not in ("tensors", "dtypes")}


def write(path, description, tensors):
    "Write a model file. A tensor that is None is left out."
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(tensors, path, metadata=dict(charrnn=json.dumps(description)))
    return path


def changed_copy(path, to, change=None, tensors=None):
    "A copy after `change(description)`, with some tensors replaced."
    description = copy.deepcopy(description_of(path))
    if change is not None:
        change(description)
    return write(to, description, load_file(path) | (tensors or {}))


def older_copy(path, to, version):
    "A copy in format 2, whose names were those of version 0.1, or in format 1, which knew only windows."
    old_names = {new: old for old, new in RENAMED.items()}

    def change(description):
        description["format"] = version
        description["window"] = description.pop("seq_len")
        description["config"] = {old_names.get(name, name): value for name, value in description["config"].items()}
        if version == 1:
            del description["target"], description["stateful"]

    return changed_copy(path, to, change)
