"""The registry of architectures: names to records. Knows no torch; `models` and users register into it.

@register_arch("mine", n_layers=2)        # defaults that `char_learner(config=…)` may override
class Mine(nn.Module): ...                # built as Mine(vocab_sz, emb_sz=…, n_hid=…, n_layers=…)
"""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType

from ..errors import ArchError

__all__ = ["Arch", "register_arch", "list_archs", "get_arch"]


@dataclass(frozen=True)
class Arch:
    "What is known of an architecture."

    name: str  # what `char_learner(arch=)` and model files call it
    cls: Callable  # builds the model: cls(vocab_sz, emb_sz=…, n_hid=…, **config)
    config: MappingProxyType = field(default_factory=lambda: MappingProxyType({}))  # defaults of further arguments

    @property
    def registered(self) -> bool:
        "Whether a model file can name it."
        return _archs.get(self.name) == self


_archs: dict[str, Arch] = {}

# Arguments of architectures by the names that version 0.1 had for them.
RENAMED = {
    "dropout": "output_p",
    "layer_drop": "layer_p",
    "emb_drop": "embed_p",
    "state_drop": "hidden_p",
    "weight_drop": "weight_p",
    "tied": "tie_weights",
    "window": "seq_len",
}


def register_arch(
    name: str,  # what to call it
    **config,  # defaults of further arguments
) -> Callable:  # a decorator that returns the class or function unchanged
    "Register the class or function below it as architecture `name`. Raises `ArchError` if the name is taken by another."

    def register(cls):
        old = _archs.get(name)
        if old is not None and (old.cls.__module__, old.cls.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ArchError(
                f"architecture {name!r} is taken by {old.cls.__module__}.{old.cls.__qualname__}; choose another name"
            )
        _archs[name] = Arch(name, cls, MappingProxyType(config))
        return cls

    return register


def list_archs() -> list[str]:  # sorted
    "The names of all registered architectures."
    return sorted(_archs)


def get_arch(
    arch: str | Callable,  # a registered name, or a class or function of your own
) -> Arch:  # its record
    "The record of an architecture. Raises `ArchError` listing the known names for an unknown one."
    if isinstance(arch, str):
        if arch in _archs:
            return _archs[arch]
        raise ArchError(
            f"no architecture is called {arch!r}; known: {', '.join(list_archs())}. Pass a class of your own, or register it with register_arch"
        )
    if not callable(arch):
        raise ArchError(f"arch={arch!r} is neither the name of an architecture nor a class or function that builds one")
    return next((a for a in _archs.values() if a.cls is arch), Arch(getattr(arch, "__name__", "custom"), arch))


def new_names(
    cls: Callable,  # a class or function that builds a model
    config: dict,  # arguments for it, by name
) -> dict:  # by the names it has for them
    "Replace names of version 0.1 that `cls` does not take, each with a `DeprecationWarning`."
    takes = inspect.signature(cls).parameters
    old = [k for k in config if k in RENAMED and k not in takes and RENAMED[k] in takes]
    for k in old:
        message = f"{cls.__name__}({k}=…) is now called {RENAMED[k]}; the old name goes with version 0.3"
        warnings.warn(message, DeprecationWarning, stacklevel=4)
    return {RENAMED[k] if k in old else k: v for k, v in config.items()}


def check_takes(
    cls: Callable,  # a class or function that builds a model
    config: dict,  # arguments for it, by name
):
    "Raise `ArchError` for arguments that it does not take."
    takes = inspect.signature(cls).parameters
    if bad := [k for k in config if k not in takes and not any(p.kind is p.VAR_KEYWORD for p in takes.values())]:
        raise ArchError(f"{cls.__name__} takes no argument {', '.join(bad)}; it takes {', '.join(takes)}")
