"""Build a model from its class and configuration (`build_model`), or count its weights without memory for them."""

import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .._checks import check_count, check_memory, shown
from .._utils import count_weights, is_count
from ..errors import ArchError
from . import ensemble, mixture, mullstm, rnn  # noqa: F401 (importing them registers the architectures)
from .base import CharModel
from .registry import Arch, check_takes, get_arch, new_names

__all__ = ["build_model", "count_parameters", "make_model", "without_init"]

_small = 2**24  # numbers in the largest matrix, about: smaller models fit into any memory


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
    return prepare_model(model, seq_len, target)


def prepare_model(
    model: nn.Module,  # a built model
    seq_len: int | None,  # characters in a window; None: carry the state
    target: str = "next",  # "next" or "every"
) -> nn.Module:  # the same
    "Set what the model predicts. Raises `ArchError` if `seq_len` is None and the model cannot carry its state."
    if hasattr(model, "target"):
        model.target = target
    if seq_len is None and not _is_stateful(model):
        raise ArchError(
            f"{type(model).__name__} cannot carry its state from batch to batch: derive it from CharModel, with an "
            "argument seq_len, give it a method reset(), or use dls with stateful=False"
        )
    return model


def make_model(
    arch: str | Callable | nn.Module,  # a name, a class or function, or a model that is built already
    dls: object,  # loaders with `vocab`, `seq_len`, `stateful` and `target`
    sizes: dict,  # emb_sz and n_hid
    config: dict | None = None,  # further arguments of the architecture
    seed: int | None = None,  # for the weights; None: use the global random state
) -> tuple[Arch, dict, nn.Module]:  # the architecture's record, all its arguments, the model
    """Make the model of a learner on `dls`.

    Raises `ArchError` as `get_arch` and `build_model` do, for an architecture made for another `seq_len`, for sizes
    that are no positive integers, and for a `config` beside a model."""
    seq_len = None if dls.stateful else dls.seq_len
    if isinstance(arch, nn.Module):
        if config:
            raise ArchError(
                f"config={config!r} has arguments of an architecture, and arch is a model; leave out config"
            )
        return Arch(type(arch).__name__, type(arch)), {}, prepare_model(arch, seq_len, dls.target)
    record = get_arch(arch)
    if not record.listed and not config:
        raise ArchError(f"{record.name!r} does not train from scratch; train a network, and call mix_counts(learn)")
    _check_seq_len(record, dls.seq_len)
    if not isinstance(config or {}, Mapping):
        raise ArchError(f"config={shown(config)} is not a dict of arguments of the architecture")
    config = dict(record.config) | sizes | dict(config or {})
    _check_sizes(config)
    _check_memory(record, len(dls.vocab), config)
    return record, config, build_model(record.cls, len(dls.vocab), config, seq_len, seed, dls.target)


def _check_seq_len(record, seq_len):
    only = getattr(record.cls, "fixed_seq_len", None)
    if only not in (None, seq_len):
        raise ArchError(
            f"{record.name} reads windows of {only} characters and these dls have {seq_len}; "
            f"make them with CharDataLoaders.from_text(…, seq_len={only})"
        )


def _check_sizes(config):
    for name in ("emb_sz", "n_hid"):
        config[name] = check_count(name, config[name], error=ArchError)


def _check_memory(record, vocab_sz, config):
    """Raise `ArchError` if weights, gradients and two moments of each need more memory than there is.

    Only large models of registered architectures are counted, because that builds them once on the meta device."""
    sizes = (config["n_hid"], config["emb_sz"])
    n_layers = math.prod(config.get(name, 1) for name in ("n_layers", "n_models") if is_count(config.get(name)))
    if record.registered and n_layers * max(sizes) * max(*sizes, vocab_sz) > _small:
        n_params = count_parameters(record.name, vocab_sz, config)
        what = f"training {record.name} with {n_params:,} parameters"
        check_memory(16 * n_params, what, "pass smaller numbers, such as n_hid=256", ArchError)


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
    except (MemoryError, RuntimeError, TypeError) as e:
        # PyTorch raises RuntimeError for these, and TypeError for sizes of more than 64 bits
        if not isinstance(e, MemoryError) and "alloc" not in str(e) and "verflow" not in str(e):
            raise
        sizes = [f"{name}={config[name]!r}" for name in ("n_hid", "emb_sz", "n_layers", "n_models") if name in config]
        raise ArchError(
            f"there is not enough memory for {cls.__name__} with {', '.join(sizes)}; "
            "pass smaller numbers, such as n_hid=256"
        ) from None


def _is_stateful(model):
    """Whether a model built with `seq_len=None` carries its state. Classes of version 0.1 have `window` instead.

    Other modules that do, such as fastai's `AWD_LSTM`, have a method `reset`."""
    if hasattr(model, "reset") and not isinstance(model, CharModel):
        return True
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
    return count_weights(model)


class without_init(TorchFunctionMode):
    """Skip the initial values of weights.

    On the meta device nothing uses them, and drawing them makes PyTorch import its compiler, which takes a second."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
