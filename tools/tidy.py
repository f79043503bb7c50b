"""Remove from the outputs of a notebook what differs between runs and between machines."""

import os
import re
import tempfile
from pathlib import Path

from notebooks import root

_progress = re.compile(r"<progress.*?</progress>[^<]*|<style>[^<]*progress[^<]*</style>", re.S)
_warning = re.compile(r"^\S*[/<]\S*:\d+: (\w+: .*)\n(?:  .*\n?)?", re.M)
_address = re.compile(r" at 0x[0-9a-f]+")
_empty_html = re.compile(r"</?div[^>]*>|\s")


def tidied(
    notebook,  # of nbformat, executed
):
    "The notebook, changed: without execution counts, progress bars, paths and memory addresses."
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        cell.metadata = {}
        outputs = [_tidied_output(output) for output in _join_streams(cell.outputs)]
        cell.outputs = [output for output in outputs if not _is_empty(output)]
    return notebook


def _join_streams(outputs):
    "Join consecutive outputs of the same stream."
    joined = []
    for output in outputs:
        if joined and _same_stream(joined[-1], output):
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _same_stream(first, second):
    return first.output_type == second.output_type == "stream" and first.name == second.name


def _tidied_output(output):
    if "execution_count" in output:
        output.execution_count = None
    if output.output_type == "stream":
        output.text = _without_places(_last_states(output.text))
    for mime, content in output.get("data", {}).items():
        if mime == "text/html":
            content = _progress.sub("", content)
        output.data[mime] = _without_places(content) if mime.startswith("text/") else content
    return output


def _last_states(text):
    "What a terminal shows in the end: the part of each line after its last carriage return."
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)


def _without_places(text):
    "Text without this machine's paths and without memory addresses. Of a warning only the message is kept."
    text = _warning.sub(r"\1\n", text)
    data = os.environ.get("CHARRNN_DATA")
    if data:
        text = text.replace(data, "data")
    text = text.replace(f"{root}/", "").replace(str(root), ".").replace(str(Path.home()), "~")
    text = re.sub(rf"{re.escape(tempfile.gettempdir())}/[\w.-]+", "/tmp/…", text)
    return _address.sub("", text)


def _is_empty(output):
    "Whether an output shows nothing, for example the `div` that remains of a progress bar."
    if output.output_type == "stream":
        return not output.text.strip()
    html = output.get("data", {}).get("text/html")
    return html is not None and not _empty_html.sub("", html)
