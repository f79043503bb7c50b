"""A trained model as one file without pickle: `save_model`, `load_model`, `describe_model`.

The file is `.safetensors`: the weights, and in its header's metadata, under "charrnn", a JSON description.

    format     2 below is never silently read as 1: a file from a newer package is refused by name
    arch, config, window, vocab      what to build, and for which characters
    data, training, versions         how it was trained: text, split, every epoch's losses, packages

Loading executes nothing from the file: it builds a registered architecture and copies tensors whose names, shapes and
types were compared with it first.
"""
import json,os,tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from fastai.basics import default_device
from safetensors import SafetensorError,safe_open
from safetensors.torch import load_file,save_file

from . import __version__
from .archs import get_arch
from .data import CharDataLoaders
from .errors import CharRnnError,ModelFileError
from .learner import CharLearner,build_model,char_learner
from .vocab import CharVocab
from .windows import CharIds,CharWindows

__all__ = ["save_model", "load_model", "describe_model"]

_format = 1


def save_model(
    learn:CharLearner, # a learner made by `char_learner` with a registered architecture
    path:str|Path # where to; ".safetensors" is added if it has no suffix
) -> Path: # the file written
    """Write the model, its vocabulary and how it was trained to one file, whole or not at all.

    Raises `ModelFileError` for an architecture that no name stands for, or a file that cannot be written."""
    path = _with_suffix(path)
    if learn.arch is None or not learn.arch.registered:
        raise ModelFileError(f"{type(learn.model).__name__} is not a registered architecture, so a model file cannot name it; "
                             "register it with @register_arch(\"name\") before char_learner, or use learn.export")
    tensors = {k:v.detach().cpu().contiguous() for k,v in learn.model.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as tmp:
            part = Path(tmp)/path.name
            save_file(tensors, part, metadata=dict(charrnn=json.dumps(_description(learn))))
            os.replace(part, path)
    except OSError as e: raise ModelFileError(f"cannot write {path}: {e.strerror}; choose another place") from None
    return path


def _with_suffix(path):
    path = Path(path)
    return path if path.suffix else path.with_suffix(".safetensors")


def _description(learn):
    log = learn.training_log.rows if hasattr(learn, "training_log") else []
    return dict(format=_format, arch=learn.arch.name, config=learn.arch_config, window=learn.dls.window, vocab=learn.dls.vocab.itos,
                data=learn.dls.train_ds.info, training=dict(epochs=len(log), log=log, bs=learn.dls.train.bs, opt=_name(learn.opt_func), loss=_name(learn.loss_func)),
                versions=dict(fastai_charrnn=__version__, fastai=version("fastai"), torch=torch.__version__))


def _name(f): return getattr(getattr(f, "func", f), "__name__", type(f).__name__)


def describe_model(
    path:str|Path # a file written by `save_model`
) -> dict: # the description, with `tensors`: name to shape
    "What a model file says of itself, without loading its weights. Raises `ModelFileError` if it is none."
    path = _with_suffix(path)
    if not path.is_file(): raise ModelFileError(f"there is no model file {path}; save_model(learn, {str(path)!r}) writes one")
    try:
        with safe_open(path, framework="pt") as f:
            meta,tensors = f.metadata() or {},{k:(f.get_slice(k).get_shape(), f.get_slice(k).get_dtype()) for k in f.keys()}
    except (SafetensorError, OSError) as e: raise ModelFileError(f"{path} is damaged or not a model file ({e}); save it again") from None
    if "charrnn" not in meta: raise ModelFileError(f"{path} holds tensors but no description of a character model; it was not written by save_model")
    try:
        d = json.loads(meta["charrnn"])
        kinds = dict(format=int, arch=str, config=dict, window=int, vocab=list, data=dict, training=dict, versions=dict)
        if bad := [k for k,t in kinds.items() if not isinstance(d[k], t)]: raise ValueError(f"{', '.join(bad)} of the wrong kind")
        if d["window"] < 1: raise ValueError(f"window={d['window']}")
    except (ValueError, KeyError, TypeError) as e: raise ModelFileError(f"{path} has a description that cannot be read ({e}); save it again") from None
    if d["format"] != _format: raise ModelFileError(f"{path} has format {d['format']}, this package reads {_format}; use fastai_charrnn {d['versions'].get('fastai_charrnn', 'of its time')}")
    return d | dict(tensors={k:shape for k,(shape,_) in tensors.items()}, dtypes={k:t for k,(_,t) in tensors.items()})


def load_model(
    path:str|Path, # a file written by `save_model`
    dls:CharDataLoaders|None=None, # what to train on or validate with, of the same vocabulary; None: no text, for `predict_next` and `evaluate`
    device:str|torch.device|None=None, # where to put the model; None: that of `dls`, else fastai's default
    **kwargs # as `char_learner`: lr, metrics, cbs …
) -> CharLearner: # in evaluation mode
    """The learner that `save_model` wrote, its training log included. Runs nothing from the file.

    Raises `ModelFileError` if the file is missing, damaged, of another format, names an unknown architecture, or does not
    hold exactly the tensors its description calls for; or if `dls` has another vocabulary."""
    path = _with_suffix(path)
    d = describe_model(path)
    try: learn = _build(d, dls, device, kwargs)
    except ModelFileError: raise
    except CharRnnError as e: raise ModelFileError(f"{path} cannot be loaded: {e}") from None
    learn.model.load_state_dict(load_file(path))
    learn.model.to(learn.dls.device).eval()
    learn.training_log.rows += d["training"].get("log", [])
    return learn


def _build(d, dls, device, kwargs):
    "An untrained learner as described; nothing of any size is made before the tensors are found to be as it calls for."
    vocab,record = CharVocab(d["vocab"]),get_arch(d["arch"])
    _check_tensors(d, record, len(vocab))
    if dls is None:
        ids = CharIds(torch.zeros(0, dtype=torch.uint8))
        dss = [CharWindows(ids, vocab, torch.zeros(0, dtype=torch.int64), d["window"], d["data"]) for _ in range(2)]
        dls = CharDataLoaders.from_datasets(*dss, device=device or default_device())
    elif dls.vocab != vocab:
        odd = sorted(set(dls.vocab) ^ set(vocab))
        raise ModelFileError(f"the vocabulary of dls is not the model's ({len(odd)} characters differ, such as {odd[0]!r}); make it with "
                             "CharDataLoaders.from_text(text, vocab=load_model(path).dls.vocab, unk=\"skip\")")
    elif device is not None: dls.to(device)
    config = {k:v for k,v in d["config"].items() if k not in ("n_hid", "emb_sz")}
    return char_learner(dls, arch=record.name, config=config, **{k:d["config"][k] for k in ("n_hid", "emb_sz") if k in d["config"]}, **kwargs)


def _check_tensors(d, record, vocab_sz):
    "Compare the tensors of a file with those of the model it describes, built without memory for weights."
    try:
        with torch.device("meta"): model = build_model(record.cls, vocab_sz, d["config"], d["window"])
    except CharRnnError: raise
    except Exception as e: raise ModelFileError(f"{record.name} cannot be built from {d['config']} ({type(e).__name__}: {e})") from None
    want = {k:list(v.shape) for k,v in model.state_dict().items()}
    for k in sorted(want.keys() | d["tensors"].keys()):
        if want.get(k) != (got := d["tensors"].get(k)):
            raise ModelFileError(f"tensor {k!r} is {got or 'missing'} in the file, and its description calls for {want.get(k) or 'none of that name'}")
    if odd := sorted(k for k,t in d["dtypes"].items() if t not in ("F32", "F64", "F16", "BF16")): raise ModelFileError(f"tensor {odd[0]!r} is {d['dtypes'][odd[0]]}, not a float")
