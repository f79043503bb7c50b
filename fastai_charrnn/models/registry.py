"""The registry of architectures: names and the classes that they stand for. Imports no torch.

    @register_arch("mine", n_hid=64)          # defaults, which `char_learner(config=…)` overrides
    class Mine(CharRnn):                      # built as Mine(vocab_sz, emb_sz=…, n_hid=…)
        "A network of your own."

`char_learner(dls, "mine")` then builds it, and a model file can name it.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ..errors import ArchError

__all__ = ["Arch", "register_arch", "list_archs", "get_arch"]


@dataclass(frozen=True)
class Arch:
    "A registered architecture, or a class or function that stands for itself."

    name: str  # its name in `char_learner(arch=)` and in model files
    cls: Callable  # builds the model: cls(vocab_sz, emb_sz=…, n_hid=…, **config)
    config: Mapping = field(default_factory=dict)  # default arguments, read-only
    listed: bool = True  # whether `list_archs` names it: whether it can be trained from scratch

    def __post_init__(self):
        # a dataclass that is frozen has no other way to set a field
        object.__setattr__(self, "config", MappingProxyType(dict(self.config)))

    def __reduce__(self):
        # read-only views cannot be pickled
        return Arch, (self.name, self.cls, dict(self.config), self.listed)

    @property
    def registered(self) -> bool:
        "Whether a model file can name it."
        return _archs.get(self.name) == self


# Far above what training makes. Files and models beyond them are refused before anything of their size is built.
MAX_LAYERS = 100  # recurrent layers
MAX_MODELS = 100  # members of an ensemble

_archs: dict[str, Arch] = {}

# Arguments of architectures that had other names in version 0.1.
RENAMED = {
    "dropout": "output_p",
    "layer_drop": "layer_p",
    "emb_drop": "embed_p",
    "state_drop": "hidden_p",
    "weight_drop": "weight_p",
    "tied": "tie_weights",
    "window": "seq_len",
}

# Architectures of version 0.1 that are examples now.
MOVED = {"hawk": "examples/hawk.py"}


def register_arch(
    name: str,  # the name of the architecture
    listed: bool = True,  # whether `list_archs` names it; False for a model that is not trained from scratch
    **config,  # default arguments
) -> Callable:  # a decorator that returns the class or function unchanged
    "Register the class or function below as architecture `name`. Raises `ArchError` if another one has that name."

    def register(cls):
        known = _archs.get(name)
        if known is not None and _qualified_name(known.cls) != _qualified_name(cls):
            raise ArchError(f"architecture {name!r} is already {_qualified_name(known.cls)}; choose another name")
        _archs[name] = Arch(name, cls, config, listed)
        return cls

    return register


def _qualified_name(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


def list_archs() -> list[str]:  # sorted
    "Return the names of the registered architectures that can be trained from scratch."
    return sorted(name for name, arch in _archs.items() if arch.listed)


def get_arch(
    arch: str | Callable,  # a registered name, or a class or function
) -> Arch:  # its record
    "Return the record of an architecture. Raises `ArchError` with the known names for an unknown one."
    if isinstance(arch, str):
        return _named_arch(arch)
    if not callable(arch):
        raise ArchError(f"arch={arch!r} is neither the name of an architecture nor a class or function that builds one")
    for known in _archs.values():
        if known.cls is arch:
            return known
    return Arch(getattr(arch, "__name__", "custom"), arch)


def _named_arch(name):
    if name in _archs:
        return _archs[name]
    if name in MOVED:
        raise ArchError(f"{name!r} is no longer part of the package; import {MOVED[name]} first, which registers it")
    raise ArchError(
        f"no architecture is called {name!r}; known: {', '.join(list_archs())}. "
        "Pass a class of your own, or register it with register_arch"
    )


def new_names(
    cls: Callable,  # a class or function that builds a model
    config: dict,  # arguments for it, by name
) -> dict:  # the arguments by their present names
    """Replace names of version 0.1, each with a `DeprecationWarning`.

    A name that `cls` itself takes, such as `dropout` of a user's class, is left as it is."""
    takes = inspect.signature(cls).parameters
    renamed = {old: new for old, new in RENAMED.items() if old in config and old not in takes and new in takes}
    for old, new in renamed.items():
        message = f"{cls.__name__}({old}=…) is now called {new}; the old name goes with version 0.3"
        # the caller of `char_learner`, which calls `make_model`, `build_model` and this
        warnings.warn(message, DeprecationWarning, stacklevel=5)
    return {renamed.get(name, name): value for name, value in config.items()}


def check_takes(
    cls: Callable,  # a class or function that builds a model
    config: dict,  # arguments for it, by name
):
    "Raise `ArchError` for arguments that it does not take."
    takes = inspect.signature(cls).parameters
    if any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        return
    if unknown := [name for name in config if name not in takes]:
        raise ArchError(f"{cls.__name__} takes no argument {', '.join(unknown)}; it takes {', '.join(takes)}")
