"""Small helpers that several packages share. Imports nothing of the project, and no torch."""

import functools
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from fastai.basics import Learner
    from torch import nn

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable)

__all__ = [
    "is_count",
    "is_whole",
    "unwrap_model",
    "count_weights",
    "arch_name",
    "plain_names",
    "modes_restored",
    "renamed",
    "typed_delegates",
    "warn_caller",
]


def is_count(
    v: object,  # anything
) -> bool:
    "Whether `v` is an integer of at least 1. NumPy integers count, `True` does not."
    return isinstance(v, Integral) and not isinstance(v, bool) and v >= 1


def is_whole(
    v: object,  # anything
) -> bool:
    "Whether `v` is a whole number of at least 0. 3.0 counts, `True` does not."
    return isinstance(v, Real) and not isinstance(v, bool) and v >= 0 and v % 1 == 0


def unwrap_model(
    model: "nn.Module",  # a model, wrapped or not
) -> "nn.Module":  # the model itself
    "Return the model inside `torch.compile`, `nn.DataParallel` and `DistributedDataParallel`, or `model` itself."
    from torch import nn

    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, parallel):
            model = model.module
        elif "_orig_mod" in getattr(model, "_modules", ()):
            # by name, because importing the class of compiled models takes a second
            model = model._orig_mod
        else:
            return model


def count_weights(
    model: "nn.Module",  # a model, wrapped or not
) -> int:
    "Return how many numbers a model learns."
    return sum(p.numel() for p in model.parameters())


def arch_name(
    learn: "Learner",  # a `CharLearner` with any model
) -> str:
    "Return the name of a learner's architecture, or of its model's class if it has none."
    return learn.arch.name if learn.arch else type(unwrap_model(learn.model)).__name__


def plain_names(
    weights: dict,  # by name, as in a file
    expected: Iterable[str],  # the names in the model
) -> dict:  # weights by name
    "Remove the prefixes that wrapped models put before all names, unless the model has the names as they are."
    weights = dict(weights)
    expected = set(expected)
    for prefix in 2 * ("module.", "_orig_mod."):
        is_wrapped = weights and all(name.startswith(prefix) for name in weights)
        if is_wrapped and not expected & weights.keys():
            weights = {name.removeprefix(prefix): weight for name, weight in weights.items()}
    return weights


@contextmanager
def modes_restored(
    model: "nn.Module",  # a model with its submodules
) -> Iterator[None]:
    "Restore the training or evaluation mode of each module inside `model` at the end of the block."
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def renamed(
    **names: str,  # old name = new name
) -> Callable[[Callable[P, T]], Callable[P, T]]:  # a decorator
    """Accept old names of keyword arguments until version 0.3, each with a `DeprecationWarning`.

    Passing an old name and its new one together raises `TypeError`."""

    def decorate(f: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(f)
        def with_old_names(*args: P.args, **kwargs: P.kwargs) -> T:
            for old in names.keys() & kwargs.keys():
                new = names[old]
                if new in kwargs:
                    raise TypeError(f"{f.__name__}: {old}= is the old name of {new}=; pass only {new}=")
                message = f"{f.__name__}({old}=…) is now called {new}=; the old name will be removed in version 0.3"
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return f(*args, **kwargs)

        return with_old_names

    return decorate


def typed_delegates(
    to: Callable,  # the function that gets the keyword arguments
    but: list[str] | None = None,  # names of parameters to leave out
) -> Callable[[F], F]:  # a decorator
    "fastcore's `delegates(keep=True)`. Type checkers keep the type of the decorated function, which fastcore's loses."
    from fastcore.meta import delegates

    return delegates(to, keep=True, but=but)


def warn_caller(
    message: str,  # what was changed or looks wrong
    category: type[Warning],  # usually `CharRnnWarning`
):
    "Warn at the line that called this package, however deep inside the package the warning arises."
    package = __name__.partition(".")[0]
    level = 1
    frame = sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
