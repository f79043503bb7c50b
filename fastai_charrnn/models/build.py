"""Build a model from its class and configuration (`build_model`), or count its weights without memory for them."""

import inspect
from collections.abc import Callable
from contextlib import contextmanager

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ..errors import ArchError
from . import ensemble, mullstm, rnn  # noqa: F401 (importing them registers the architectures)
from .registry import check_takes, get_arch, new_names

__all__ = ["build_model", "count_parameters", "without_init"]


def build_model(
    cls: Callable,  # a class or function: cls(vocab_sz, **config)
    vocab_sz: int,  # characters in the vocabulary, padding included
    config: dict,  # its further arguments
    seq_len: int | None,  # characters in a window; None: carry the state
    seed: int | None = None,  # for the weights; None: use the global random state
    target: str = "next",  # "next" or "every": predict after each window, or after each character
) -> nn.Module:
    """Build a model on the CPU, so that a seed gives equal weights on every device.

    Raises `ArchError` for arguments that the class does not take, for sizes that do not fit into memory, and if
    `seq_len` is None and the model cannot carry its state."""
    takes = inspect.signature(cls).parameters
    config = new_names(cls, config)
    # classes written for version 0.1 call it `window`
    for name in ("seq_len", "window"):
        if name in takes:
            config[name] = seq_len
    check_takes(cls, config)
    with _seeded(seed), _memory_errors(cls, config):
        model = cls(vocab_sz, **config)
    if hasattr(model, "target"):
        model.target = target
    if seq_len is None and not _is_stateful(model):
        raise ArchError(
            f"{cls.__name__} cannot carry its state from batch to batch: derive it from CharModel, "
            "with an argument seq_len, or leave out stateful=True"
        )
    return model


@contextmanager
def _seeded(seed):
    "Draw from a random state of its own, if there is a seed."
    if seed is None:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _memory_errors(cls, config):
    "Turn errors of memory into an `ArchError` with the sizes in `config`."
    try:
        yield
    except (MemoryError, RuntimeError) as e:
        # PyTorch raises RuntimeError for these
        if not isinstance(e, MemoryError) and "alloc" not in str(e) and "overflow" not in str(e):
            raise
        sizes = [f"{name}={config[name]!r}" for name in ("n_hid", "emb_sz", "n_layers", "n_models") if name in config]
        raise ArchError(
            f"there is not enough memory for {cls.__name__} with {', '.join(sizes)}; "
            "pass smaller numbers, such as n_hid=256"
        ) from None


def _is_stateful(model):
    "Whether a model built with `seq_len=None` carries its state. Classes of version 0.1 have `window` instead."
    return getattr(model, "seq_len", getattr(model, "window", 0)) is None


def count_parameters(
    arch: str,  # a registered name
    vocab_sz: int,  # characters in the vocabulary, padding included
    config: dict,  # arguments of the architecture, as in `char_learner`
    seq_len: int | None = None,  # characters in a window; None: carry the state
) -> int:
    """Return the number of weights of a model, without memory for them.

    Raises `ArchError` for arguments that the architecture does not take."""
    record = get_arch(arch)
    with torch.device("meta"), without_init():
        model = build_model(record.cls, vocab_sz, dict(record.config) | config, seq_len)
    return sum(p.numel() for p in model.parameters())


class without_init(TorchFunctionMode):
    """Skip the initial values of weights.

    On the meta device nothing uses them, and drawing them makes PyTorch import its compiler, which takes a second."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
