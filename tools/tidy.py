"""Outputs of a notebook as they are stored: without what differs from run to run and from machine to machine."""

import os
import re
import tempfile
from pathlib import Path

from notebooks import root

_progress = re.compile(r"<progress.*?</progress>[^<]*|<style>[^<]*progress[^<]*</style>", re.S)
_warning = re.compile(r"^\S*[/<]\S*:\d+: (\w+: .*)\n(?:  .*\n?)?", re.M)
_address = re.compile(r" at 0x[0-9a-f]+")


def tidied(
    nb,  # a notebook of nbformat, after its execution
):
    "The same notebook, changed: without counts, progress bars, paths of this machine, and memory addresses."
    for c in nb.cells:
        if c.cell_type != "code":
            continue
        c.execution_count = None
        c.metadata = {}
        c.outputs = [o for o in map(_tidied_output, _joined(c.outputs)) if _shows(o)]
    return nb


def _joined(outputs):
    "Consecutive texts of one stream as one."
    joined = []
    for o in outputs:
        same = joined and o.output_type == "stream" == joined[-1].output_type and o.name == joined[-1].name
        if same:
            joined[-1].text += o.text
        else:
            joined.append(o)
    return joined


def _tidied_output(o):
    if "execution_count" in o:
        o.execution_count = None
    if o.output_type == "stream":
        o.text = _plain(_last_of_lines(o.text))
    for mime, text in o.get("data", {}).items():
        if mime == "text/html":
            text = _progress.sub("", text)
        o.data[mime] = _plain(text) if mime.startswith("text/") else text
    return o


def _last_of_lines(text):
    "What a terminal shows in the end: the part of each line after its last carriage return."
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)


def _plain(text):
    "Text without the places of files on this machine and without memory addresses; a warning keeps its message."
    text = _warning.sub(r"\1\n", text)
    data = os.environ.get("CHARRNN_DATA")
    if data:
        text = text.replace(data, "data")
    text = text.replace(f"{root}/", "").replace(str(root), ".").replace(str(Path.home()), "~")
    text = re.sub(rf"{re.escape(tempfile.gettempdir())}/[\w.-]+", "/tmp/…", text)
    return _address.sub("", text)


def _shows(o):
    "Is anything left of an output? That of a progress bar is an empty `div`."
    if o.output_type == "stream":
        return bool(o.text.strip())
    html = o.get("data", {}).get("text/html")
    return html is None or bool(re.sub(r"</?div[^>]*>|\s", "", html))
