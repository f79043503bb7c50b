"""What callbacks do when a file cannot be written during a fit: warn and go on, or stop, as the user chose."""

from collections.abc import Iterator
from contextlib import contextmanager

from .._checks import shown
from .._utils import warn_caller
from ..errors import CharRnnWarning, DataError, ModelFileError, TrainingError

__all__ = ["check_on_error", "errors_as_chosen"]


def check_on_error(
    on_error: str,  # as passed to a callback
):
    'Raise `DataError` unless it is "warn" or "stop".'
    if not isinstance(on_error, str) or on_error not in ("warn", "stop"):
        raise DataError(f'on_error must be "warn" or "stop", got {shown(on_error)}')


@contextmanager
def errors_as_chosen(
    on_error: str,  # "warn" or "stop"
) -> Iterator[None]:
    'With "warn", turn an error of writing within the block into a `CharRnnWarning`.'
    try:
        yield
    except (ModelFileError, TrainingError) as error:
        if on_error == "stop":
            raise
        warn_caller(f"{error}; training goes on", CharRnnWarning)
