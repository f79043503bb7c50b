"""Import libraries that not every user needs: `import_extra`. Check texts: `check_texts`. Imports no torch."""

from importlib import import_module
from types import ModuleType

from .._checks import shown
from ..errors import ShareError

__all__ = ["import_extra", "check_texts"]


def import_extra(
    extra: str,  # its name in settings.ini, such as "hub"
    *modules: str,  # what to import
) -> ModuleType:  # the first of them
    "Import modules of an extra. Raises `ShareError`, which says what to install, if one is missing."
    try:
        return [import_module(name) for name in modules][0]
    except ImportError as e:
        missing = e.name or modules[0]
        raise ShareError(
            f'{missing} is not installed or does not fit; install it with: pip install "fastai_charrnn[{extra}]"'
        ) from None


def check_texts(
    **texts: object,  # arguments by name, as a user passed them
):
    "Raise `ShareError` for arguments that are neither texts nor None."
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise ShareError(f"{name}={shown(value)} is not a str; pass a text, or leave {name} out")
