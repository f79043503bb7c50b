"""Checks of arguments, one for each kind of value: whole numbers, numbers, learning rates, seeds, paths, memory.

Each returns the value as plain Python has it, so that a NumPy number works wherever a Python one does. Errors name the
argument, its value and what is allowed. Imports no torch.
"""

import errno
import os
import sys
from numbers import Integral, Real
from pathlib import Path

from ._printable import printable
from ._utils import is_whole
from .errors import CharRnnError, DataError

__all__ = [
    "shown",
    "is_number",
    "check_count",
    "check_length",
    "check_number",
    "check_hyper",
    "check_seed",
    "check_path",
    "check_memory",
]

MAX_COUNT = 2**31 - 1  # rows, units or epochs
_cgroup_limits = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def shown(
    value: object,  # what a user passed
) -> str:  # at most 60 characters
    "A value for an error message."
    try:
        return printable(repr(value), max_len=60)
    except Exception:
        # such as whole numbers of more than 4,300 digits
        return f"a {type(value).__name__}"


def check_count(
    name: str,  # of the argument
    value: object,  # what a user passed
    low: int = 1,  # the smallest number allowed, 0 or more
    high: int | None = None,  # the largest; None: any
    error: type[CharRnnError] = DataError,  # the class of the error
    hint: str = "",  # what to do
) -> int:
    "Return a whole number as an int. NumPy integers are whole numbers, 3.0 and `True` are not."
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise error(f"{name}={shown(value)} is not a whole number, at least {low:,}{_hint(hint)}")
    if high is not None and value > high:
        raise error(f"{name}={shown(value)} is more than {high:,}{_hint(hint or 'pass a smaller one')}")
    return int(value)


def check_length(
    name: str,  # of the argument
    value: object,  # what a user passed
    error: type[CharRnnError] = DataError,  # the class of the error
    hint: str = "",  # what to do
) -> int:
    "Return a number of characters or words. 3.0 is one, `True` is not."
    if is_whole(value):
        return int(value)
    raise error(f"{name}={shown(value)} is not a whole number, at least 0{_hint(hint)}")


def check_number(
    name: str,  # of the argument
    value: object,  # what a user passed
    low: float = 0,  # the smallest number allowed
    high: float = sys.float_info.max,  # the largest; by default any finite number
    error: type[CharRnnError] = DataError,  # the class of the error
    inside: bool = False,  # whether the limits themselves are not allowed
    hint: str = "",  # what to do
) -> float:
    "Return a finite number."
    if is_number(value):
        # a NumPy scalar compares in its own precision
        number = value.item() if hasattr(value, "item") else value
        if low < number < high or (not inside and low <= number <= high):
            return float(number)
    raise error(f"{name}={shown(value)} is not a number {_range(low, high, inside)}{_hint(hint)}")


def is_number(
    value: object,  # anything
) -> bool:
    "Whether it is a real number. NumPy's are, `True` is not. NaN and infinity are."
    return isinstance(value, Real) and not isinstance(value, bool)


def _range(low, high, inside):
    if high == sys.float_info.max:
        return f"above {low:g}" if inside else f"of at least {low:g}"
    return f"between {low:g} and {high:g}" if inside else f"from {low:g} to {high:g}"


def _hint(hint):
    return f"; {hint}" if hint else ""


def check_hyper(
    name: str,  # of the argument
    value: object,  # a number, a slice of two, or a number for each parameter group
    hint: str = "",  # what to do
) -> float | slice | list[float]:
    "Return a hyper-parameter as fastai's optimizers take it. Raises `DataError` unless its numbers are at least 0."
    if isinstance(value, slice):
        start = None if value.start is None else check_number(f"{name}.start", value.start, hint=hint)
        return slice(start, check_number(f"{name}.stop", value.stop, hint=hint))
    # an array, a tensor or a scalar of NumPy
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, (list, tuple)):
        if not value:
            raise DataError(f"{name} has no numbers; pass one, or one for each parameter group")
        return [check_number(f"{name}[{i}]", number, hint=hint) for i, number in enumerate(value)]
    return check_number(name, value, hint=hint)


def check_seed(
    name: str,  # of the argument
    value: object,  # what a user passed
    bits: int,  # of the generator's seed
    error: type[CharRnnError] = DataError,  # the class of the error
    hint: str = "",  # what to do
) -> int:
    "Return a whole number from 0 to 2**bits - 1."
    if isinstance(value, Integral) and not isinstance(value, bool) and 0 <= value < 2**bits:
        return int(value)
    raise error(f"{name}={shown(value)} is not a whole number from 0 to 2**{bits}-1{_hint(hint)}")


def check_path(
    name: str,  # of the argument
    value: object,  # what a user passed
    error: type[CharRnnError] = DataError,  # the class of the error
) -> Path:
    "Return a path. Raises for other types, and for names that no file can have."
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise error(f"{name}={shown(value)} is not a path; pass a str or a Path")
    path = Path(value)
    try:
        path.stat()
    except ValueError:
        # a null character, or a lone surrogate
        raise error(f"{name}={shown(str(path))} is not a path: no file can have this name; pass another one") from None
    except OSError as e:
        if e.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise error(f"{name}={shown(str(path))} is not a path: {e.strerror}; pass another one") from None
    return path


def check_memory(
    n_bytes: float,  # an estimate of what is needed
    what: str,  # what needs it
    hint: str,  # what to do
    error: type[CharRnnError] = DataError,  # the class of the error
):
    "Raise if this needs more than all memory, before any is allocated."
    limit = memory_limit()
    if n_bytes > limit:
        raise error(f"{what} needs about {_gb(n_bytes)} of memory, and there are {_gb(limit)} in all; {hint}")


def memory_limit() -> int:  # bytes
    "The memory of this machine, or of the container that this process runs in."
    limits = []
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for fname in _cgroup_limits:
        try:
            limits.append(int(Path(fname).read_text()))
        except (OSError, ValueError):
            # another version of control groups, or no limit ("max")
            continue
    return min(limits, default=sys.maxsize)


def _gb(n_bytes):
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes < 1e15 else f"{n_bytes / 1e9:.0e} GB"
