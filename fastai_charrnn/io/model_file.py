"""A trained model as one file without pickle: `save_model`, `load_model`, `describe_model`.

`modelfile` says what such a file holds. Loading executes nothing from it: a registered architecture is built, and tensors
are copied whose names, shapes and types were compared with it first.
"""

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from fastai.basics import default_device, rank_distrib
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from .. import __version__
from ..data.loaders import CharDataLoaders
from ..data.streams import CharStreams
from ..data.windows import CharIds, CharWindows
from ..errors import ModelFileError
from ..learner import CharLearner, char_learner
from .format import FORMAT, checked, describe_model, opening, with_suffix

__all__ = ["save_model", "load_model", "describe_model"]


def save_model(
    learn: CharLearner,  # a learner made by `char_learner` with a registered architecture
    path: str | Path,  # where to; ".safetensors" is added if it has no suffix
) -> Path:  # the file written
    """Write the model, its vocabulary and how it was trained to one file, whole or not at all; of several processes, the first alone writes.

    Raises `ModelFileError` for an architecture that no name stands for, or a file that cannot be written."""
    path = with_suffix(path)
    if learn.arch is None or not learn.arch.registered:
        raise ModelFileError(
            f"{type(learn.model).__name__} is not a registered architecture, so a model file cannot name it; "
            'register it with @register_arch("name") before char_learner, or use learn.export'
        )
    if rank_distrib():
        return path
    tensors = {
        k: v.detach().cpu().clone() for k, v in learn.model.state_dict().items()
    }  # tied weights are one tensor, which the format does not know
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as tmp:
            part = Path(tmp) / path.name
            save_file(tensors, part, metadata=dict(charrnn=json.dumps(_description(learn))))
            os.replace(part, path)
    except (OSError, SafetensorError) as e:
        raise ModelFileError(
            f"cannot write {path}: {getattr(e, 'strerror', None) or e}; make room, or choose another place"
        ) from None
    return path


def _description(learn):
    log = learn.training_log.rows if hasattr(learn, "training_log") else []
    dls = learn.dls
    training = dict(epochs=len(log), log=log, bs=dls.train.bs, opt=_name(learn.opt_func), loss=_name(learn.loss_func))
    return dict(
        format=FORMAT,
        arch=learn.arch.name,
        config=learn.arch_config,
        seq_len=dls.seq_len,
        target=dls.target,
        stateful=dls.stateful,
        vocab=dls.vocab.itos,
        data=dls.train_ds.info,
        training=training,
        versions=dict(fastai_charrnn=__version__, fastai=version("fastai"), torch=torch.__version__),
    )


def _name(f):
    return getattr(getattr(f, "func", f), "__name__", type(f).__name__)


def load_model(
    path: str | Path,  # a file written by `save_model`
    dls: CharDataLoaders
    | None = None,  # what to train on or validate with, of the same vocabulary; None: no text, for `predict_next` and `evaluate`
    device: str | torch.device | None = None,  # where to put the model; None: that of `dls`, else fastai's default
    **kwargs,  # as `char_learner`: lr, metrics, cbs …
) -> CharLearner:  # in evaluation mode
    """The learner that `save_model` wrote, its training log included. Runs nothing from the file.

    Raises `ModelFileError` if the file is missing, damaged, of another format, names an unknown architecture, or does not
    hold exactly the tensors its description calls for; or if `dls` has another vocabulary."""
    path = with_suffix(path)
    d = describe_model(path)
    with opening(path):
        learn = _build(d, dls, device, kwargs)
    learn.model.load_state_dict(load_file(path))
    learn.model.to(learn.dls.device).eval()
    learn.training_log.rows += d["training"].get("log", [])
    return learn


def _build(d, dls, device, kwargs):
    "An untrained learner as described; nothing of any size is made before the tensors are found to be as it calls for."
    vocab, record = checked(d)
    if dls is None:
        ids = CharIds(torch.zeros(0, dtype=torch.uint8))
        device = device or default_device()
        if d["stateful"]:
            empty = CharStreams(ids, vocab, (), d["training"].get("bs", 64), d["seq_len"], True, info=d["data"])
        else:
            empty = CharWindows(ids, vocab, torch.zeros(0, dtype=torch.int64), d["seq_len"], d["data"], d["target"])
        dls = CharDataLoaders.from_datasets(empty, empty, device=device)
    elif dls.vocab != vocab:
        odd = sorted(set(dls.vocab) ^ set(vocab))
        raise ModelFileError(
            f"the vocabulary of dls is not the model's ({len(odd)} characters differ, such as {odd[0]!r}); make it with "
            'CharDataLoaders.from_text(text, vocab=load_model(path).dls.vocab, unk="skip")'
        )
    elif dls.stateful != d["stateful"] or dls.target != d["target"]:
        raise ModelFileError(
            f"the model was trained with target={d['target']!r}, stateful={d['stateful']}, "
            f"and dls have target={dls.target!r}, stateful={dls.stateful}; make them with the model's"
        )
    elif device is not None:
        dls.to(device)
    return char_learner(dls, arch=record.name, config=d["config"], **kwargs)
