"""Ready-made corpora: the text of lesson 6, and two texts that need no network.

    nietzsche()           path of lesson 6's corpus: a local copy, else downloaded and verified
    python_reference()    text of the Python language reference that is part of every CPython
    human_numbers()       "one \\ntwo \\n… nine thousand nine hundred ninety nine \\n"

This module does not import torch, so the command line starts fast.
"""

import os
import re
from pathlib import Path

from ..errors import CorpusError
from .download import data_folder, fetch, verify

__all__ = ["nietzsche", "python_reference", "human_numbers", "NIETZSCHE_URL"]

NIETZSCHE_URL = "https://s3.amazonaws.com/text-datasets/nietzsche.txt"
_nietzsche_size = 600_901  # bytes
_nietzsche_sha256 = "23cf69874ab69d3d256099ab530ea4be24d47d9675b673bcc67cbcd6298ec647"


def nietzsche(
    url: str = NIETZSCHE_URL,  # download from here if there is no local copy
    timeout: float | None = None,  # limit for the whole download in seconds; None: no limit
) -> Path:  # a local file with exactly the bytes of lesson 6's corpus
    """Return the path of lesson 6's corpus: 600,893 characters of Nietzsche in English.

    Looks in the folder named by `CHARRNN_DATA`, then in fastai's data folder (`FASTAI_HOME`), then downloads to
    fastai's data folder with a progress bar. Every copy is verified by size and sha256.
    Raises `DownloadError` if a copy is not the expected file, the download fails, or `CHARRNN_OFFLINE=1` is set."""
    folder = os.environ.get("CHARRNN_DATA")
    path = folder and Path(folder).expanduser() / "nietzsche.txt"
    if not (path and path.is_file()):
        path = data_folder() / "nietzsche.txt"
    if not path.is_file():
        return fetch(url, path, _nietzsche_size, _nietzsche_sha256, timeout)
    verify(path, _nietzsche_size, _nietzsche_sha256)
    return path


def python_reference() -> str:  # about 465,000 characters (Python 3.11; other versions differ slightly)
    "Return the English text of the Python language reference, which every CPython contains (`pydoc_data.topics`)."
    from pydoc_data.topics import topics

    return "\n\n".join(topics[k] for k in sorted(topics))


def human_numbers(
    part: str = "all",  # "all" (9,998 lines), "train" (1 to 7,999) or "valid" (8,001 to 9,999)
) -> str:  # one number a line, each followed by a space
    """Return the numbers up to 9,999 in English words, "one \\ntwo \\n…": a toy corpus for recurrent networks.

    Spelling (no "and", no hyphen) and parts are those of the fast.ai course. Neither part contains 8,000.
    Raises `CorpusError` for another `part`."""
    from num2words import num2words

    parts = dict(train=range(1, 8000), valid=range(8001, 10000))
    parts["all"] = [*parts["train"], *parts["valid"]]
    if not isinstance(part, str) or part not in parts:
        raise CorpusError(f'part must be "all", "train" or "valid", got {part!r}')
    return "".join(re.sub(r" and |-|, ", " ", num2words(i)) + " \n" for i in parts[part])
