"""Save a trained model as one file without pickle, and load it: `save_model`, `load_model`, `describe_model`.

`io.format` says what the file holds. Loading runs nothing from it: the model of a registered architecture is built, and
tensors are copied after their names, shapes and types were compared with the model's.
"""

import json
from importlib.metadata import version
from pathlib import Path

import torch
from fastai.basics import default_device, rank_distrib
from safetensors import SafetensorError
from safetensors.torch import save

from .. import __version__
from .._checks import shown
from .._files import atomic_path
from .._printable import printable
from .._utils import unwrap_model
from ..data.ids import CharIds
from ..data.loaders import CharDataLoaders
from ..data.protocol import as_char_dls, batch_size, data_info
from ..data.streams import CharStreams
from ..data.windows import CharWindows
from ..errors import ModelFileError
from ..generation.checks import non_finite, some_names
from ..learner import CharLearner, char_learner
from ..models.base import CharModel
from .description import FORMAT, parse_description
from .expected_tensors import check_tensors
from .format import ModelFile, describe_model, named_errors, open_model, with_suffix

__all__ = ["save_model", "load_model", "describe_model"]


def save_model(
    learn: CharLearner,  # a learner made by `char_learner` with a registered architecture
    path: str | Path,  # the file to write; ".safetensors" is added if it has no suffix
) -> Path:  # the file written
    """Write the model, its vocabulary and how it was trained to one file.

    An existing file is replaced only by a complete one. Of several processes, the first one writes. Raises
    `ModelFileError` for an architecture that is not registered, for weights that are NaN or infinite, for a model
    beyond the limits of a file (`io.limits`), and if the file cannot be written."""
    path = with_suffix(path)
    description = learner_description(learn)
    model, _ = _saved_part(learn)
    if rank_distrib():
        return path
    _check_finite(model, path)
    # cloned, as safetensors refuses tensors that share memory, such as tied weights
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    metadata = dict(charrnn=_to_json(description))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # not `save_file`, which replaces the temporary file and so loses its lock
        data = save(tensors, metadata)
        with atomic_path(path) as part:
            part.write_bytes(data)
    except (OSError, SafetensorError) as e:
        reason = getattr(e, "strerror", None) or e
        raise ModelFileError(
            f"cannot write {path}: {reason}; free disk space, check the permissions, or pass another path"
        ) from None
    return path


def _check_finite(model, path):
    "Raise `ModelFileError` for weights that are not finite: the file would predict nothing and replace one that does."
    names = non_finite(model)
    if names:
        raise ModelFileError(
            f"{path} was not written, because the weights contain NaN or infinity: {some_names(names)}; "
            "load an earlier save, or train again with a lower learning rate"
        )


def _to_json(description):
    "The description as `load_model` will read it. Raises `ModelFileError` if it could not."
    try:
        text = json.dumps(description)
        parse_description(text)
    except (TypeError, ValueError) as e:
        raise ModelFileError(f"the model cannot be described in a file: {printable(e, max_len=300)}") from None
    return text


def learner_description(
    learn: CharLearner,  # a learner made by `char_learner` with a registered architecture
) -> dict:  # the fields that `io.format` lists
    "Describe the model and its training as a model file does. Raises `ModelFileError` if no file can name the model."
    if not isinstance(learn, CharLearner):
        raise ModelFileError(f"learn={shown(learn)} is not a CharLearner; make one with char_learner")
    if learn.arch is None or not learn.arch.registered:
        raise ModelFileError(
            f"{type(unwrap_model(learn.model)).__name__} is not a registered architecture, so a model file cannot name "
            'it; register it with @register_arch("name") before char_learner, or use learn.export'
        )
    dls = learn.dls
    return dict(
        format=FORMAT,
        arch=learn.arch.name,
        config=_saved_part(learn)[1],
        seq_len=dls.seq_len,
        target=dls.target,
        stateful=dls.stateful,
        vocab=dls.vocab.itos,
        data=data_info(dls),
        training=_training(learn),
        versions=dict(fastai_charrnn=__version__, fastai=version("fastai"), torch=torch.__version__),
    )


def _saved_part(learn):
    "The model that a file holds, and its arguments."
    model = unwrap_model(learn.model)
    return model.saved_as(learn.arch_config) if isinstance(model, CharModel) else (model, learn.arch_config)


def _training(learn):
    "How the model was trained. A learner without a text has not trained since it was loaded: its file has the record."
    record = getattr(learn, "training_record", None)
    if record is not None and not has_text(learn):
        return record
    log = learn.training_log.rows if hasattr(learn, "training_log") else []
    seed = {} if learn.seed is None else dict(seed=learn.seed)
    bs = batch_size(learn.dls.train)
    opt, loss = _name(learn.opt_func), _name(learn.loss_func)
    return dict(epochs=len(log), log=log, bs=bs, opt=opt, loss=loss, **seed)


def has_text(
    learn: CharLearner,  # any
) -> bool:
    "Whether a learner has a text to train on. One that was loaded from a file has none."
    return len(learn.dls.train) > 0


def _name(function):
    "The name of a function, of the function inside a partial, or of an object's class."
    return getattr(getattr(function, "func", function), "__name__", type(function).__name__)


def load_model(
    path: str | Path,  # a file written by `save_model`
    dls: CharDataLoaders | None = None,  # text to train and validate on, of the same vocabulary; None: no text
    device: str | torch.device | None = None,  # where to put the model; None: that of `dls`, else fastai's default
    **kwargs,  # as `char_learner`: lr, metrics, cbs …
) -> CharLearner:  # in evaluation mode
    """Return the learner that `save_model` wrote, its training log included. Runs nothing from the file.

    Without `dls` it generates, scores and evaluates, and cannot train. Raises `ModelFileError` if the file is missing,
    damaged, of a newer format, names an unknown architecture, or does not hold exactly the tensors its description
    calls for; or if `dls` has another vocabulary, `target` or `stateful`."""
    with open_model(path) as file:
        return learner_of(file, dls, device, **kwargs)


def learner_of(
    file: ModelFile,  # an open file
    dls: CharDataLoaders | None = None,  # as in `load_model`
    device: str | torch.device | None = None,
    **kwargs,  # as `char_learner`
) -> CharLearner:  # in evaluation mode
    "Do what `load_model` does, for a file that is open already."
    description = file.description
    with named_errors(file.path):
        # nothing large is built before the tensors are checked
        vocab, arch = check_tensors(description)
        if dls is None:
            dls = _without_text(description, vocab, device or default_device())
        else:
            _check_dls(dls, description, vocab)
            if device is not None:
                dls.to(device)
        learn = char_learner(dls, arch=arch.name, config=description["config"], **kwargs)
    file.load_weights(learn.model)
    learn.model.to(learn.dls.device).eval()
    learn.training_log.rows += description["training"].get("log", [])
    learn.training_record = description["training"]
    return learn


def _without_text(description, vocab, device):
    "Empty loaders that read as the model does."
    ids = CharIds(torch.zeros(0, dtype=torch.uint8))
    seq_len = description["seq_len"]
    info = description["data"]
    if description["stateful"]:
        bs = description["training"].get("bs", 64)
        empty = CharStreams(ids, vocab, (), bs, seq_len, stateful=True, info=info)
    else:
        starts = torch.zeros(0, dtype=torch.int64)
        empty = CharWindows(ids, vocab, starts, seq_len, info, description["target"])
    return CharDataLoaders.from_datasets(empty, empty, device=device)


def _check_dls(dls, description, vocab):
    "Raise `ModelFileError` for loaders whose vocabulary or target is not the model's."
    as_char_dls(dls)
    if dls.vocab != vocab:
        different = sorted(set(dls.vocab) ^ set(vocab))
        raise ModelFileError(
            f"the vocabulary of dls is not the model's ({len(different)} characters differ, such as {different[0]!r}); "
            'make it with CharDataLoaders.from_text(text, vocab=load_model(path).dls.vocab, unk="skip")'
        )
    if dls.stateful != description["stateful"] or dls.target != description["target"]:
        raise ModelFileError(
            f"the model was trained with target={description['target']!r}, stateful={description['stateful']}, "
            f"and dls have target={dls.target!r}, stateful={dls.stateful}; make dls with those of the model"
        )
