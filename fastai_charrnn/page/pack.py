"""Pack a model as JSON values for the JavaScript engine of a page: `pack_model`.

    {"format": 1, "name": "nietzsche", "mode": "streams", "seq_len": null,
     "vocab": ["", "\\n", " ", …],              by index; index 0 is padding
     "members": [                               networks whose probabilities are averaged
        {"arch": "gru", "config": {"emb_sz": 42, "n_hid": 256, "n_layers": 1},
         "tensors": {"emb.weight": {"shape": [86, 42], "at": 0}, …},
         "weights": "…"}],                      all numbers as little-endian float16, in base64; a tensor begins at `at`
     "facts": {…}, "units": [{"unit": 17, "tracks": "quotes", "score": 0.8}, …], "prompts": ["…"]}

The engine is in `page/assets` (see `page.engine`). `CharRNN.load` reads this format.
"""

import base64
from collections.abc import Iterable, Mapping

import numpy as np
from torch import nn

from .._checks import shown
from .._utils import unwrap_model
from ..data.reading import MODES
from ..data.token_vocab import TokenVocab
from ..data.vocab import CharVocab
from ..errors import DataError, PageError
from ..generation.checks import check_weights
from ..generation.decoders import is_stateful
from .plain import Network, networks

__all__ = ["pack_model", "MAX_BYTES"]

FORMAT = 1
MAX_BYTES = 20 * 2**20  # of the weights as float16

# float16's lowest number: a probability of 0
_lowest = -65504.0


def pack_model(
    model: nn.Module,  # of a built-in architecture, or an ensemble
    vocab: CharVocab,  # the characters of its indices
    *,
    seq_len: int | None = None,  # characters of a window, for a model that does not say; None: what the model says
    mode: str | None = None,  # how it was trained: "windows", "chunks" or "streams"; None: as it predicts
    name: str = "",  # the title of the page
    facts: Mapping | None = None,  # numbers about the training, JSON values
    units: Iterable[Mapping] | None = None,  # named hidden units: {"unit": 17, "tracks": "quotes", "score": 0.8}
    prompts: Iterable[str] = (),  # texts to begin with
) -> dict:  # JSON values, see above
    """Pack a model for `CharRNN.load`. The model and all random states are left unchanged.

    Rounding to float16 changes log-probabilities of a trained model by about 1e-3. Raises `PageError` for a model that
    the engine cannot run, for weights beyond float16's 65,504 and for more than 20 MB of float16, `GenerationError`
    for weights that are not finite, and `DataError` for an unknown mode or a vocabulary of another size."""
    model = unwrap_model(model)
    if mode is not None and mode not in MODES:
        raise DataError(f'mode must be "windows", "chunks" or "streams", or None, got {shown(mode)}')
    _check_vocab(model, vocab)
    check_weights(model)
    _check_size(model)
    stateful = is_stateful(model)
    index = vocab.index.astype(np.int64) if isinstance(vocab, TokenVocab) else None
    chars = vocab.chars if isinstance(vocab, TokenVocab) else vocab
    return {
        "format": FORMAT,
        "name": name,
        "vocab": ["", *chars.itos[1:]],
        "mode": mode or _mode_of(model),
        "seq_len": None if stateful else _window(model, seq_len),
        "members": [_packed(network, index) for network in networks(model)],
        "facts": dict(facts or {}),
        "units": [dict(unit) for unit in units or ()],
        "prompts": list(prompts),
    }


def _mode_of(model):
    if is_stateful(model):
        return "streams"
    return "chunks" if getattr(model, "target", "next") == "every" else "windows"


def _window(model, seq_len):
    "The window of a model, as `generation.prompts.window_len` has it."
    return getattr(model, "seq_len", None) or seq_len


def _check_vocab(model, vocab):
    expected = getattr(model, "vocab_sz", len(vocab))
    if expected != len(vocab):
        raise DataError(f"vocab has {len(vocab):,} entries, and the model {expected:,}; pass the vocab of its dls")


def _check_size(model):
    n_bytes = 2 * sum(p.numel() for p in model.parameters())
    if n_bytes > MAX_BYTES:
        raise PageError(
            f"the weights have {n_bytes / 2**20:,.1f} MB as float16, a page has room for {MAX_BYTES / 2**20:.0f}; "
            "use charrnn serve, which runs the model in Python"
        )


def _packed(network: Network, index):
    "One member, as JSON values."
    tensors = {}
    parts = []
    at = 0
    for name, tensor in network.tensors.items():
        numbers = _by_char(name, tensor.cpu().numpy(), index)
        tensors[name] = {"shape": list(numbers.shape), "at": at}
        parts.append(_halves(name, numbers))
        at += numbers.size
    weights = base64.b64encode(np.concatenate(parts).tobytes()).decode("ascii")
    return {"arch": network.arch, "config": dict(network.config), "tensors": tensors, "weights": weights}


def _by_char(name, numbers, index):
    "Rows in the order of the characters. Padding that is no character of the vocabulary gets probability 0."
    if index is None or name not in ("emb.weight", "out.weight", "out.bias"):
        return numbers
    numbers = numbers[index]
    if name == "out.bias":
        numbers[0] = _lowest
    return numbers


def _halves(name, numbers):
    "The numbers of a tensor as little-endian float16, one after another."
    with np.errstate(over="ignore"):
        halves = numbers.ravel().astype("<f2")
    if not np.isfinite(halves).all():
        largest = numbers.flat[np.abs(numbers).argmax()]
        raise PageError(
            f"{name} has the weight {shown(float(largest))}, beyond the 65,504 of float16; use charrnn serve, "
            "which runs the model in Python, or train with weight decay"
        )
    return halves
