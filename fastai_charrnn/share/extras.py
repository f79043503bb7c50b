"""Import libraries that not every user needs: `import_extra`. Imports no torch."""

from importlib import import_module
from types import ModuleType

from ..errors import ShareError

__all__ = ["import_extra"]


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
