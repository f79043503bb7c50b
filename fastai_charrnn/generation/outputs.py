"""Log-probabilities of the next character from what any model returns: `last_log_probs`, `read_windows`.

A model may return log-probabilities or logits, after each window or after every character, alone or first in a tuple.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..errors import ArchError

__all__ = ["last_log_probs", "read_windows", "state_restored"]


def last_log_probs(
    output: Tensor | tuple,  # (bs, V) or (bs, n, V) log-probabilities or logits, or a tuple that begins with them
    dtype: torch.dtype | None = None,  # in which to normalise; None: that of the output
) -> Tensor:  # (bs, V)
    "Return the log-probabilities of the index after each row. Raises `ArchError` for other shapes."
    return _last(output).log_softmax(-1, dtype)


def _last(output):
    if isinstance(output, (tuple, list)) and len(output):
        # as language models of fastai: (output, raw outputs, outputs with dropout)
        output = output[0]
    if isinstance(output, Tensor) and output.dim() in (2, 3):
        return output if output.dim() == 2 else output[:, -1]
    kind = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"type {type(output).__name__}"
    raise ArchError(
        f"the model returned {kind}; a model of characters returns log-probabilities or logits of shape "
        "(bs, vocab) or (bs, n, vocab), alone or first in a tuple"
    )


def read_windows(
    model: nn.Module,  # (bs, n) indices to log-probabilities or logits, in evaluation mode
    ids: Tensor,  # (bs, n) indices on the model's device
    dtype: torch.dtype | None = None,  # in which to normalise; None: that of the output
) -> Tensor:  # (bs, V) log-probabilities
    "Return the log-probabilities of the index after each row, from a fresh state. The model's own state is restored."
    with state_restored(model):
        log_probs = last_log_probs(model(ids), dtype)
    if len(log_probs) != len(ids):
        raise ArchError(
            f"{type(model).__name__} returned {len(log_probs):,} rows for {len(ids):,} rows of characters; "
            "return the shape (bs, vocab) or (bs, n, vocab)"
        )
    return log_probs


@contextmanager
def state_restored(
    model: nn.Module,  # any; with a method `reset` if it carries a state
) -> Iterator[None]:
    """Start the block without a carried state, and restore that state at the end. Does nothing without `reset`.

    The state is what modules with a method `reset` keep as attributes and buffers, such as fastai's `AWD_LSTM`."""
    if not hasattr(model, "reset"):
        yield
        return
    modules = [m for m in model.modules() if hasattr(m, "reset")]
    before = [(m, _attributes(m), dict(m._buffers)) for m in modules]
    for m, attributes, buffers in before:
        # the model may write into its state
        vars(m).update(_copy(attributes))
        m._buffers.update(_copy(buffers))
    model.reset()
    try:
        yield
    finally:
        for m, attributes, buffers in before:
            for name in _attributes(m).keys() - attributes.keys():
                del vars(m)[name]
            vars(m).update(attributes)
            m._buffers.update(buffers)


def _attributes(module):
    return {name: value for name, value in vars(module).items() if not name.startswith("_") and name != "training"}


def _copy(value):
    "The same with copies of the tensors in it."
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copy(v) for key, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_copy, value))
    return value
