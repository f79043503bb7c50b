"""Pack a model as JSON values for the JavaScript engine of a page: `pack_model`.

    {"format": 1, "name": "nietzsche", "mode": "streams", "seq_len": null,
     "vocab": ["", "\\n", " ", …],              by index; index 0 is padding
     "members": [                               networks whose probabilities are averaged
        {"arch": "gru", "config": {"emb_sz": 42, "n_hid": 256, "n_layers": 1, "has_padding": true},
         "tensors": {"emb.weight": {"shape": [86, 42], "at": 0}, …},
         "weights": "…",                        all numbers as float16; a tensor begins at number `at`
         "corrections": "…"}],                  for each number a signed byte; empty if all are 0
     "facts": {…}, "units": [{"unit": 17, "tracks": "quotes", "score": 0.8}, …], "prompts": ["…"]}

Numbers are little-endian, in base64. float16 alone changes log-probabilities of trained models by more than 1e-3. So
each weight has a correction: what rounding lost, in 256ths of the distance between two float16 numbers. With it they
change by less than 1e-4. Models whose weights are float16 already, such as those of the package, need none.

The engine is in `page/assets` (see `page.engine`). `CharRNN.load` reads this format.
"""

import base64
from collections.abc import Iterable, Mapping

import numpy as np
from torch import nn

from .._checks import shown
from .._utils import count_weights, unwrap_model
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

_max_half = 65_504


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

    Raises `PageError` for a model that the engine cannot run, for weights of more than 20 MB as float16 and for those
    beyond float16's 65,504, `GenerationError` for weights that are not finite, and `DataError` for an unknown mode or a
    vocabulary of another size."""
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
    n_bytes = 2 * count_weights(model)
    if n_bytes > MAX_BYTES:
        raise PageError(
            f"the weights have {n_bytes / 2**20:,.1f} MB as float16, a page has room for "
            f"{MAX_BYTES / 2**20:.0f} MB; use charrnn serve, which runs the model in Python"
        )


def _packed(network: Network, index):
    "One member, as JSON values."
    tensors = {}
    halves = []
    corrections = []
    at = 0
    for name, tensor in network.tensors.items():
        numbers = _by_char(name, tensor.cpu().numpy(), index)
        tensors[name] = {"shape": list(numbers.shape), "at": at}
        _check_range(name, numbers)
        parts = _split(numbers.ravel())
        halves.append(parts[0])
        corrections.append(parts[1])
        at += numbers.size
    # of a vocabulary that this package did not make, index 0 is predicted with probability 0
    config = dict(network.config, has_padding=index is None)
    needs_corrections = any(part.any() for part in corrections)
    packed = dict(weights=_base64(halves), corrections=_base64(corrections) if needs_corrections else "")
    return {"arch": network.arch, "config": config, "tensors": tensors, **packed}


def _by_char(name, numbers, index):
    "A tensor with its rows in the order of the characters, if that differs from the model's."
    is_by_char = index is not None and name in ("emb.weight", "out.weight", "out.bias")
    return numbers[index] if is_by_char else numbers


def _check_range(name, numbers):
    largest = float(np.abs(numbers).max())
    if largest > _max_half:
        raise PageError(
            f"{name} has the weight {largest:,.0f}, beyond the 65,504 of float16; use charrnn serve, which runs the "
            "model in Python, or train with weight decay"
        )


def _split(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # (n,) float16, (n,) int8
    "Numbers rounded to float16, and what that lost in 256ths of the distance to the next float16."
    halves = numbers.astype("<f2")
    # numbers below 2**-14 are as far apart as those above it
    exponents = np.maximum(halves.view("<u2") >> 10 & 31, 1).astype(np.float64)
    lost = (numbers.astype(np.float64) - halves) / 2.0 ** (exponents - 25)
    return halves, np.rint(256 * lost).clip(-128, 127).astype(np.int8)


def _base64(arrays):
    return base64.b64encode(np.concatenate(arrays).tobytes()).decode("ascii")
