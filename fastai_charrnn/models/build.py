"""Build a model from its class and configuration: `build_model`, and `count_parameters` without memory for weights."""

import inspect
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ..errors import ArchError
from . import ensemble, hawk, mullstm, rnn  # noqa: F401 (importing them registers the architectures)
from .registry import check_takes, get_arch, new_names

__all__ = ["build_model", "count_parameters", "without_init"]


def build_model(
    cls: Callable,  # a class or function: cls(vocab_sz, **config)
    vocab_sz: int,  # characters in the vocabulary, padding included
    config: dict,  # its further arguments
    seq_len: int | None,  # characters it reads; None: it carries its state
    seed: int | None = None,  # what the weights are drawn with; None: the global random state
    target: str = "next",  # what it predicts: the character after a window, or, with "every", the one after each of its characters
) -> nn.Module:
    """A model by its class, on the CPU so that a seed gives the same weights everywhere; told its window if it takes one.

    Raises `ArchError` for arguments it does not take, and for a target it does not know."""
    takes = inspect.signature(cls).parameters
    # classes written for version 0.1 call it `window`
    config = new_names(cls, config) | {k: seq_len for k in ("seq_len", "window") if k in takes}
    check_takes(cls, config)
    with nullcontext() if seed is None else torch.random.fork_rng():
        if seed is not None:
            torch.manual_seed(seed)
        try:
            model = cls(vocab_sz, **config)
        except (MemoryError, RuntimeError) as e:
            if not (isinstance(e, MemoryError) or "alloc" in str(e) or "overflow" in str(e)):
                raise
            raise ArchError(
                f"there is not enough memory for {cls.__name__} with {_numbers(config)}; pass smaller numbers, such as n_hid=256"
            ) from None
    if hasattr(model, "target"):
        model.target = target
    if seq_len is None and not _carries_state(model):
        raise ArchError(
            f"{cls.__name__} cannot carry its state from batch to batch: derive it from CharModel, with an argument seq_len, or leave out stateful=True"
        )
    return model


_sizes = ("n_hid", "emb_sz", "n_layers", "n_models")


def _numbers(config):
    return ", ".join(f"{k}={config[k]!r}" for k in _sizes if k in config)


def _carries_state(model):
    "Whether a model was told to carry its state. Models of version 0.1 keep that in `window`."
    return getattr(model, "seq_len", getattr(model, "window", 0)) is None


def count_parameters(
    arch: str,  # a registered name
    vocab_sz: int,  # characters in the vocabulary, padding included
    config: dict,  # arguments of the architecture, as `char_learner` has them
    seq_len: int | None = None,  # characters it reads; None: it carries its state
) -> int:
    "How many numbers the weights of a model are, counted without memory for them. Raises `ArchError` for arguments it does not take."
    record = get_arch(arch)
    with torch.device("meta"), without_init():
        model = build_model(record.cls, vocab_sz, dict(record.config) | config, seq_len)
    return sum(p.numel() for p in model.parameters())


class without_init(TorchFunctionMode):
    "Leaves initial values out: nobody asks for them on the meta device, where drawing them makes PyTorch import its compiler, a second long."

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
