"""Export a model to ONNX, for programs without Python or PyTorch: `learn.to_onnx(path)`.

What is exported depends on how the model reads:

    windows, chunks    a whole window: chars (bs, seq_len) to log_probs (bs, V), or (bs, seq_len, V) for chunks
    streams            one step: chars (bs,) and state0, state1 … to log_probs (bs, V) and next_state0, next_state1 …

`step=True` exports a step for windows and chunks too. The batch size may vary. Characters are int64 indices of `vocab`,
and states begin with zeros. The metadata of the file has `vocab` (a JSON list; index 0 is padding), `arch`, `kind`
("window" or "step"), `seq_len`, `target` and `stateful`.

A window model in onnxruntime, which continues a text with the most likely characters:

    import json, numpy as np, onnxruntime
    session = onnxruntime.InferenceSession("model.onnx")
    meta = session.get_modelmeta().custom_metadata_map
    vocab, seq_len = json.loads(meta["vocab"]), int(meta["seq_len"])
    ids = [vocab.index(c) for c in "The "]
    for _ in range(100):
        window = [0] * (seq_len - len(ids)) + ids[-seq_len:]          # padded on the left
        log_probs = session.run(["log_probs"], dict(chars=np.array([window])))[0].reshape(-1, len(vocab))[-1]
        ids.append(int(log_probs[1:].argmax()) + 1)                   # never the padding
    print("".join(vocab[i] for i in ids))

A step model, which draws them at random:

    states = [o for o in session.get_inputs() if o.name != "chars"]
    feed = {o.name: np.zeros((1, *o.shape[1:]), np.float32) for o in states}
    text, random = list("The "), np.random.default_rng(1)
    for k in range(100):
        c = vocab.index(text[k])
        log_probs, *state = session.run(None, dict(feed, chars=np.array([c])))
        feed = dict(zip(feed, state))
        if k + 1 == len(text):
            probs = np.exp(log_probs[0, 1:])
            text.append(vocab[1 + random.choice(len(probs), p=probs / probs.sum())])
    print("".join(text))

Each file is compared with PyTorch before it appears under its name. Needs the extra `onnx`.
"""

import copy
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from fastcore.basics import patch
from torch import Tensor, nn

from .. import __version__
from .._checks import check_path, shown
from .._files import atomic_path, write_errors
from .._utils import arch_name, count_weights, unwrap_model
from ..errors import ArchError, ShareError
from ..generation.checks import non_finite, some_names
from ..learner import CharLearner
from ..models.mixture import CharMixture
from ..models.step import CharStep
from .extras import import_extra

__all__: list[str] = []

_max_difference = 1e-4  # in log-probability, between onnxruntime and PyTorch
_max_window = 512  # characters: a window becomes a graph with a step for each
_max_bytes = 2**31 - 2**24  # of a file in the format of protobuf


class _Window(nn.Module):
    "Log-probabilities of a whole window, for a model of any class that returns them or logits."

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, chars: Tensor) -> Tensor:
        output = self.model(chars)
        output = output[0] if isinstance(output, (tuple, list)) else output
        return output.log_softmax(-1)


@patch
def to_onnx(
    self: CharLearner,  # any learner whose model can be traced
    path: str | Path,  # the file to write; ".onnx" is added if it has no suffix
    step: bool | None = None,  # export a step with its state, not a window; None: for a model that carries its state
) -> Path:  # the file
    """Export the model to ONNX, and compare it with PyTorch.

    `share.onnx` describes inputs, outputs and metadata, with a program for onnxruntime. The model is exported in
    evaluation mode, on the CPU and in float32. Raises `ShareError` without the extra `onnx`, for a window of more than
    512 characters, for weights that are NaN or infinite or over 2 GB, for a file that cannot be written, and if the
    numbers differ by more than 1e-4; `ArchError` for a step of a model without steps."""
    onnx = import_extra("onnx", "onnx", "onnxruntime")
    path = _path(path)
    model = _copied(self, path)
    is_step = _is_step(self, step)
    module = _step(model) if is_step else _Window(model).eval()
    chars = _random_chars(self, 2, is_step, torch.Generator().manual_seed(0))
    names = ["chars", *(f"state{k}" for k in range(len(_state(module, 2))))]
    outputs = ["log_probs", *(f"next_{name}" for name in names[1:])]
    with write_errors(path, ShareError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            _export(module, (chars, *_state(module, 2)), part, names, outputs)
            _add_metadata(onnx, part, _metadata(self, is_step))
            _compare(self, module, part, is_step)
    return path


def _path(path):
    path = check_path("path", path, ShareError)
    if not path.name or path.is_dir():
        raise ShareError(f"{str(path)!r} is a folder; give a file name, such as model.onnx")
    return path if path.suffix else path.with_suffix(".onnx")


def _copied(learn, path):
    "A copy of the model for the export. Raises `ShareError` for weights that no file can hold."
    model = unwrap_model(learn.model)
    if isinstance(model, CharMixture):
        raise ShareError("ONNX has no tables of counts; export the network: make a learner of learn.model.network")
    if names := non_finite(model):
        raise ShareError(f"{path} was not written, because the weights contain NaN or infinity: {some_names(names)}")
    n_bytes = 4 * count_weights(model)
    if n_bytes > _max_bytes:
        raise ShareError(f"the weights have {n_bytes / 1e9:.1f} GB, and an ONNX file has at most 2 GB")
    if hasattr(model, "reset"):
        # a carried state is no part of the file
        model = copy.copy(model)
        model.reset()
    return copy.deepcopy(model).cpu().float().eval()


def _is_step(learn, step):
    "Whether a step is exported. Raises `ShareError` for a window that cannot be."
    if step is not None and not isinstance(step, bool):
        raise ShareError(f"step={shown(step)} is not True, False or None")
    stateful = learn.dls.mode == "streams"
    if step or stateful and step is None:
        return True
    if stateful:
        raise ShareError("a model that carries its state has no window to export; leave step out, or pass step=True")
    if learn.dls.seq_len > _max_window:
        raise ShareError(
            f"seq_len={learn.dls.seq_len:,} is too long for the graph of a window, which repeats the step for each "
            f"character, at most {_max_window} times; pass step=True"
        )
    return False


def _step(model):
    "The module of a step. Raises `ShareError` for a first state that a program cannot know."
    module = CharStep(model)
    if any(o.any() for o in module.init_hidden(1)):
        raise ShareError(f"{type(model).__name__} begins with a state that is not zeros; pass step=False")
    return module


def _random_chars(learn, bs, is_step, generator):
    shape = (bs,) if is_step else (bs, learn.dls.seq_len)
    return torch.randint(len(learn.dls.vocab), shape, generator=generator)


def _state(module, bs):
    "The state before the first character; nothing for a window."
    return module.init_hidden(bs) if isinstance(module, CharStep) else ()


def _export(module, args, part, names, outputs):
    "Write the file. The exporter that traces is quick, and needs no further package."
    axes = {name: {0: "bs"} for name in names + outputs}
    options = dict(input_names=names, output_names=outputs, dynamic_axes=axes)
    with warnings.catch_warnings(), torch.no_grad():
        # the exporter warns about itself, and about sizes that are constants
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(module, args, part, dynamo=False, **options)
        except (RuntimeError, TypeError, ValueError) as e:
            reason = str(e).strip().partition("\n")[0]
            raise ArchError(f"{type(module.model).__name__} cannot be exported to ONNX: {reason}") from None


def _metadata(learn, is_step):
    return dict(
        arch=arch_name(learn),
        kind="step" if is_step else "window",
        vocab=json.dumps(list(learn.dls.vocab)),
        seq_len=str(learn.dls.seq_len),
        target=learn.dls.target,
        stateful=json.dumps(learn.dls.mode == "streams"),
        fastai_charrnn=__version__,
    )


def _add_metadata(onnx, part, metadata):
    model = onnx.load(part)
    onnx.helper.set_model_props(model, metadata)
    model.producer_name = "fastai_charrnn"
    model.producer_version = __version__
    part.write_bytes(model.SerializeToString())


def _compare(learn, module, part, is_step):
    "Raise `ShareError` if onnxruntime computes other numbers from the file than PyTorch."
    runtime = import_extra("onnx", "onnxruntime")
    session = runtime.InferenceSession(part.read_bytes(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_inputs()]
    generator = torch.Generator().manual_seed(1)
    for bs in (1, 3):
        state = _state(module, bs)
        # several times, so that states are fed back
        for _ in range(3):
            chars = _random_chars(learn, bs, is_step, generator)
            found = session.run(None, dict(zip(names, (o.numpy() for o in (chars, *state)))))
            with torch.no_grad():
                expected = module(chars, *state)
            log_probs, *state = expected if is_step else (expected,)
            _check_equal(found, (log_probs, *state))


def _check_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        difference = np.abs(a - b.numpy()).max() if a.shape == b.shape else np.inf
        if not difference <= _max_difference:
            raise ShareError(
                f"the ONNX file was not written: its numbers differ from PyTorch's by {difference:.2g}, more than "
                f"{_max_difference:g}; the model may do what cannot be traced, such as a loop that depends on its input"
            )
