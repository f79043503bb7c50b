"""Calls with bad or odd input, each with what it must give: `Call`, `read_calls`, `Place`.

The calls are in the text files of this folder, as one writes them:

    # Group
    CharDataLoaders.from_text(text, bs=…)
        0 | -1 | "8"
    CharDataLoaders.from_text(text, bs=np.int64(8)) => result.bs == 8

Indented lines have the values to try for the "…" of the line above. A call must raise an error of this package, or its
`result` must make the expression after "=>" true. tools/bad_input.py writes docs/bad-input.md from what the calls give.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from bad_place import make_names, quiet, without_rights, write_files

from fastai_charrnn.errors import CharRnnError

FILES = ("loading.txt", "training.txt", "writing.txt", "sharing.txt")
HERE = Path(__file__).parent


class Call(NamedTuple):
    "A call with one value."

    group: str
    template: str  # with "…" for the value, or the whole call
    value: str = ""  # what stands for "…"
    check: str | None = None  # an expression of its `result` that must be true; None: it must raise a typed error

    @property
    def code(self) -> str:
        "The call as one writes it."
        return self.template.replace("…", self.value)


def read_calls(
    fname: str,  # one of `FILES`
) -> Iterator[Call]:
    "The calls of a file, in their order."
    group = template = ""
    for line in (HERE / fname).read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            group = line[2:]
        elif line.startswith(" "):
            for value in line.strip().split(" | "):
                yield Call(group, template, value)
        elif line:
            template, _, check = line.partition(" => ")
            if "…" not in template:
                yield Call(group, template, check=check or None)


class Place:
    "A folder with files of all kinds, and the names that calls use: texts, loaders, learners."

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        with chdir(self.folder.name), quiet():
            write_files()
            self.names = make_names()

    def outcome(self, call: Call) -> str:  # "works: …", or the class and the message of the error
        "Run a call in the folder. Raises `AssertionError` if its check fails, and what is no error of this package."
        names = dict(self.names)
        offline = patch.dict(os.environ, CHARRNN_OFFLINE="1")
        with chdir(self.folder.name), quiet(), offline, without_rights("locked" in call.code):
            try:
                names["result"] = eval(call.code, names)
            except CharRnnError as e:
                assert call.check is None, f"{call.code} must work, and raises {type(e).__name__}: {e}"
                return f"{type(e).__name__}: {self._without_places(str(e))}"
            assert call.check is not None, f"{call.code} returns {names['result']!r:.200}"
            assert eval(call.check, names), (
                f"{call.code}: {call.check} is false, the result is {names['result']!r:.200}"
            )
        return f"works: {call.check}"

    def _without_places(self, message):
        "A message without what differs between machines."
        message = message.replace(f"{os.path.realpath(self.folder.name)}/", "").replace(f"{self.folder.name}/", "")
        message = re.sub(r"\S*/data/charrnn/\w+/", "", message)
        # names of encoded texts
        message = re.sub(r"\.[0-9a-f]{12}\.", ".….", message)
        # what pandas says
        message = re.sub(r"(cannot be read as a table: ).*(; check)", r"\1…\2", message, flags=re.S)
        return re.sub(r"there are [\d,.]+ GB in all", "there are … GB in all", message)
